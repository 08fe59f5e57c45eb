//! One SQLite file: contract, reopening, versions, ledger.

use telemetry_core::records::{Enrichment, SurfaceEvent};
use telemetry_core::{AvroRecord, Registry, Schema, Timestamp, stream_of};
use telemetry_storage::contract::{self, batch};
use telemetry_storage::{
    Accounting, Action, AnyStore, Limits, OpenError, Outcome, Refusal, Selection, SqliteOptions,
    SqliteStore, Store, StoreError, Write,
};

fn event(second: i64) -> SurfaceEvent {
    SurfaceEvent {
        time: Timestamp::from_micros(second * 1_000_000),
        surface: 1,
        event: "mapped".to_owned(),
        ..SurfaceEvent::default()
    }
}

async fn put(store: &SqliteStore, first: u64, events: &[SurfaceEvent]) -> Outcome {
    let batch = batch(7, 1, first, events);
    let enrichment = Enrichment::default();
    let write = Write {
        batch: &batch,
        enrichment: &enrichment,
    };
    store.write(&[write]).await.remove(0)
}

#[test]
fn passes_the_contract() {
    let store = SqliteStore::in_memory(SqliteOptions::default()).unwrap();
    pollster::block_on(contract::all(&store));
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.sqlite");
    let schema = Schema::parse(SurfaceEvent::SCHEMA).unwrap();
    let stream = stream_of::<SurfaceEvent>();
    pollster::block_on(async {
        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        store.register(&stream, &schema).await.unwrap();
        put(&store, 1, &[event(0), event(1)]).await;
        let (columns, migrations) = (store.columns(&stream), store.migrations().unwrap());
        drop(store);

        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        assert_eq!(store.columns(&stream).unwrap(), columns.unwrap());
        assert_eq!(store.migrations().unwrap(), migrations);
        assert_eq!(migrations.len(), 1);
        assert!(matches!(
            put(&store, 1, &[event(0), event(1), event(2)]).await,
            Outcome::Stored {
                new: 1,
                duplicates: 2,
                conflicts: 0
            }
        ));
        let rows = store
            .read(&stream, &Selection::default(), &schema)
            .await
            .unwrap();
        assert_eq!(rows.records.len(), 3);
    });
}

#[test]
fn the_ledger_shows_what_is_missing() {
    pollster::block_on(async {
        let store = SqliteStore::in_memory(SqliteOptions::default()).unwrap();
        let schema = Schema::parse(SurfaceEvent::SCHEMA).unwrap();
        store
            .register(&stream_of::<SurfaceEvent>(), &schema)
            .await
            .unwrap();
        put(&store, 1, &[event(0)]).await;
        put(&store, 4, &[event(3)]).await;
        let [line] = &store.presence().await.unwrap()[..] else {
            panic!("one device, one stream");
        };
        assert_eq!((line.stored, line.last_seq), (2, 4));
    });
}

#[test]
fn a_table_stops_growing_at_the_limit_and_keeps_the_rest_in_extra() {
    pollster::block_on(async {
        let limits = Limits {
            columns_max: 2,
            ..Limits::default()
        };
        let store = SqliteStore::in_memory(SqliteOptions {
            limits,
            ..SqliteOptions::default()
        })
        .unwrap();
        let schema = Schema::parse(SurfaceEvent::SCHEMA).unwrap();
        let stream = stream_of::<SurfaceEvent>();
        store.register(&stream, &schema).await.unwrap();
        let outcome = put(&store, 1, &[event(0)]).await;
        assert!(
            matches!(outcome, Outcome::Stored { new: 1, .. }),
            "{outcome:?}"
        );
        // Those of the enrichment are the store's own.
        assert_eq!(store.columns(&stream).unwrap().len(), 2 - 2);
        let page = store
            .read(&stream, &Selection::default(), &schema)
            .await
            .unwrap();
        assert_eq!(page.records[0].read_as::<SurfaceEvent>().unwrap(), event(0));
    });
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let ours = 0x5850_5400;
    connection
        .pragma_update(None, "application_id", ours)
        .unwrap();
    drop(connection);
    assert!(matches!(
        SqliteStore::open(&path, SqliteOptions::default()),
        Err(StoreError::Version { found: 99, .. })
    ));
}

/// A store in a file, with the schema of surface events.
async fn with_events(path: &std::path::Path, options: SqliteOptions) -> SqliteStore {
    let store = SqliteStore::open(path, options).unwrap();
    let schema = Schema::parse(SurfaceEvent::SCHEMA).unwrap();
    let stream = stream_of::<SurfaceEvent>();
    store.register(&stream, &schema).await.unwrap();
    store
}

#[test]
fn a_row_that_the_database_refuses_harms_no_neighbour() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.sqlite");
        let store = with_events(&path, SqliteOptions::default()).await;
        put(&store, 1, &[event(0)]).await;
        let other = rusqlite::Connection::open(&path).unwrap();
        let table: String = other
            .query_row("SELECT table_name FROM xpt_stream", [], |row| row.get(0))
            .unwrap();
        let trigger = format!(
            "CREATE TRIGGER no_third BEFORE INSERT ON \"{table}\" WHEN new.seq = 3
             BEGIN SELECT RAISE(ABORT, 'no third'); END"
        );
        other.execute_batch(&trigger).unwrap();

        let batches: Vec<_> = (2..5).map(|n| batch(7, 1, n, &[event(n as i64)])).collect();
        let enrichment = Enrichment::default();
        let writes = batches.iter().map(|batch| Write {
            batch,
            enrichment: &enrichment,
        });
        let outcomes = store.write(&writes.collect::<Vec<_>>()).await;
        let [
            Outcome::Stored { new: 1, .. },
            Outcome::Refused(refusal),
            Outcome::Stored { new: 1, .. },
        ] = &outcomes[..]
        else {
            panic!("{outcomes:?}");
        };
        assert!(matches!(refusal, Refusal::Row { .. }), "{refusal}");
        assert_eq!(refusal.action(), Action::SetAside);
        assert_eq!(store.presence().await.unwrap()[0].stored, 3);
    });
}

#[test]
fn what_stands_in_the_way_is_told_from_a_broken_disk() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.sqlite");
        let options = SqliteOptions {
            busy_timeout: std::time::Duration::ZERO,
            ..SqliteOptions::default()
        };
        let store = with_events(&path, options).await;
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let Outcome::Unknown(busy) = put(&store, 1, &[event(0)]).await else {
            panic!("another process writes");
        };
        assert_eq!(busy.action(), Action::Retry, "{busy}");
        other.execute_batch("ROLLBACK").unwrap();
        let again = put(&store, 1, &[event(0)]).await;
        assert!(matches!(again, Outcome::Stored { new: 1, .. }), "{again:?}");

        let store = SqliteStore::open_read_only(&path, options).unwrap();
        let outcome = put(&store, 2, &[event(1)]).await;
        assert!(
            matches!(outcome, Outcome::Unknown(StoreError::ReadOnly)),
            "{outcome:?}"
        );
        let nowhere = SqliteStore::open(&dir.path().join("no/rows.sqlite"), options);
        assert_eq!(nowhere.unwrap_err().action(), Action::RepairDisk);
    });
}

#[test]
fn a_url_names_a_store() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("rows.sqlite").display());
        contract::all(&AnyStore::open(&url).await.unwrap()).await;
        for (url, said) in [
            (
                "casandra://h1/ks",
                "casandra is no store that is known here: known are sqlite:",
            ),
            (
                "rows.sqlite",
                "rows.sqlite names no store: a URL begins with one of sqlite:",
            ),
            ("sqlite:", "sqlite: names no file"),
        ] {
            let error: OpenError = AnyStore::open(url).await.unwrap_err();
            assert_eq!(error.to_string(), said);
        }
    });
}

#[cfg(unix)]
#[test]
fn a_store_and_its_journal_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.sqlite");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    let schema = Schema::parse(SurfaceEvent::SCHEMA).unwrap();
    pollster::block_on(store.register(&stream_of::<SurfaceEvent>(), &schema)).unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["rows.sqlite", "rows.sqlite-shm", "rows.sqlite-wal"]);
}
