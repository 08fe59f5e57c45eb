//! A real client (`wayland-client`, its Rust back end) over a socket pair.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use telemetry_core::Instant;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{
    wl_buffer, wl_callback, wl_compositor, wl_keyboard, wl_registry, wl_seat, wl_shm, wl_shm_pool,
    wl_surface,
};
use wayland_client::{Connection, Dispatch, DispatchError, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols::xdg::shell::client::{xdg_surface, xdg_toplevel, xdg_wm_base};
use xp_wayland_shim::unix::UnixHost;
use xp_wayland_shim::{ClientError, Limits, MemoryDisplay, Output, OutputMode, Shim};

const WIDTH: u16 = 32;
const HEIGHT: u16 = 16;
const MODE: OutputMode = OutputMode::new(WIDTH, HEIGHT);
const BYTES: usize = 32 * 16 * 4;

/// These tests count the sockets and memory files of the process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

#[derive(Default)]
struct State {
    configured: bool,
    frames: u32,
    keymap: Option<(OwnedFd, u32)>,
}

impl Dispatch<wl_registry::WlRegistry, GlobalListContents> for State {
    fn event(
        _: &mut Self,
        _: &wl_registry::WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

impl Dispatch<xdg_surface::XdgSurface, ()> for State {
    fn event(
        state: &mut Self,
        surface: &xdg_surface::XdgSurface,
        event: xdg_surface::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let xdg_surface::Event::Configure { serial } = event {
            surface.ack_configure(serial);
            state.configured = true;
        }
    }
}

impl Dispatch<wl_callback::WlCallback, ()> for State {
    fn event(
        state: &mut Self,
        _: &wl_callback::WlCallback,
        _: wl_callback::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        state.frames += 1;
    }
}

impl Dispatch<wl_keyboard::WlKeyboard, ()> for State {
    fn event(
        state: &mut Self,
        _: &wl_keyboard::WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_keyboard::Event::Keymap { fd, size, .. } = event {
            state.keymap = Some((fd, size));
        }
    }
}

delegate_noop!(State: ignore wl_seat::WlSeat);
delegate_noop!(State: wl_compositor::WlCompositor);
delegate_noop!(State: ignore wl_shm::WlShm);
delegate_noop!(State: wl_shm_pool::WlShmPool);
delegate_noop!(State: ignore wl_buffer::WlBuffer);
delegate_noop!(State: ignore wl_surface::WlSurface);
delegate_noop!(State: ignore xdg_wm_base::XdgWmBase);
delegate_noop!(State: ignore xdg_toplevel::XdgToplevel);

/// A window with its memory.
struct Window {
    queue: EventQueue<State>,
    state: State,
    surface: wl_surface::WlSurface,
    file: OwnedFd,
}

impl Window {
    fn open(stream: UnixStream) -> Result<Self, DispatchError> {
        let connection = Connection::from_socket(stream).unwrap();
        let (globals, mut queue) = registry_queue_init::<State>(&connection).unwrap();
        let qh = queue.handle();
        let compositor: wl_compositor::WlCompositor = globals.bind(&qh, 4..=6, ()).unwrap();
        let shm: wl_shm::WlShm = globals.bind(&qh, 1..=1, ()).unwrap();
        let wm_base: xdg_wm_base::XdgWmBase = globals.bind(&qh, 1..=5, ()).unwrap();
        let surface = compositor.create_surface(&qh, ());
        let xdg = wm_base.get_xdg_surface(&surface, &qh, ());
        let toplevel = xdg.get_toplevel(&qh, ());
        toplevel.set_title("test".into());
        surface.commit();
        let mut state = State::default();
        while !state.configured {
            queue.blocking_dispatch(&mut state)?;
        }
        let file = memfd_create("window", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, BYTES as u64).unwrap();
        let pool = shm.create_pool(file.as_fd(), BYTES as i32, &qh, ());
        let (w, h) = (i32::from(WIDTH), i32::from(HEIGHT));
        let buffer = pool.create_buffer(0, w, h, w * 4, wl_shm::Format::Xrgb8888, &qh, ());
        pool.destroy();
        surface.attach(Some(&buffer), 0, 0);
        Ok(Self {
            queue,
            state,
            surface,
            file,
        })
    }

    /// Fills the window and waits until it was shown.
    fn show(&mut self, colour: u32) -> Result<(), DispatchError> {
        let pixels = colour.to_le_bytes().repeat(BYTES / 4);
        rustix::io::pwrite(&self.file, &pixels, 0).unwrap();
        self.frame()
    }

    fn frame(&mut self) -> Result<(), DispatchError> {
        self.surface.frame(&self.queue.handle(), ());
        self.surface
            .damage_buffer(0, 0, WIDTH.into(), HEIGHT.into());
        self.surface.commit();
        let target = self.state.frames + 1;
        while self.state.frames < target {
            self.queue.blocking_dispatch(&mut self.state)?;
        }
        Ok(())
    }
}

fn host() -> UnixHost<MemoryDisplay> {
    let shim = Shim::new(Limits::default(), MODE);
    UnixHost::new(shim, MemoryDisplay::new(MODE)).unwrap()
}

/// Serves until the client's thread ends, on a clock of one frame a turn.
fn serve<T>(
    host: &mut UnixHost<MemoryDisplay>,
    now: &mut Instant,
    client: JoinHandle<T>,
) -> (T, Vec<Output>) {
    let mut outputs = Vec::new();
    while !client.is_finished() {
        host.wait(Some(Duration::from_millis(1)), &[]).unwrap();
        *now = *now + Duration::from_millis(17);
        host.turn(*now).unwrap();
        outputs.extend(std::iter::from_fn(|| host.poll_output()));
    }
    (client.join().unwrap(), outputs)
}

/// Open sockets and memory files of this process.
fn files() -> usize {
    let list = std::fs::read_dir("/proc/self/fd").unwrap();
    list.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| {
            let target = target.to_string_lossy();
            target.starts_with("socket:") || target.starts_with("/memfd:window")
        })
        .count()
}

#[test]
fn a_real_client_draws_and_leaves_nothing_behind() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = files();
    let (mut host, mut now) = (host(), Instant::default());
    for colour in [0x12_3456, 0x65_4321] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        host.add_client(now, ours).unwrap();
        let client = std::thread::spawn(move || {
            let mut window = Window::open(theirs)?;
            window.show(colour).map(|()| window)
        });
        let (result, outputs) = serve(&mut host, &mut now, client);
        let window = result.unwrap();
        assert_eq!(outputs, []);
        let pixels = colour.to_le_bytes().repeat(BYTES / 4);
        assert!(host.display().pixels() == pixels, "{colour:#x}");
        // Once the client is gone, so is its picture.
        drop(window);
        while host.clients() > 0 || host.poll_timeout().is_some() {
            now = now + Duration::from_millis(17);
            host.turn(now).unwrap();
        }
        assert_eq!(host.display().pixel(0, 0), Some(0));
    }
    drop(host);
    assert_eq!(files(), before);
}

#[test]
fn a_truncated_file_is_an_error_for_its_client_only() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = files();
    let (mut host, mut now) = (host(), Instant::default());
    let (ours, theirs) = UnixStream::pair().unwrap();
    host.add_client(now, ours).unwrap();
    let good = std::thread::spawn(move || {
        let mut window = Window::open(theirs)?;
        window.show(0x00_ff00).map(|()| window)
    });
    let (good, _) = serve(&mut host, &mut now, good);
    let mut good = good.unwrap();

    let (ours, theirs) = UnixStream::pair().unwrap();
    host.add_client(now, ours).unwrap();
    let bad = std::thread::spawn(move || {
        let mut window = Window::open(theirs)?;
        window.show(0xff_0000)?;
        ftruncate(&window.file, 100).unwrap();
        window.frame()
    });
    let (result, outputs) = serve(&mut host, &mut now, bad);
    assert!(result.is_err());
    assert!(
        matches!(
            &outputs[..],
            [Output::Disconnect {
                error: ClientError::Protocol {
                    interface: "wl_buffer",
                    error: 2,
                    ..
                },
                ..
            }]
        ),
        "{outputs:?}"
    );
    // The window comes back from the thread: dropped there, it could be gone from the screen.
    let good = std::thread::spawn(move || good.show(0x00_00ff).map(|()| good));
    let (result, _) = serve(&mut host, &mut now, good);
    let good = result.unwrap();
    assert_eq!(host.display().pixel(5, 5), Some(0x00_00ff));
    drop((good, host));
    assert_eq!(files(), before);
}

#[test]
fn a_keymap_travels_to_the_client() {
    const TEXT: &[u8] = b"xkb_keymap { };\0";
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = files();
    let (mut host, mut now) = (host(), Instant::default());
    let file = memfd_create("window-keymap", MemfdFlags::CLOEXEC).unwrap();
    rustix::io::pwrite(&file, TEXT, 0).unwrap();
    host.set_keymap(now, file, TEXT.len() as u32).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    host.add_client(now, ours).unwrap();
    let client = std::thread::spawn(move || {
        let connection = Connection::from_socket(theirs).unwrap();
        let (globals, mut queue) = registry_queue_init::<State>(&connection).unwrap();
        let seat: wl_seat::WlSeat = globals.bind(&queue.handle(), 1..=7, ()).unwrap();
        // More file descriptors than one message carries.
        for _ in 0..60 {
            seat.get_keyboard(&queue.handle(), ());
        }
        let mut state = State::default();
        queue.roundtrip(&mut state).map(|_| state.keymap)
    });
    let (result, _) = serve(&mut host, &mut now, client);
    let (file, size) = result.unwrap().unwrap();
    let mut text = vec![0; size as usize];
    assert_eq!(rustix::io::pread(&file, &mut text, 0), Ok(TEXT.len()));
    assert_eq!(text, TEXT);
    drop((file, host));
    assert_eq!(files(), before);
}

#[test]
fn a_waker_ends_a_wait() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut host = host();
    let waker = host.waker();
    let other = std::thread::spawn(move || waker.wake());
    host.wait(None, &[]).unwrap();
    other.join().unwrap();
    host.turn(Instant::default()).unwrap();
}
