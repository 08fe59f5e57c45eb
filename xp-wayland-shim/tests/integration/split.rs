//! Foreign bytes: any split gives the same, and nothing panics.

use proptest::prelude::*;
use xp_wayland_shim::{ClientId, Handle, Input, Limits, Output};

use crate::client::{A, Bench, CLIENT, Event, global, message};

/// Opens a source and sends records, maps a window, and ends with a mistake.
fn session() -> Vec<u8> {
    let bind = |(name, interface, version): (u32, &str, u32), id| {
        message(
            2,
            0,
            &[A::W(name), A::T(interface), A::W(version), A::W(id)],
        )
    };
    [
        bind(global::COMPOSITOR, 3),
        bind(global::SHM, 4),
        bind(global::WM_BASE, 5),
        bind(global::MANAGER, 6),
        bind(global::OUTPUT, 7),
        bind(global::SEAT, 8),
        message(6, 1, &[A::W(9), A::T("split")]),
        message(9, 1, &[A::B(b"\"int\""), A::W(1)]),
        message(3, 0, &[A::W(10)]),
        message(5, 2, &[A::W(11), A::W(10)]),
        message(11, 1, &[A::W(12)]),
        message(12, 2, &[A::T("Workout")]),
        message(10, 6, &[]),
        message(4, 0, &[A::W(13), A::W(64)]),
        message(13, 0, &[14, 0, 4, 4, 16, 1].map(A::W)),
        message(1, 0, &[A::W(15)]),
        message(12, 7, &[A::W(1), A::W(u32::MAX)]),
    ]
    .concat()
}

fn run(pieces: &[&[u8]]) -> (Vec<Output>, Vec<Event>) {
    let mut bench = Bench::new(Limits::default());
    bench.memory.0.insert(Handle(5), vec![0; 64]);
    let mut handles = &[Handle(5)][..];
    for bytes in pieces {
        let input = Input::Bytes {
            client: CLIENT,
            bytes,
            handles: std::mem::take(&mut handles),
        };
        if bench.shim.handle_input(bench.now, input).is_err() {
            break;
        }
    }
    let outputs = bench.outputs();
    (outputs, bench.events_of(CLIENT))
}

proptest! {
    #[test]
    fn any_split_gives_the_same(mut cuts in proptest::collection::vec(0usize..700, 0..20)) {
        let bytes = session();
        cuts.retain(|c| *c < bytes.len());
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(run(&pieces), run(&[&bytes]));
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        seed_session: bool,
    ) {
        let mut bench = Bench::new(Limits::default());
        let start = if seed_session { session() } else { Vec::new() };
        let bytes = [&start[..start.len().saturating_sub(16)], &bytes].concat();
        bench.memory.0.insert(Handle(5), vec![0; 64]);
        let input = Input::Bytes { client: CLIENT, bytes: &bytes, handles: &[Handle(5)] };
        prop_assert!(bench.shim.handle_input(bench.now, input).is_ok());
        bench.compose();
    }

    /// Well-formed requests with random objects, opcodes and small numbers reach deep into the
    /// handlers.
    #[test]
    fn random_requests_never_panic(
        requests in proptest::collection::vec((1u32..20, 0u16..14, proptest::collection::vec(prop_oneof![9 => 0u32..20, 1 => any::<u32>()], 0..7)), 1..60)
    ) {
        let mut bench = Bench::new(Limits::default());
        bench.memory.0.insert(Handle(5), vec![0; 64]);
        let start = session();
        bench.feed(CLIENT, &start[..start.len() - 16], &[Handle(5)]);
        for (object, opcode, words) in requests {
            let args: Vec<A<'_>> = words.iter().map(|w| A::W(*w)).collect();
            let bytes = message(object, opcode, &args);
            let input = Input::Bytes { client: CLIENT, bytes: &bytes, handles: &[] };
            if bench.shim.handle_input(bench.now, input).is_err() {
                break;
            }
            bench.now = bench.now + std::time::Duration::from_millis(17);
            bench.compose();
        }
        bench.input(Input::Disconnected { client: CLIENT });
        bench.compose();
        prop_assert!(bench.memory.0.is_empty(), "every handle is closed");
        bench.connect(ClientId(2));
    }
}
