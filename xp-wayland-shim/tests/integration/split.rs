//! Foreign bytes: any split gives the same, and nothing panics.

use core::time::Duration;

use proptest::prelude::*;
use xp_wayland_shim::{
    ClientId, Fixed, Handle, Input, Limits, Output, PointerEvent, SourceId, TouchEvent,
};

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

/// One step of a session that is mostly right. Numbers pick among what makes sense.
#[derive(Clone, Debug)]
enum Step {
    Attach(bool),
    Damage([i32; 4]),
    Frame,
    Commit,
    Scale(u32),
    Geometry([i32; 4]),
    Ack,
    Buffer(u32),
    Grow(u32),
    DestroyBuffer,
    DestroyPool,
    DestroyToplevel,
    GetToplevel,
    Record(u64),
    Durable(u64),
    Pointer(i32, i32),
    Press(bool),
    Touch(i32, i32, i32),
    Lift(i32),
    Key(u32, bool),
    Compose,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || prop_oneof![8 => -4..12i32, 1 => any::<i32>()];
    let size = || prop_oneof![8 => 1..12i32, 1 => 1..=i32::MAX];
    let rect = move || {
        [
            number().boxed(),
            number().boxed(),
            size().boxed(),
            size().boxed(),
        ]
    };
    prop_oneof![
        4 => prop::bool::weighted(0.9).prop_map(Step::Attach),
        2 => rect().prop_map(Step::Damage),
        2 => Just(Step::Frame),
        6 => Just(Step::Commit),
        1 => (1u32..3).prop_map(Step::Scale),
        1 => rect().prop_map(Step::Geometry),
        4 => Just(Step::Ack),
        1 => (0u32..9).prop_map(Step::Buffer),
        1 => (64u32..80).prop_map(Step::Grow),
        1 => Just(Step::DestroyBuffer),
        1 => Just(Step::DestroyPool),
        1 => Just(Step::DestroyToplevel),
        1 => Just(Step::GetToplevel),
        2 => (0u64..4).prop_map(Step::Record),
        1 => (0u64..4).prop_map(Step::Durable),
        1 => (number(), number()).prop_map(|(x, y)| Step::Pointer(x, y)),
        1 => any::<bool>().prop_map(Step::Press),
        1 => (0..3i32, number(), number()).prop_map(|(id, x, y)| Step::Touch(id, x, y)),
        1 => (0..3i32).prop_map(Step::Lift),
        1 => (0u32..3, any::<bool>()).prop_map(|(k, p)| Step::Key(k, p)),
        6 => Just(Step::Compose),
    ]
}

/// The session of [`session`] without its last request, and what it needs to go on.
struct Walk {
    bench: Bench,
    source: SourceId,
    /// The next id that was never used.
    id: u32,
    buffer: u32,
    /// Size of the pool, 0 once it is destroyed.
    pool: u32,
    toplevel: Option<u32>,
    /// The window may have a picture.
    acked: bool,
    serial: u64,
}

impl Walk {
    fn new() -> Self {
        let mut bench = Bench::new(Limits::default());
        bench.memory.0.insert(Handle(5), vec![7; 80]);
        bench.memory.0.insert(Handle(6), b"keymap\0".to_vec());
        bench.input(Input::Keymap {
            handle: Handle(6),
            size: 7,
        });
        let start = session();
        bench.feed(CLIENT, &start[..start.len() - 16], &[Handle(5)]);
        for (request, id) in [(0, 15), (1, 16), (2, 17)] {
            bench.send(8, request, &[A::W(id)]);
        }
        let source = match bench.outputs()[0] {
            Output::SourceOpened { source, .. } => source,
            ref other => panic!("{other:?}"),
        };
        bench.input(Input::Resume { source, serial: 0 });
        Self {
            bench,
            source,
            id: 18,
            buffer: 14,
            pool: 64,
            toplevel: Some(12),
            acked: false,
            serial: 1,
        }
    }

    fn fresh(&mut self) -> u32 {
        self.id += 1;
        self.id - 1
    }

    /// Sends a request, unless the client was disconnected before.
    fn send(&mut self, object: u32, opcode: u16, args: &[A<'_>]) {
        let bytes = message(object, opcode, args);
        let input = Input::Bytes {
            client: CLIENT,
            bytes: &bytes,
            handles: &[],
        };
        let _ = self.bench.shim.handle_input(self.bench.now, input);
    }

    fn take(&mut self, step: Step) {
        let words = |v: [i32; 4]| v.map(|w| A::W(w as u32));
        let fixed = Fixed::from_pixels;
        match step {
            Step::Attach(true) if self.acked && self.buffer != 0 => {
                self.send(10, 1, &[self.buffer, 0, 0].map(A::W));
            }
            Step::Attach(false) => {
                self.send(10, 1, &[0; 3].map(A::W));
                self.take(Step::Commit);
                self.acked = false;
            }
            Step::Damage(rect) => self.send(10, 2, &words(rect)),
            Step::Frame => {
                let id = self.fresh();
                self.send(10, 3, &[A::W(id)]);
            }
            Step::Commit if self.toplevel.is_some() => self.send(10, 6, &[]),
            Step::Scale(scale) => self.send(10, 8, &[A::W(scale)]),
            Step::Geometry(rect) if self.toplevel.is_some() => self.send(11, 3, &words(rect)),
            Step::Ack => {
                for event in self.bench.events_of(CLIENT) {
                    if (event.object, event.opcode) == (11, 0) {
                        self.send(11, 4, &[A::W(event.words[0])]);
                        self.acked = true;
                    }
                }
            }
            Step::Buffer(offset) if self.pool != 0 => {
                self.buffer = self.fresh();
                let buffer = [self.buffer, offset.min(self.pool - 64), 4, 4, 16, 1];
                self.send(13, 0, &buffer.map(A::W));
            }
            Step::Grow(size) if self.pool != 0 => {
                self.pool = self.pool.max(size);
                self.send(13, 2, &[A::W(self.pool)]);
            }
            Step::DestroyBuffer if self.buffer != 0 => {
                self.send(self.buffer, 0, &[]);
                self.buffer = 0;
            }
            Step::DestroyPool if self.pool != 0 => {
                self.send(13, 1, &[]);
                self.pool = 0;
            }
            Step::DestroyToplevel => {
                if let Some(toplevel) = self.toplevel.take() {
                    self.send(toplevel, 0, &[]);
                    self.acked = false;
                }
            }
            Step::GetToplevel if self.toplevel.is_none() => {
                let id = self.fresh();
                self.toplevel = Some(id);
                self.send(11, 1, &[A::W(id)]);
            }
            Step::Record(back) => {
                let serial = self.serial.saturating_sub(back);
                self.serial = self.serial.max(serial + 1);
                self.send(9, 2, &[A::W(0), A::W(serial as u32), A::B(b"r")]);
            }
            Step::Durable(back) => {
                let (source, serial) = (self.source, self.serial.saturating_sub(back));
                let input = Input::Durable { source, serial };
                let _ = self.bench.shim.handle_input(self.bench.now, input);
            }
            Step::Pointer(x, y) => {
                let (x, y) = (fixed(x), fixed(y));
                let event = PointerEvent::Motion { x, y };
                self.bench.input(Input::Pointer(event));
            }
            Step::Press(pressed) => {
                let event = PointerEvent::Button {
                    button: 0x110,
                    pressed,
                };
                self.bench.input(Input::Pointer(event));
            }
            Step::Touch(id, x, y) => {
                let (x, y) = (fixed(x), fixed(y));
                self.bench
                    .input(Input::Touch(TouchEvent::Down { id, x, y }));
            }
            Step::Lift(id) => self.bench.input(Input::Touch(TouchEvent::Up { id })),
            Step::Key(key, pressed) => self.bench.input(Input::Key { key, pressed }),
            Step::Compose => {
                self.bench.now = self.bench.now + Duration::from_millis(17);
                self.bench.compose();
            }
            _ => {}
        }
    }
}

proptest! {
    /// Whatever a client does and in whatever order, every handle is closed once, the shim asks
    /// for no frame that nobody waits for, and nothing panics.
    #[test]
    fn long_sessions_end_clean(
        steps in proptest::collection::vec(step(), 0..120),
        truncated in proptest::option::of(0usize..200),
    ) {
        let mut walk = Walk::new();
        for (i, step) in steps.into_iter().enumerate() {
            if let (true, Some(memory)) = (truncated == Some(i), walk.bench.memory.0.get_mut(&Handle(5))) {
                memory.truncate(60);
            }
            walk.take(step);
        }
        let mut bench = walk.bench;
        bench.input(Input::Disconnected { client: CLIENT });
        for _ in 0..2 {
            bench.now = bench.now + Duration::from_secs(1);
            bench.compose();
        }
        prop_assert_eq!(bench.shim.poll_timeout(), None);
        prop_assert_eq!(bench.memory.0.keys().collect::<Vec<_>>(), [&Handle(6)]);
        prop_assert_eq!(bench.display.pixel(0, 0), Some(0));
    }

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
            bench.now = bench.now + Duration::from_millis(17);
            bench.compose();
        }
        bench.input(Input::Disconnected { client: CLIENT });
        bench.compose();
        prop_assert!(bench.memory.0.is_empty(), "every handle is closed");
        bench.connect(ClientId(2));
    }
}
