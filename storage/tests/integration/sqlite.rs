//! One SQLite file: contract, reopening, versions, ledger.

use telemetry_core::records::{Enrichment, SurfaceEvent};
use telemetry_core::{AvroRecord, Registry, Schema, Timestamp, stream_of};
use telemetry_storage::contract::{self, batch};
use telemetry_storage::{
    Delivery, Limits, Outcome, Refusal, Selection, SqliteOptions, SqliteStore, Store, StoreError,
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
    let delivery = Delivery {
        batch: &batch,
        enrichment: &enrichment,
    };
    store.write(&[delivery]).await.unwrap().remove(0)
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
        assert_eq!(store.columns(&stream), columns);
        assert_eq!(store.migrations().unwrap(), migrations);
        assert_eq!(migrations.len(), 1);
        assert!(matches!(
            put(&store, 1, &[event(0), event(1), event(2)]).await,
            Outcome::Stored {
                new: 1,
                duplicates: 2
            }
        ));
        let rows = store
            .read(&stream, &Selection::default(), &schema)
            .await
            .unwrap();
        assert_eq!(rows.len(), 3);
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
        let [line] = &store.presence().unwrap()[..] else {
            panic!("one device, one stream");
        };
        assert_eq!((line.stored, line.last_seq), (2, 4));
    });
}

#[test]
fn a_table_stops_growing_at_the_limit() {
    pollster::block_on(async {
        let limits = Limits {
            columns_max: 10,
            ..Limits::default()
        };
        let store = SqliteStore::in_memory(SqliteOptions { limits }).unwrap();
        let schema = Schema::parse(SurfaceEvent::SCHEMA).unwrap();
        store
            .register(&stream_of::<SurfaceEvent>(), &schema)
            .await
            .unwrap();
        assert!(matches!(
            put(&store, 1, &[event(0)]).await,
            Outcome::Refused(Refusal::TooManyColumns { max: 10, .. })
        ));
    });
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(
        SqliteStore::open(&path, SqliteOptions::default()),
        Err(StoreError::Version { found: 99, .. })
    ));
}
