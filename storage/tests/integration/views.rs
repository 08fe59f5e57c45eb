//! What a person sees who opens the file with a tool.

use telemetry_core::Registry;
use telemetry_core::wire::{put_bytes, put_long};
use telemetry_storage::{SqliteOptions, SqliteStore};

use crate::faults::{batch, is_new, record, stream, write};

fn rows(path: &std::path::Path, sql: &str) -> Vec<Vec<String>> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut out = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let text = |i| match row.get_ref(i).unwrap() {
            rusqlite::types::ValueRef::Null => "-".to_owned(),
            rusqlite::types::ValueRef::Integer(v) => v.to_string(),
            rusqlite::types::ValueRef::Real(v) => v.to_string(),
            rusqlite::types::ValueRef::Text(v) => String::from_utf8(v.to_vec()).unwrap(),
            rusqlite::types::ValueRef::Blob(v) => format!("{v:02x?}"),
        };
        out.push((0..columns).map(text).collect());
    }
    out
}

#[test]
fn a_view_has_the_names_of_today_with_defaults_and_times_as_text() {
    pollster::block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.sqlite");
        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        let old = record(
            r#"{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"},"xpt.eventTime":true},
               {"name":"power","type":"int"}"#,
        );
        let new = record(
            r#"{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"},"xpt.eventTime":true},
               {"name":"watts","type":"double","aliases":["power"],"doc":"Power in watts."},
               {"name":"place","type":"string","default":"it's home"}"#,
        );
        let name = "lab.Ride";
        let mut datum = Vec::new();
        put_long(&mut datum, -1);
        put_long(&mut datum, 210);
        store.register(&stream(name), &old).await.unwrap();
        assert!(is_new(
            &write(&store, &[batch(name, &old, 1, &[datum])]).await[0],
            1
        ));
        store.register(&stream(name), &new).await.unwrap();
        let mut datum = Vec::new();
        put_long(&mut datum, 1_700_000_000_123);
        datum.extend_from_slice(&211.5f64.to_le_bytes());
        put_bytes(&mut datum, b"gym");
        assert!(is_new(
            &write(&store, &[batch(name, &new, 2, &[datum])]).await[0],
            1
        ));
        let seen = rows(
            &path,
            "SELECT device, time, seq, t, watts, place FROM lab_ride ORDER BY seq",
        );
        let device = "00000000-0000-0000-0000-000000000007";
        assert_eq!(
            seen,
            [
                [
                    device,
                    "1969-12-31T23:59:59.999000Z",
                    "1",
                    "1969-12-31T23:59:59.999000Z",
                    "210",
                    "it's home"
                ],
                [
                    device,
                    "2023-11-14T22:13:20.123000Z",
                    "2",
                    "2023-11-14T22:13:20.123000Z",
                    "211.5",
                    "gym"
                ],
            ]
        );
        let joined = rows(
            &path,
            "SELECT seq, version FROM lab_ride JOIN xpt_schema ON schema = fingerprint ORDER BY seq",
        );
        assert_eq!(joined, [["1", "1"], ["2", "2"]]);
        let units = rows(
            &path,
            "SELECT column_name, unit, meaning FROM units WHERE view_name = 'lab_ride' AND column_name IN ('t','watts')",
        );
        assert_eq!(units, [["t", "UTC", ""], ["watts", "", "Power in watts."]]);
    });
}
