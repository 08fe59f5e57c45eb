//! The Wayland side: one loop over the socket and the feed.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use wayland_client::backend::WaylandError;
use wayland_client::globals::{BindError, GlobalList, GlobalListContents, registry_queue_init};
use wayland_client::protocol::{
    wl_buffer, wl_callback, wl_compositor, wl_registry, wl_shm, wl_shm_pool, wl_surface,
};
use wayland_client::{
    Connection, Dispatch, DispatchError, EventQueue, Proxy, QueueHandle, delegate_noop,
};
use wayland_protocols::xdg::shell::client::{xdg_surface, xdg_toplevel, xdg_wm_base};

use crate::buffers::Buffers;
use crate::protocol::xp_telemetry_manager_v1::{self, XpTelemetryManagerV1};
use crate::protocol::xp_telemetry_source_v1::{self, XpTelemetrySourceV1};
use crate::screen::{self, Screen};
use crate::{Feed, Next, Options, Sample, Summary, UiError};

/// Longest record of the protocol, in bytes.
const RECORD_BYTES_MAX: usize = 4000;
/// Bytes of schema text in one message.
const SCHEMA_CHUNK: usize = 4000;
/// Bytes that the connection keeps until they are flushed; more is an error while the socket is
/// full.
const UNSENT_BYTES_MAX: usize = 4096;
/// Bytes of a record's message besides the record: header, serial, length, padding.
const RECORD_FRAME: usize = 8 + 8 + 4 + 3;
/// Samples taken before the socket is looked at again: frames and pings must not starve.
const SAMPLES_PER_TURN: usize = 64;

/// What the compositor has said so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    configured: bool,
    /// A frame is on its way to the screen.
    frame_waits: bool,
    frames: u64,
    buffers: Option<Buffers>,
    resumed: Option<u64>,
    credit: u32,
    durable: u64,
}

/// Shows a feed and delivers its records, until the last one is durable.
///
/// The window stays until everything is durable and shown. Then the source is closed first, so
/// that a compositor that looks at its screen when the source closes still finds the last picture.
pub fn run(stream: UnixStream, mut feed: impl Feed, options: Options) -> Result<Summary, UiError> {
    let connection = Connection::from_socket(stream).map_err(|error| UiError::Io {
        what: "connecting",
        error: std::io::Error::other(error),
    })?;
    let (globals, mut queue) = registry_queue_init::<State>(&connection).map_err(registry)?;
    let mut state = State::default();
    let mut ui = Ui::new(&globals, &queue, &mut state, &feed, &options)?;
    loop {
        queue.dispatch_pending(&mut state)?;
        // Nothing is said while the socket is full: the connection has little room of its own.
        let mut writable = flush(&connection)?;
        let (mut ask, mut settled) = (Ask::No, false);
        if writable {
            ask = ui.take_samples(&mut state, &mut feed, &connection)?;
            writable = flush(&connection)?;
        }
        if writable {
            settled = ui.draw(&mut state, &queue.handle())?;
            writable = flush(&connection)?;
        }
        if settled && ui.delivered(&state) {
            break;
        }
        wait(&mut queue, &feed, ask, !writable)?;
    }
    // All is durable, so a compositor that goes now takes nothing with it.
    let _ = ui.close(&mut queue, &mut state);
    Ok(Summary {
        resumed: ui.first,
        durable: state.durable,
        sent: ui.sent,
        frames: state.frames,
    })
}

/// Whether the feed shall be asked again.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// Not before the compositor has spoken.
    No,
    /// When it wakes, at the latest after this time.
    Yes(Option<Duration>),
}

/// This side of the window and of the source.
struct Ui {
    surface: wl_surface::WlSurface,
    xdg_surface: xdg_surface::XdgSurface,
    toplevel: xdg_toplevel::XdgToplevel,
    manager: XpTelemetryManagerV1,
    source: XpTelemetrySourceV1,
    screen: Screen,
    /// Serial to resume after.
    first: u64,
    /// Serial of the last record sent.
    last: u64,
    sent: u64,
    /// The sample that waits for credit.
    held: Option<Sample>,
    ended: bool,
}

impl Ui {
    fn new(
        globals: &GlobalList,
        queue: &EventQueue<State>,
        state: &mut State,
        feed: &impl Feed,
        options: &Options,
    ) -> Result<Self, UiError> {
        let qh = queue.handle();
        let compositor: wl_compositor::WlCompositor = bind(globals, &qh, 4, 6)?;
        let shm: wl_shm::WlShm = bind(globals, &qh, 1, 1)?;
        let wm_base: xdg_wm_base::XdgWmBase = bind(globals, &qh, 1, 5)?;
        let manager: XpTelemetryManagerV1 = bind(globals, &qh, 1, 1)?;

        let source = manager.open(feed.source().into(), &qh, ());
        let mut chunks = feed.schema().as_bytes().chunks(SCHEMA_CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            source.schema(chunk.into(), chunks.peek().is_none().into());
            // At most 17 chunks; the socket of a new connection holds them all.
            queue.flush()?;
        }

        let surface = compositor.create_surface(&qh, ());
        let xdg_surface = wm_base.get_xdg_surface(&surface, &qh, ());
        let toplevel = xdg_surface.get_toplevel(&qh, ());
        toplevel.set_title(options.title.clone());
        toplevel.set_app_id("workout-ui".into());
        surface.commit();
        state.buffers = Some(Buffers::new(&shm, &qh)?);
        Ok(Self {
            surface,
            xdg_surface,
            toplevel,
            manager,
            source,
            screen: Screen::new(&options.title),
            first: 0,
            last: 0,
            sent: 0,
            held: None,
            ended: false,
        })
    }

    /// Sends what the feed has and the credit allows. All was flushed before.
    fn take_samples(
        &mut self,
        state: &mut State,
        feed: &mut impl Feed,
        connection: &Connection,
    ) -> Result<Ask, UiError> {
        let Some(resumed) = state.resumed else {
            return Ok(Ask::No);
        };
        if self.last < resumed {
            (self.first, self.last) = (resumed, resumed);
        }
        let mut unsent = 0;
        for _ in 0..SAMPLES_PER_TURN {
            let sample = match self.held.take() {
                Some(sample) => sample,
                None if self.ended => return Ok(Ask::No),
                None => match feed.next(self.last) {
                    Next::Sample(sample) => sample,
                    Next::Wait { at_most } => return Ok(Ask::Yes(at_most)),
                    Next::End => {
                        self.ended = true;
                        return Ok(Ask::No);
                    }
                },
            };
            let len = sample.record.len();
            if sample.serial != self.last + 1 || !(1..=RECORD_BYTES_MAX).contains(&len) {
                return Err(UiError::Feed {
                    serial: sample.serial,
                    after: self.last,
                    len,
                });
            }
            if unsent + len + RECORD_FRAME > UNSENT_BYTES_MAX && flush(connection)? {
                unsent = 0;
            }
            unsent += len + RECORD_FRAME;
            if state.credit == 0 || unsent > UNSENT_BYTES_MAX {
                self.held = Some(sample);
                return Ok(Ask::No);
            }
            let (high, low) = ((sample.serial >> 32) as u32, sample.serial as u32);
            self.source.record(high, low, sample.record);
            state.credit -= 1;
            self.last = sample.serial;
            self.sent += 1;
            self.screen.update(sample.reading);
        }
        // There may be more at once.
        Ok(Ask::Yes(Some(Duration::ZERO)))
    }

    /// Commits a frame if something changed and the last one was shown. `true` if all there is to
    /// see is on the screen.
    fn draw(&mut self, state: &mut State, qh: &QueueHandle<State>) -> Result<bool, UiError> {
        self.screen.progress(self.last, state.durable);
        let Some(buffers) = &mut state.buffers else {
            return Ok(false);
        };
        if !state.configured || state.frame_waits || !buffers.any_free() {
            return Ok(false);
        }
        let changed = self.screen.redraw();
        if changed == 0 {
            return Ok(true);
        }
        if let Some(buffer) = buffers.write(&self.screen, changed)? {
            self.surface.attach(Some(buffer), 0, 0);
            for area in screen::areas(changed) {
                let [x, y, w, h] = [area.x, area.y, area.width, area.height].map(|v| v as i32);
                self.surface.damage_buffer(x, y, w, h);
            }
            self.surface.frame(qh, ());
            self.surface.commit();
            state.frame_waits = true;
        }
        Ok(false)
    }

    /// All is sent and durable.
    fn delivered(&self, state: &State) -> bool {
        self.ended && state.durable >= self.last
    }

    /// Closes the source, then the window.
    fn close(&self, queue: &mut EventQueue<State>, state: &mut State) -> Result<(), DispatchError> {
        self.source.destroy();
        self.manager.destroy();
        queue.roundtrip(state)?;
        self.toplevel.destroy();
        self.xdg_surface.destroy();
        self.surface.destroy();
        queue.roundtrip(state)?;
        Ok(())
    }
}

/// Sends what is buffered; `false` if the socket is full.
fn flush(connection: &Connection) -> Result<bool, UiError> {
    match connection.flush() {
        Ok(()) => Ok(true),
        Err(WaylandError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits for the compositor or the feed, and reads what the compositor sent.
fn wait(
    queue: &mut EventQueue<State>,
    feed: &impl Feed,
    ask: Ask,
    socket_full: bool,
) -> Result<(), UiError> {
    // Without a guard there are events to dispatch already.
    let Some(guard) = queue.prepare_read() else {
        return Ok(());
    };
    let socket = guard.connection_fd();
    let mut interest = PollFlags::IN;
    if socket_full {
        interest |= PollFlags::OUT;
    }
    let mut fds = vec![PollFd::from_borrowed_fd(socket, interest)];
    let (wake, at_most) = match ask {
        Ask::No => (None, None),
        Ask::Yes(at_most) => (feed.wake(), at_most),
    };
    if let Some(wake) = &wake {
        fds.push(PollFd::new(wake, PollFlags::IN));
    }
    let timeout = at_most.map(|t| Timespec {
        tv_sec: t.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: t.subsec_nanos().into(),
    });
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => {
            return Err(UiError::Io {
                what: "waiting",
                error: error.into(),
            });
        }
    }
    let said = fds[0].revents();
    if said.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
        match guard.read() {
            Ok(_) => {}
            Err(WaylandError::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn registry(error: wayland_client::globals::GlobalError) -> UiError {
    match error {
        wayland_client::globals::GlobalError::Backend(error) => error.into(),
        wayland_client::globals::GlobalError::InvalidId(error) => UiError::Dispatch(
            DispatchError::Backend(WaylandError::Io(std::io::Error::other(error))),
        ),
    }
}

fn bind<I>(
    globals: &GlobalList,
    qh: &QueueHandle<State>,
    oldest: u32,
    newest: u32,
) -> Result<I, UiError>
where
    I: Proxy + 'static,
    State: Dispatch<I, ()>,
{
    globals
        .bind(qh, oldest..=newest, ())
        .map_err(|_: BindError| UiError::Global {
            interface: I::interface().name,
            version: oldest,
        })
}

macro_rules! on_event {
    ($proxy:ty, $data:ty, |$state:ident, $object:ident, $event:ident, $value:ident| $body:block) => {
        impl Dispatch<$proxy, $data> for State {
            fn event(
                $state: &mut Self,
                $object: &$proxy,
                $event: <$proxy as Proxy>::Event,
                $value: &$data,
                _: &Connection,
                _: &QueueHandle<Self>,
            ) $body
        }
    };
}

on_event!(
    wl_registry::WlRegistry,
    GlobalListContents,
    |_state, _registry, _event, _contents| {}
);

on_event!(
    xdg_wm_base::XdgWmBase,
    (),
    |_state, wm_base, event, _data| {
        if let xdg_wm_base::Event::Ping { serial } = event {
            wm_base.pong(serial);
        }
    }
);

on_event!(
    xdg_surface::XdgSurface,
    (),
    |state, surface, event, _data| {
        if let xdg_surface::Event::Configure { serial } = event {
            surface.ack_configure(serial);
            state.configured = true;
        }
    }
);

on_event!(
    wl_callback::WlCallback,
    (),
    |state, _callback, event, _data| {
        if let wl_callback::Event::Done { .. } = event {
            state.frame_waits = false;
            state.frames += 1;
        }
    }
);

on_event!(
    wl_buffer::WlBuffer,
    usize,
    |state, _buffer, event, index| {
        if let (wl_buffer::Event::Release, Some(buffers)) = (event, &mut state.buffers) {
            buffers.released(*index);
        }
    }
);

on_event!(XpTelemetrySourceV1, (), |state, _source, event, _data| {
    use xp_telemetry_source_v1::Event;
    let serial = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    match event {
        Event::Resume {
            serial_hi,
            serial_lo,
        } => {
            let resumed = serial(serial_hi, serial_lo);
            state.resumed = Some(resumed);
            state.durable = resumed;
        }
        Event::Credit { records } => state.credit = state.credit.saturating_add(records),
        Event::Durable {
            serial_hi,
            serial_lo,
        } => state.durable = serial(serial_hi, serial_lo),
    }
});

on_event!(
    XpTelemetryManagerV1,
    (),
    |_state, _manager, event, _data| {
        let _: xp_telemetry_manager_v1::Event = event;
    }
);

delegate_noop!(State: wl_compositor::WlCompositor);
delegate_noop!(State: ignore wl_shm::WlShm);
delegate_noop!(State: wl_shm_pool::WlShmPool);
delegate_noop!(State: ignore wl_surface::WlSurface);
// The screen has one size: a larger one puts it in the middle.
delegate_noop!(State: ignore xdg_toplevel::XdgToplevel);
