//! Windows, frames and input, as a transcript of what the client is told.

use core::time::Duration;

use xp_wayland_shim::{
    ClientError, ClientId, Fixed, Handle, HookEvent, Input, Limits, Output, PointerEvent, Role,
    SurfaceChange, TouchEvent,
};

use crate::client::{A, Bench, CLIENT, DISPLAY, MODE, global};

const COMPOSITOR: u32 = 3;
const SHM: u32 = 4;
const WM_BASE: u32 = 5;
const SURFACE: u32 = 6;
const XDG_SURFACE: u32 = 7;
const TOPLEVEL: u32 = 8;
const POOL: u32 = 9;
const BUFFER: u32 = 10;
const FREE: u32 = 11;

const POOL_HANDLE: Handle = Handle(70);
const SIZE: u32 = 8 * 4 * 4;

fn bound(client: ClientId, bench: &mut Bench) {
    bench.bind_as(client, global::COMPOSITOR, COMPOSITOR);
    bench.bind_as(client, global::SHM, SHM);
    bench.bind_as(client, global::WM_BASE, WM_BASE);
    bench.send_as(client, COMPOSITOR, 0, &[A::W(SURFACE)]);
    bench.send_as(client, WM_BASE, 2, &[A::W(XDG_SURFACE), A::W(SURFACE)]);
    bench.send_as(client, XDG_SURFACE, 1, &[A::W(TOPLEVEL)]);
    bench.events_of(client);
}

/// A client that has committed its window and acknowledged the first configure.
fn configured(client: ClientId, bench: &mut Bench) {
    bound(client, bench);
    bench.send_as(client, SURFACE, 6, &[]);
    let events = bench.events_of(client);
    let configure = events.last().unwrap();
    assert_eq!((configure.object, configure.opcode), (XDG_SURFACE, 0));
    bench.send_as(client, XDG_SURFACE, 4, &[A::W(configure.words[0])]);
}

/// Two pictures in one pool, the first one attached and damaged.
fn drawn(client: ClientId, bench: &mut Bench, handle: Handle, colour: u32) {
    let pixels = colour.to_le_bytes().repeat(SIZE as usize / 4);
    bench.memory.0.insert(handle, pixels.repeat(2));
    let pool = crate::client::message(SHM, 0, &[A::W(POOL), A::W(SIZE * 2)]);
    bench.feed(client, &pool, &[handle]);
    let buffer = [BUFFER, 0, 8, 4, 32, 1].map(A::W);
    bench.send_as(client, POOL, 0, &buffer);
    attach(client, bench);
}

fn attach(client: ClientId, bench: &mut Bench) {
    bench.send_as(client, SURFACE, 1, &[BUFFER, 0, 0].map(A::W));
    bench.send_as(client, SURFACE, 9, &[0, 0, 8, 4].map(A::W));
    bench.send_as(client, SURFACE, 6, &[]);
}

#[test]
fn a_window_is_configured_mapped_and_shown() {
    let mut bench = Bench::new(Limits::default());
    bound(CLIENT, &mut bench);
    bench.send(SURFACE, 6, &[]);
    let events = bench.events();
    let (width, height) = (u32::from(MODE.width), u32::from(MODE.height));
    assert_eq!(events[0], (TOPLEVEL, 2, vec![width, height]));
    assert_eq!(events[1], (TOPLEVEL, 3, vec![4, 3]));
    assert_eq!(events[2], (TOPLEVEL, 0, vec![width, height, 8, 2, 4]));
    assert_eq!((events[3].0, events[3].1), (XDG_SURFACE, 0));
    bench.send(XDG_SURFACE, 4, &[A::W(events[3].2[0])]);
    bench.send(SURFACE, 3, &[A::W(POOL)]);
    // The callback took the id of the pool: use the next ones.
    bench
        .memory
        .0
        .insert(POOL_HANDLE, vec![0x40; SIZE as usize]);
    let pool = crate::client::message(SHM, 0, &[A::W(10), A::W(SIZE)]);
    bench.feed(CLIENT, &pool, &[POOL_HANDLE]);
    bench.send(10, 0, &[11, 0, 8, 4, 32, 1].map(A::W));
    bench.send(SURFACE, 1, &[11, 0, 0].map(A::W));
    bench.send(SURFACE, 9, &[0, 0, 8, 4].map(A::W));
    bench.send(SURFACE, 6, &[]);
    bench.events();

    assert!(bench.compose());
    assert_eq!(bench.display.pixel(7, 3), Some(0x40_4040));
    assert_eq!(
        bench.events(),
        [(POOL, 0, vec![1000]), (1, 1, vec![POOL])],
        "the frame callback is done, and its id is free"
    );
    assert!(!bench.compose(), "nothing changed");
    assert_eq!(bench.shim.poll_timeout(), None);

    let hooks: Vec<HookEvent> = std::iter::from_fn(|| bench.shim.take_hook_event()).collect();
    assert!(
        matches!(
            hooks[..],
            [
                HookEvent::Surface {
                    change: SurfaceChange::Created,
                    role: Role::None,
                    ..
                },
                HookEvent::Surface {
                    change: SurfaceChange::Mapped,
                    role: Role::Toplevel,
                    width: 8,
                    height: 4,
                    ..
                },
                HookEvent::FramePresented {
                    sequence: 1,
                    damage_px: 32,
                    ..
                },
            ]
        ),
        "{hooks:?}"
    );
}

/// The shape of a buffer is the client's; how much is read and held at once is not. [`Memory`]
/// refuses longer reads.
///
/// [`Memory`]: crate::client::Memory
#[test]
fn rows_far_apart_and_scaled_pixels_are_read_in_pieces() {
    const STRIDE: u32 = 8 << 20;
    for (scale, stride) in [(1, STRIDE), (2, STRIDE), (16, 8 * 16 * 4)] {
        let mut bench = Bench::new(Limits::default());
        configured(CLIENT, &mut bench);
        let (width, height) = (8 * scale, 4 * scale);
        let mut pixels = vec![0; (stride * height) as usize];
        for y in 0..4_u32 {
            for x in 0..8_u32 {
                let at = (y * scale * stride + x * scale * 4) as usize;
                pixels[at..at + 4].copy_from_slice(&(y << 8 | x).to_le_bytes());
            }
        }
        bench.memory.0.insert(POOL_HANDLE, pixels);
        let pool = crate::client::message(SHM, 0, &[A::W(POOL), A::W(stride * height)]);
        bench.feed(CLIENT, &pool, &[POOL_HANDLE]);
        bench.send(POOL, 0, &[BUFFER, 0, width, height, stride, 1].map(A::W));
        bench.send(SURFACE, 8, &[A::W(scale)]);
        attach(CLIENT, &mut bench);
        assert!(bench.compose());
        for y in 0..4 {
            for x in 0..8 {
                let expected = u32::from(y << 8 | x);
                assert_eq!(bench.display.pixel(x, y), Some(expected), "{scale} {x} {y}");
            }
        }
    }
}

#[test]
fn a_scale_that_no_screen_has_is_an_error() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    bench.send(SURFACE, 8, &[A::W(17)]);
    assert_eq!(bench.error(), Some(("wl_surface", SURFACE, 0)));
}

#[test]
fn frames_keep_their_distance_and_buffers_come_back() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    drawn(CLIENT, &mut bench, POOL_HANDLE, 0x11_2233);
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(0, 0), Some(0x11_2233));
    bench.events();

    // A second picture replaces the first, which is released.
    bench.send(POOL, 0, &[FREE, SIZE, 8, 4, 32, 1].map(A::W));
    bench.memory.0.get_mut(&POOL_HANDLE).unwrap()[SIZE as usize] = 0x99;
    bench.send(SURFACE, 1, &[FREE, 0, 0].map(A::W));
    bench.send(SURFACE, 9, &[0, 0, 1, 1].map(A::W));
    bench.send(SURFACE, 6, &[]);
    assert_eq!(bench.events(), [(BUFFER, 0, vec![])]);
    assert!(!bench.compose(), "the next frame is not due yet");
    let due = bench.shim.poll_timeout().unwrap();
    assert_eq!(due, bench.now + Limits::default().frame_interval);
    bench.now = due;
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(0, 0), Some(0x11_2299));

    // Destroyed in any order, the memory is closed once the picture is gone.
    bench.send(POOL, 1, &[]);
    bench.send(FREE, 0, &[]);
    bench.compose();
    assert_eq!(bench.memory.0.len(), 1, "the picture still needs its pool");
    bench.send(SURFACE, 1, &[0, 0, 0].map(A::W));
    bench.send(SURFACE, 6, &[]);
    bench.send(BUFFER, 0, &[]);
    bench.now = bench.now + Duration::from_secs(1);
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(0, 0), Some(0));
    assert!(bench.memory.0.is_empty());
}

#[test]
fn the_newest_window_fills_the_screen_and_the_one_below_comes_back() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    drawn(CLIENT, &mut bench, POOL_HANDLE, 0xaa_0000);
    bench.compose();
    let second = ClientId(2);
    bench.connect(second);
    configured(second, &mut bench);
    bench.events();
    drawn(second, &mut bench, Handle(71), 0x00_bb00);
    let deactivated = bench.events();
    assert_eq!(deactivated[0], (TOPLEVEL, 0, vec![8, 4, 4, 2]));
    bench.now = bench.now + Duration::from_secs(1);
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(4, 2), Some(0x00_bb00));
    bench.input(Input::Disconnected { client: second });
    bench.now = bench.now + Duration::from_secs(1);
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(4, 2), Some(0xaa_0000));
    assert_eq!(bench.memory.0.len(), 1);
}

#[test]
fn a_hidden_window_is_paced_but_not_stalled() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    drawn(CLIENT, &mut bench, POOL_HANDLE, 0);
    bench.compose();
    let second = ClientId(2);
    bench.connect(second);
    configured(second, &mut bench);
    drawn(second, &mut bench, Handle(71), 0);
    bench.now = bench.now + Duration::from_millis(100);
    bench.compose();
    bench.send(SURFACE, 3, &[A::W(FREE)]);
    bench.send(SURFACE, 6, &[]);
    bench.events();
    let due = bench.shim.poll_timeout().unwrap();
    assert!(due > bench.now + Duration::from_millis(500));
    bench.now = due;
    bench.compose();
    assert_eq!(bench.events()[0].0, FREE);
}

#[test]
fn input_reaches_the_window_and_its_latency_is_measured() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    bench.bind(global::SEAT, POOL);
    bench.send(POOL, 0, &[A::W(BUFFER)]);
    bench.send(POOL, 2, &[A::W(FREE)]);
    let (pointer, touch) = (BUFFER, FREE);
    // Pool and buffer with the ids after them.
    bench.memory.0.insert(POOL_HANDLE, vec![0; SIZE as usize]);
    let pool = crate::client::message(SHM, 0, &[A::W(12), A::W(SIZE)]);
    bench.feed(CLIENT, &pool, &[POOL_HANDLE]);
    bench.send(12, 0, &[13, 0, 8, 4, 32, 1].map(A::W));
    let commit = |bench: &mut Bench| {
        bench.send(SURFACE, 1, &[13, 0, 0].map(A::W));
        bench.send(SURFACE, 2, &[0, 0, 1, 1].map(A::W));
        bench.send(SURFACE, 6, &[]);
    };
    commit(&mut bench);
    bench.compose();
    bench.events();
    while bench.shim.take_hook_event().is_some() {}

    let (x, y) = (Fixed::from_pixels(3), Fixed::from_pixels(1));
    bench.input(Input::Pointer(PointerEvent::Motion { x, y }));
    let at = |e: &(u32, u16, Vec<u32>)| (e.0, e.1);
    let events = bench.events();
    let seen: Vec<_> = events.iter().map(at).collect();
    assert_eq!(
        seen,
        [(pointer, 0), (pointer, 5), (pointer, 2), (pointer, 5)],
        "enter, frame, motion, frame"
    );
    assert_eq!(&events[0].2[1..], &[SURFACE, 3 * 256, 256]);
    bench.input(Input::Touch(TouchEvent::Down { id: 0, x, y }));
    bench.input(Input::Touch(TouchEvent::Up { id: 0 }));
    let seen: Vec<_> = bench.events().iter().map(at).collect();
    assert_eq!(seen, [(touch, 0), (touch, 3), (touch, 1), (touch, 3)]);

    let delivered = bench.now;
    bench.now = bench.now + Duration::from_millis(40);
    commit(&mut bench);
    assert!(bench.compose());
    let latency = std::iter::from_fn(|| bench.shim.take_hook_event()).find_map(|e| match e {
        HookEvent::InputLatency {
            input, presented, ..
        } => Some((input, presented)),
        _ => None,
    });
    assert_eq!(latency, Some((delivered, bench.now)));
}

#[test]
fn presentation_feedback_tells_the_time() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    drawn(CLIENT, &mut bench, POOL_HANDLE, 0);
    bench.bind(global::PRESENTATION, FREE);
    bench.send(FREE, 1, &[A::W(SURFACE), A::W(12)]);
    bench.events();
    bench.send(SURFACE, 6, &[]);
    bench.send(FREE, 1, &[A::W(SURFACE), A::W(13)]);
    bench.send(SURFACE, 6, &[]);
    bench.compose();
    let events = bench.events();
    assert_eq!(events[0], (12, 2, vec![]), "superseded, so discarded");
    let presented = events.iter().find(|e| (e.0, e.1) == (13, 1)).unwrap();
    assert_eq!(presented.2, [0, 1, 0, 16_666_666, 0, 1, 0]);
}

#[test]
fn a_window_can_be_made_again_on_the_same_surface() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    drawn(CLIENT, &mut bench, POOL_HANDLE, 0xaa_0000);
    bench.compose();
    bench.events();
    bench.send(TOPLEVEL, 0, &[]);
    assert_eq!(bench.events()[0], (BUFFER, 0, vec![]), "released");
    bench.now = bench.now + Duration::from_secs(1);
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(0, 0), Some(0));

    bench.send(XDG_SURFACE, 1, &[A::W(TOPLEVEL)]);
    bench.send(SURFACE, 6, &[]);
    let configure = bench.events().pop().unwrap();
    bench.send(XDG_SURFACE, 4, &[A::W(configure.2[0])]);
    attach(CLIENT, &mut bench);
    bench.now = bench.now + Duration::from_secs(1);
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(0, 0), Some(0xaa_0000));
}

#[test]
fn a_message_waits_for_its_file_descriptor() {
    let mut bench = Bench::new(Limits::default());
    bound(CLIENT, &mut bench);
    bench.memory.0.insert(POOL_HANDLE, vec![0; SIZE as usize]);
    bench.send(SHM, 0, &[A::W(POOL), A::W(SIZE)]);
    bench.send(DISPLAY, 0, &[A::W(BUFFER)]);
    assert_eq!(bench.events(), [], "what follows waits as well");
    bench.feed(CLIENT, &[], &[POOL_HANDLE]);
    assert_eq!(bench.events().len(), 2, "done and delete_id of the sync");
    bench.compose();
    assert_eq!(bench.error(), None);
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let mut bench = Bench::new(Limits {
        transmit_bytes_max: 1000,
        ..Limits::default()
    });
    let sync = crate::client::message(DISPLAY, 0, &[A::W(COMPOSITOR)]).repeat(100);
    bench.feed(CLIENT, &sync, &[]);
    let outputs = bench.outputs();
    assert!(
        matches!(
            &outputs[..],
            [Output::Disconnect {
                error: ClientError::NotReading { max: 1000, .. },
                ..
            }]
        ),
        "{outputs:?}"
    );
}

#[test]
fn mistakes_end_the_client() {
    type Case = (fn(&mut Bench), (&'static str, u32, u32));
    let cases: [Case; 9] = [
        (|b| b.send(99, 0, &[]), ("wl_display", 1, 0)),
        (|b| b.send(SURFACE, 99, &[]), ("wl_display", 1, 1)),
        (|b| b.send(COMPOSITOR, 0, &[A::W(99)]), ("wl_display", 1, 0)),
        (
            |b| b.send(COMPOSITOR, 0, &[A::W(0xff00_0000)]),
            ("wl_display", 1, 0),
        ),
        (
            |b| b.send(XDG_SURFACE, 1, &[A::W(POOL)]),
            ("xdg_surface", XDG_SURFACE, 2),
        ),
        (
            |b| b.send(WM_BASE, 2, &[A::W(POOL), A::W(SURFACE)]),
            ("xdg_wm_base", WM_BASE, 0),
        ),
        (
            |b| b.send(XDG_SURFACE, 4, &[A::W(12345)]),
            ("xdg_surface", XDG_SURFACE, 4),
        ),
        (
            |b| drawn(CLIENT, b, POOL_HANDLE, 0),
            ("xdg_surface", XDG_SURFACE, 3),
        ),
        (|b| b.send(SURFACE, 0, &[]), ("wl_surface", SURFACE, 4)),
    ];
    for (i, (act, expected)) in cases.into_iter().enumerate() {
        let mut bench = Bench::new(Limits::default());
        bound(CLIENT, &mut bench);
        act(&mut bench);
        assert_eq!(bench.error(), Some(expected), "case {i}");
        bench.compose();
        assert!(bench.memory.0.is_empty(), "case {i} leaks a pool");
    }
}

#[test]
fn a_pool_that_is_too_short_costs_only_its_client() {
    let mut bench = Bench::new(Limits::default());
    configured(CLIENT, &mut bench);
    drawn(CLIENT, &mut bench, POOL_HANDLE, 0xaa_0000);
    bench.compose();
    let second = ClientId(2);
    bench.connect(second);
    configured(second, &mut bench);
    drawn(second, &mut bench, Handle(71), 0x00_bb00);
    bench.now = bench.now + Duration::from_secs(1);
    assert!(bench.compose());
    bench.memory.0.get_mut(&Handle(71)).unwrap().truncate(40);
    attach(second, &mut bench);
    bench.now = bench.now + Duration::from_secs(1);
    assert!(!bench.compose());
    assert_eq!(bench.error(), Some(("wl_buffer", BUFFER, 2)));
    bench.now = bench.now + Duration::from_secs(1);
    assert!(bench.compose());
    assert_eq!(bench.display.pixel(0, 0), Some(0xaa_0000));
}
