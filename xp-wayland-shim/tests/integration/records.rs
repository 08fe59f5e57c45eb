//! `xp_telemetry_v1`: what a client may do, and what it is told otherwise.

use xp_wayland_shim::{
    ClientError, ClientId, Input, InputError, Limits, Output, Refusal, SourceId,
};

use crate::client::{A, Bench, CLIENT, global};

const MANAGER: u32 = 3;
const SOURCE: u32 = 4;
const OPEN: u16 = 1;
const SCHEMA: u16 = 1;
const RECORD: u16 = 2;
const RESUME: u16 = 0;
const CREDIT: u16 = 1;
const DURABLE: u16 = 2;

/// A client with an open source that was resumed at `serial` and announced a schema.
fn resumed(window: u32, serial: u64) -> (Bench, SourceId) {
    let mut bench = Bench::new(Limits {
        record_window: window,
        ..Limits::default()
    });
    bench.bind(global::MANAGER, MANAGER);
    bench.send(MANAGER, OPEN, &[A::W(SOURCE), A::T("ride")]);
    let source = match &bench.outputs()[..] {
        [Output::SourceOpened { source, name, .. }] if name == "ride" => *source,
        other => panic!("{other:?}"),
    };
    bench.input(Input::Resume { source, serial });
    bench.send(SOURCE, SCHEMA, &[A::B(b"\"lo"), A::W(0)]);
    bench.send(SOURCE, SCHEMA, &[A::B(b"ng\""), A::W(1)]);
    let text = "\"long\"".to_owned();
    assert_eq!(bench.outputs(), [Output::SchemaAnnounced { source, text }]);
    (bench, source)
}

fn record(bench: &mut Bench, serial: u64, bytes: &[u8]) {
    let (hi, lo) = ((serial >> 32) as u32, serial as u32);
    bench.send(SOURCE, RECORD, &[A::W(hi), A::W(lo), A::B(bytes)]);
}

#[test]
fn records_pass_in_order_and_become_durable() {
    let start = u64::from(u32::MAX);
    let (mut bench, source) = resumed(2, start);
    assert_eq!(
        bench.events(),
        [
            (SOURCE, RESUME, vec![0, u32::MAX]),
            (SOURCE, CREDIT, vec![2])
        ]
    );
    record(&mut bench, start + 1, b"one");
    record(&mut bench, start + 2, b"two");
    let expected = |serial, bytes: &[u8]| Output::Record {
        source,
        serial,
        bytes: bytes.to_vec(),
    };
    assert_eq!(
        bench.outputs(),
        [expected(start + 1, b"one"), expected(start + 2, b"two")]
    );
    let serial = start + 2;
    bench.input(Input::Durable { source, serial });
    // Told twice is no news.
    bench.input(Input::Durable { source, serial });
    assert_eq!(
        bench.events(),
        [(SOURCE, DURABLE, vec![1, 1]), (SOURCE, CREDIT, vec![2])]
    );
    let (serial, last) = (start + 3, start + 2);
    let refused = bench
        .shim
        .handle_input(bench.now, Input::Durable { source, serial });
    assert_eq!(
        refused,
        Err(InputError::NotReceived {
            source_id: source,
            serial,
            last
        })
    );
}

#[test]
fn a_repeated_record_is_answered_and_dropped() {
    let (mut bench, source) = resumed(1, 7);
    bench.events();
    record(&mut bench, 3, b"again");
    assert_eq!(bench.outputs(), []);
    assert_eq!(
        bench.events(),
        [(SOURCE, DURABLE, vec![0, 7]), (SOURCE, CREDIT, vec![1])]
    );
    record(&mut bench, 8, b"new");
    assert!(
        matches!(&bench.outputs()[..], [Output::Record { source: s, serial: 8, .. }] if *s == source)
    );
    assert_eq!(bench.shim.stats().records_repeated, 1);
}

#[test]
fn a_source_is_closed_with_its_client_and_can_be_opened_again() {
    let (mut bench, source) = resumed(1, 0);
    bench.input(Input::Disconnected { client: CLIENT });
    assert_eq!(bench.outputs(), [Output::SourceClosed { source }]);
    let late = Input::Durable { source, serial: 0 };
    assert_eq!(
        bench.shim.handle_input(bench.now, late),
        Err(InputError::UnknownSource { source_id: source })
    );
    let second = ClientId(2);
    bench.connect(second);
    bench.bind_as(second, global::MANAGER, MANAGER);
    bench.send_as(second, MANAGER, OPEN, &[A::W(SOURCE), A::T("ride")]);
    assert!(
        matches!(&bench.outputs()[..], [Output::SourceOpened { source: s, .. }] if *s != source)
    );
}

#[test]
fn mistakes_end_the_client() {
    let source = |error| Some(("xp_telemetry_source_v1", SOURCE, error));
    let manager = |error| Some(("xp_telemetry_manager_v1", MANAGER, error));
    type Case = (fn(&mut Bench), Option<(&'static str, u32, u32)>);
    let cases: [Case; 8] = [
        (|b| record(b, 1, &[0; 4001]), source(3)),
        (|b| record(b, 1, b""), source(3)),
        (|b| record(b, 2, b"gap"), source(2)),
        (
            |b| {
                record(b, 1, b"one");
                record(b, 2, b"no credit");
            },
            source(1),
        ),
        (
            |b| b.send(SOURCE, SCHEMA, &[A::B(b"\xff"), A::W(1)]),
            source(4),
        ),
        (
            |b| (0..17).for_each(|_| b.send(SOURCE, SCHEMA, &[A::B(&[b' '; 4000]), A::W(0)])),
            source(4),
        ),
        (
            |b| {
                b.send(SOURCE, SCHEMA, &[A::B(b"{"), A::W(0)]);
                record(b, 1, b"inside a schema");
            },
            source(5),
        ),
        (
            |b| b.send(MANAGER, OPEN, &[A::W(SOURCE + 1), A::T("ride")]),
            manager(1),
        ),
    ];
    for (i, (act, expected)) in cases.into_iter().enumerate() {
        let (mut bench, _) = resumed(1, 0);
        bench.events();
        // Cases that send on after the mistake would be refused; none does.
        act(&mut bench);
        assert_eq!(bench.error(), expected, "case {i}");
        let (object, number) = expected.map(|(_, o, n)| (o, n)).unwrap();
        let last = bench.events().pop().unwrap();
        assert_eq!(
            (last.0, last.1, &last.2[..2]),
            (1, 0, &[object, number][..])
        );
        let more = Input::Bytes {
            client: CLIENT,
            bytes: &[0; 8],
            handles: &[],
        };
        assert!(bench.shim.handle_input(bench.now, more).is_err());
    }
}

#[test]
fn a_record_before_resume_is_refused() {
    let mut bench = Bench::new(Limits::default());
    bench.bind(global::MANAGER, MANAGER);
    bench.send(MANAGER, OPEN, &[A::W(SOURCE), A::T("ride")]);
    bench.send(SOURCE, SCHEMA, &[A::B(b"\"long\""), A::W(1)]);
    record(&mut bench, 1, b"early");
    assert_eq!(bench.error(), Some(("xp_telemetry_source_v1", SOURCE, 0)));
}

#[test]
fn outputs_that_nobody_takes_stop_the_clients() {
    let (mut bench, _) = resumed(5000, 0);
    let mut refused = None;
    for serial in 1..5000 {
        let bytes = crate::client::message(SOURCE, RECORD, &[A::W(0), A::W(serial), A::B(b"r")]);
        let input = Input::Bytes {
            client: CLIENT,
            bytes: &bytes,
            handles: &[],
        };
        if let Err(error) = bench.shim.handle_input(bench.now, input) {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refused, Some(InputError::Full { waiting: 4096 }));
    assert_eq!(bench.outputs().len(), 4096);
    record(&mut bench, 4097, b"goes on");
    assert_eq!(bench.outputs().len(), 1);
}

#[test]
fn a_client_hears_why_the_caller_cannot_take_what_it_sent() {
    for (refusal, object, number) in [
        (Refusal::Schema, SOURCE, 4),
        (Refusal::Record, SOURCE, 3),
        (Refusal::Limit, 1, 2),
    ] {
        let (mut bench, source) = resumed(1, 0);
        record(&mut bench, 1, b"one");
        let long = "é".repeat(2_000);
        bench.input(Input::Refuse {
            source,
            refusal,
            reason: &long,
        });
        // What came before stays, in order; then the source is closed and the client is out.
        let outputs = bench.outputs();
        let [
            Output::Record { .. },
            Output::SourceClosed { .. },
            Output::Disconnect {
                error:
                    ClientError::Protocol {
                        object: blamed,
                        error,
                        message,
                        ..
                    },
                ..
            },
        ] = &outputs[..]
        else {
            panic!("{outputs:?}");
        };
        assert_eq!((*blamed, *error), (object, number));
        assert_eq!(message.len(), 512);
        let again = Input::Refuse {
            source,
            refusal,
            reason: "",
        };
        let refused = bench.shim.handle_input(bench.now, again);
        assert_eq!(
            refused,
            Err(InputError::UnknownSource { source_id: source })
        );
    }
}
