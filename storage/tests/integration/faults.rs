//! What once went wrong, each of a kind.

use std::io::Read as _;

use telemetry_core::records::Enrichment;
use telemetry_core::wire::{put_bytes, put_long};
use telemetry_core::{
    Batch, BatchBuilder, CONTENT_TYPE_AVRO, DeviceId, Envelope, Epoch, Plan, Registered, Registry,
    Schema, Seq, StreamName, Timestamp, Value,
};
use telemetry_storage::{
    Accounting, Limits, Outcome, Page, Refusal, Selection, SqliteOptions, SqliteStore, Store,
    StoreError, Write,
};

pub(crate) fn record(fields: &str) -> Schema {
    let json = format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    Schema::parse(&json).unwrap()
}

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

/// A batch of datums of one device.
pub(crate) fn batch(name: &str, schema: &Schema, first: u64, datums: &[Vec<u8>]) -> Batch {
    let mut builder = BatchBuilder::new(schema.array_fingerprint());
    datums.iter().for_each(|datum| builder.push(datum));
    Batch {
        envelope: Envelope {
            device: DeviceId::from_u128(7),
            epoch: Epoch::new(1).unwrap(),
            subject: stream(name),
            first_seq: Seq::new(first).unwrap(),
            count: builder.count(),
            published: Timestamp::default(),
            clock: Default::default(),
            schema: Some(schema.fingerprint()),
            content_type: CONTENT_TYPE_AVRO.to_owned(),
            traceparent: None,
        },
        body: builder.finish().unwrap(),
    }
}

pub(crate) async fn write(store: &SqliteStore, batches: &[Batch]) -> Vec<Outcome> {
    let enrichment = Enrichment::default();
    let writes: Vec<_> = batches
        .iter()
        .map(|batch| Write {
            batch,
            enrichment: &enrichment,
        })
        .collect();
    store.write(&writes).await
}

pub(crate) fn is_new(outcome: &Outcome, rows: u32) -> bool {
    matches!(outcome, Outcome::Stored { new, duplicates: 0, conflicts: 0 } if *new == rows)
}

pub(crate) async fn read(store: &SqliteStore, name: &str, reader: &Schema) -> Page {
    let page = store
        .read(&stream(name), &Selection::default(), reader)
        .await;
    page.unwrap()
}

async fn values(store: &SqliteStore, name: &str, reader: &Schema) -> Vec<Value> {
    let plan = Plan::compile(reader, reader).unwrap();
    let page = read(store, name, reader).await;
    assert_eq!(page.unreadable, []);
    page.records
        .iter()
        .map(|r| r.value(&plan).unwrap())
        .collect()
}

fn in_memory() -> SqliteStore {
    SqliteStore::in_memory(SqliteOptions::default()).unwrap()
}

fn long(n: i64) -> Vec<u8> {
    let mut out = Vec::new();
    put_long(&mut out, n);
    out
}

fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, text.as_bytes());
    out
}

#[test]
fn two_stores_on_one_file_decide_as_one() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.sqlite");
        let open = || SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        let (a, b) = (open(), open());
        let schemas: Vec<Schema> = (0..40)
            .map(|i| record(&format!(r#"{{"name":"a{i}","type":"long","default":0}}"#)))
            .collect();
        for (i, schema) in schemas.iter().enumerate() {
            let store = if i % 2 == 0 { &a } else { &b };
            let answer = store.register(&stream("s"), schema).await.unwrap();
            assert_eq!(
                answer,
                Registered::New {
                    version: i as u32 + 1
                }
            );
            let rows = [batch("s", schema, i as u64 + 1, &[long(i as i64)])];
            assert!(is_new(&write(store, &rows).await[0], 1));
        }
        for store in [&a, &b] {
            assert_eq!(store.versions(&stream("s")).await.unwrap().len(), 40);
            let page = read(store, "s", &schemas[0]).await;
            assert_eq!((page.records.len(), page.unreadable.len()), (40, 0));
        }
    });
}

#[test]
fn streams_and_fields_may_have_any_name() {
    pollster::block_on(async {
        let store = in_memory();
        let streams = [
            "Order",
            "Group",
            "Index",
            "Table",
            "sqlite.stat1",
            "xpt.schema",
            "units",
            "a.b",
            "a_b",
            "A_B",
            "select",
        ];
        let fields = [
            "meta_site",
            "cast",
            "raise",
            "current_time",
            "current_date",
            "rowid",
            "oid",
            "ts",
            "device",
            "extra",
            "time",
            "order",
            "glob",
            "Schema",
            "schema",
        ];
        let each = fields
            .iter()
            .map(|name| format!(r#"{{"name":"{name}","type":"long"}}"#));
        let schema = record(&each.collect::<Vec<_>>().join(","));
        let datum: Vec<u8> = (0..fields.len() as i64).flat_map(long).collect();
        let mut batches = Vec::new();
        for name in streams {
            store.register(&stream(name), &schema).await.unwrap();
            batches.push(batch(name, &schema, 1, std::slice::from_ref(&datum)));
        }
        let outcomes = write(&store, &batches).await;
        assert!(
            outcomes.iter().all(|outcome| is_new(outcome, 1)),
            "{outcomes:?}"
        );
        for name in streams {
            assert_eq!(read(&store, name, &schema).await.records[0].datum, datum);
        }
    });
}

#[test]
fn no_value_becomes_another() {
    pollster::block_on(async {
        let store = in_memory();
        let real = record(r#"{"name":"v","type":"double"}"#);
        store.register(&stream("real"), &real).await.unwrap();
        let values = [f64::NAN, -f64::NAN, -0.0, 0.0, f64::INFINITY, 1.5];
        let datums: Vec<Vec<u8>> = values.iter().map(|v| v.to_le_bytes().to_vec()).collect();
        let rows = [batch("real", &real, 1, &datums)];
        assert!(is_new(&write(&store, &rows).await[0], 6));
        let again = write(&store, &rows).await;
        assert!(matches!(
            again[0],
            Outcome::Stored {
                new: 0,
                duplicates: 6,
                conflicts: 0
            }
        ));
        let page = read(&store, "real", &real).await;
        let read_back: Vec<_> = page.records.into_iter().map(|r| r.datum).collect();
        assert_eq!(read_back, datums);

        let empty = record("");
        store.register(&stream("empty"), &empty).await.unwrap();
        let rows = [batch("empty", &empty, 1, &[Vec::new(), Vec::new()])];
        assert!(is_new(&write(&store, &rows).await[0], 2));
        assert_eq!(read(&store, "empty", &empty).await.records.len(), 2);
    });
}

#[test]
fn a_row_that_no_reader_can_take_harms_no_other() {
    pollster::block_on(async {
        let store = in_memory();
        let bytes = record(r#"{"name":"v","type":"bytes"}"#);
        let string = record(r#"{"name":"v","type":"string"}"#);
        store.register(&stream("s"), &bytes).await.unwrap();
        store.register(&stream("s"), &string).await.unwrap();
        let rows = [
            batch("s", &bytes, 1, &[text("good"), vec![2, 0xff]]),
            batch("s", &string, 3, &[text("new")]),
        ];
        let outcomes = write(&store, &rows).await;
        assert!(
            is_new(&outcomes[0], 2) && is_new(&outcomes[1], 1),
            "{outcomes:?}"
        );
        let page = read(&store, "s", &string).await;
        let datums: Vec<_> = page.records.into_iter().map(|r| r.datum).collect();
        assert_eq!(datums, [text("good"), text("new")]);
        assert_eq!(page.unreadable.len(), 1);
        assert_eq!(page.unreadable[0].seq.get(), 2);
    });
}

#[test]
fn the_order_in_which_schemas_arrive_changes_nothing() {
    let power = record(r#"{"name":"power","type":"long"}"#);
    let renamed = record(r#"{"name":"watts","type":"long","aliases":["power"]}"#);
    let both = record(
        r#"{"name":"watts","type":"long","default":8},{"name":"power","type":"long","default":9}"#,
    );
    let all = [&power, &renamed, &both];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        pollster::block_on(async {
            let store = in_memory();
            for (i, &which) in order.iter().enumerate() {
                let answer = store.register(&stream("s"), all[which]).await.unwrap();
                assert!(
                    matches!(answer, Registered::New { .. }),
                    "{order:?}: {answer:?}"
                );
                let datum = match which {
                    2 => [long(20), long(21)].concat(),
                    n => long(10 + n as i64),
                };
                let rows = [batch("s", all[which], which as u64 + 1, &[datum])];
                assert!(is_new(&write(&store, &rows).await[0], 1), "{i}");
            }
            let as_both = values(&store, "s", &both).await;
            let row = |a, b| Value::Record(vec![Value::Long(a), Value::Long(b)]);
            assert_eq!(as_both, [row(8, 10), row(11, 9), row(20, 21)], "{order:?}");
        });
    }
}

#[test]
fn a_person_can_accept_what_was_set_in_quarantine() {
    pollster::block_on(async {
        let store = in_memory();
        let number = record(r#"{"name":"v","type":"long"}"#);
        let other = record(r#"{"name":"v","type":"boolean"}"#);
        store.register(&stream("s"), &number).await.unwrap();
        let answer = store.register(&stream("s"), &other).await.unwrap();
        assert!(matches!(answer, Registered::Quarantined(_)));
        let rows = [batch("s", &other, 1, &[vec![1]])];
        let outcome = &write(&store, &rows).await[0];
        assert!(matches!(
            outcome,
            Outcome::Refused(Refusal::Quarantined { .. })
        ));
        assert!(store.accept(&stream("s"), other.fingerprint()).unwrap());
        assert!(!store.accept(&stream("s"), other.fingerprint()).unwrap());
        assert!(is_new(&write(&store, &rows).await[0], 1));
        assert_eq!(read(&store, "s", &other).await.records.len(), 1);
    });
}

#[test]
fn event_times_of_any_unit_are_found_by_time() {
    let second = 1_700_000_000i64;
    let cases: [(&str, Vec<u8>); 6] = [
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            long(second * 1_000),
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-micros"}"#,
            long(second * 1_000_000),
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-nanos"}"#,
            long(second * 1_000_000_000),
        ),
        (r#""int""#, long(second)),
        (r#""long""#, long(second * 1_000_000)),
        (r#""string""#, text("2023-11-14T22:13:20Z")),
    ];
    for (of, datum) in cases {
        pollster::block_on(async {
            let store = in_memory();
            let schema = record(&format!(
                r#"{{"name":"t","type":{of},"xpt.eventTime":true}}"#
            ));
            store.register(&stream("s"), &schema).await.unwrap();
            let rows = [batch("s", &schema, 1, &[datum])];
            assert!(is_new(&write(&store, &rows).await[0], 1));
            let time = Timestamp::from_micros(second * 1_000_000);
            assert_eq!(
                store.newest(&stream("s")).await.unwrap(),
                Some(time),
                "{of}"
            );
        });
    }
}

#[test]
fn a_stream_without_event_time_has_no_newest() {
    pollster::block_on(async {
        let store = in_memory();
        let schema = record(r#"{"name":"v","type":"long"}"#);
        store.register(&stream("s"), &schema).await.unwrap();
        write(&store, &[batch("s", &schema, 1, &[long(1)])]).await;
        assert_eq!(store.newest(&stream("s")).await.unwrap(), None);
        assert_eq!(read(&store, "s", &schema).await.records[0].time, None);
    });
}

#[test]
fn a_refused_batch_leaves_nothing_behind() {
    pollster::block_on(async {
        let store = in_memory();
        let schema = record(r#"{"name":"v","type":"string"}"#);
        store.register(&stream("s"), &schema).await.unwrap();
        let outcomes = write(&store, &[batch("s", &schema, 1, &[vec![2, 0xff]])]).await;
        assert!(
            matches!(outcomes[0], Outcome::Refused(Refusal::Body(_))),
            "{outcomes:?}"
        );
        assert_eq!(store.migrations().unwrap(), []);
        assert_eq!(store.columns(&stream("s")).unwrap(), [""; 0]);
    });
}

#[test]
fn numbers_end_where_they_end() {
    pollster::block_on(async {
        let store = in_memory();
        let schema = record(r#"{"name":"v","type":"long"}"#);
        store.register(&stream("s"), &schema).await.unwrap();
        let last = (1u64 << 63) - 1;
        let fits = [batch("s", &schema, last - 1, &[long(1), long(2)])];
        assert!(is_new(&write(&store, &fits).await[0], 2));
        let beyond = [batch("s", &schema, last, &[long(1), long(2)])];
        let outcomes = write(&store, &beyond).await;
        assert!(matches!(
            outcomes[0],
            Outcome::Refused(Refusal::Numbers { .. })
        ));
    });
}

#[test]
fn limits_above_the_databases_own_poison_nothing() {
    pollster::block_on(async {
        let limits = Limits {
            columns_max: 100_000,
            ..Limits::default()
        };
        let options = SqliteOptions {
            limits,
            ..SqliteOptions::default()
        };
        let store = SqliteStore::in_memory(options).unwrap();
        let each = (0..3_000).map(|i| format!(r#"{{"name":"f{i}","type":"long"}}"#));
        let wide = record(&each.collect::<Vec<_>>().join(","));
        let narrow = record(r#"{"name":"v","type":"long"}"#);
        store.register(&stream("wide"), &wide).await.unwrap();
        store.register(&stream("narrow"), &narrow).await.unwrap();
        let datum: Vec<u8> = (0..3_000).flat_map(long).collect();
        let rows = [
            batch("narrow", &narrow, 1, &[long(1)]),
            batch("wide", &wide, 1, std::slice::from_ref(&datum)),
        ];
        let outcomes = write(&store, &rows).await;
        assert!(outcomes.iter().all(|o| is_new(o, 1)), "{outcomes:?}");
        assert_eq!(read(&store, "wide", &wide).await.records[0].datum, datum);
    });
}

#[test]
fn streams_and_schemas_are_bounded() {
    pollster::block_on(async {
        let limits = Limits {
            streams_max: 2,
            schemas_max: 3,
            ..Limits::default()
        };
        let options = SqliteOptions {
            limits,
            ..SqliteOptions::default()
        };
        let store = SqliteStore::in_memory(options).unwrap();
        let schema = record(r#"{"name":"v","type":"long"}"#);
        let mut outcomes = Vec::new();
        for name in ["a", "b", "c"] {
            store.register(&stream(name), &schema).await.unwrap();
            outcomes.extend(write(&store, &[batch(name, &schema, 1, &[long(1)])]).await);
        }
        let third = &outcomes[2];
        assert!(
            matches!(third, Outcome::Refused(Refusal::TooManyStreams { max: 2 })),
            "{third:?}"
        );
        for i in 0..5 {
            let next = record(&format!(
                r#"{{"name":"v","type":"long"}},{{"name":"w{i}","type":"long","default":0}}"#
            ));
            let answer = store.register(&stream("a"), &next).await.unwrap();
            let is_taken = matches!(answer, Registered::New { .. });
            assert_eq!(is_taken, i < 2, "{i}: {answer:?}");
        }
    });
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("theirs.sqlite");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs
        .execute_batch("CREATE TABLE notes(text TEXT)")
        .unwrap();
    drop(theirs);
    let bytes = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).unwrap();
        file.take(1 << 20).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let before = bytes();
    let open = SqliteStore::open(&path, SqliteOptions::default());
    assert!(matches!(open, Err(StoreError::Foreign)));
    let open = SqliteStore::open_read_only(&path, SqliteOptions::default());
    assert!(matches!(open, Err(StoreError::Foreign)));
    assert_eq!(bytes(), before);
}

#[test]
fn a_reader_follows_a_living_writer_and_leaves_nothing_behind() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.sqlite");
        let schema = record(r#"{"name":"v","type":"long"}"#);
        let writer = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        writer.register(&stream("s"), &schema).await.unwrap();
        write(&writer, &[batch("s", &schema, 1, &[long(1)])]).await;
        let count =
            async |store: &SqliteStore, name| read(store, name, &schema).await.records.len();
        let reader = SqliteStore::open_read_only(&path, SqliteOptions::default()).unwrap();
        assert_eq!(count(&reader, "s").await, 1);
        // A table that was not there when the reader was opened.
        writer.register(&stream("t"), &schema).await.unwrap();
        write(&writer, &[batch("t", &schema, 1, &[long(1), long(2)])]).await;
        assert_eq!(count(&reader, "t").await, 2);
        drop((reader, writer));

        let names = || {
            let files = std::fs::read_dir(dir.path()).unwrap();
            let mut names: Vec<_> = files.map(|f| f.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        let still = SqliteStore::open_read_only(&path, SqliteOptions::default()).unwrap();
        assert_eq!(count(&still, "t").await, 2);
        assert_eq!(names(), before);
        // A writer that comes later is followed, too.
        let writer = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        write(&writer, &[batch("t", &schema, 3, &[long(3)])]).await;
        assert_eq!(count(&still, "t").await, 3);
    });
}
