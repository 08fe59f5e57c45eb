//! The page over HTTP: static files, a stream of snapshots, pictures, sounds, commands.

use std::convert::Infallible;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::thread::JoinHandle;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Part, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::guard::{self, COOKIE_NAME, Denied};
use super::{Command, Live, Order, Page, Refused};

/// Where the page is without an address of one's own: port 4370 of this machine.
pub const ADDRESS: &str = "127.0.0.1:4370";

/// Browsers that look at once.
const VIEWERS_MAX: usize = 32;

/// Bytes of a command.
const COMMAND_BYTES_MAX: usize = 1 << 10;

/// Bytes of a sound or a report.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The page needs nothing but itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The report has everything inside.
const REPORT_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
                             style-src 'unsafe-inline'; img-src data:; media-src data:; \
                             base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page that is being served.
pub struct Server {
    url: String,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Where to look at it; off loopback with the token inside.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until somebody ends the program.
    pub fn join(self) -> io::Result<()> {
        match self.thread.join() {
            Ok(ended) => ended,
            Err(_) => Err(io::Error::other("the server's thread panicked")),
        }
    }
}

#[derive(Clone)]
struct Shared {
    page: Arc<Page>,
    viewers: Arc<Semaphore>,
    token: Option<Arc<str>>,
}

/// Serves the page of the run in `data`. `token` is asked for where `address` is not loopback.
///
/// It ends with the first interrupt (Ctrl-C) or termination signal, which also reaches
/// [`Live::is_stopping`].
pub fn start(address: SocketAddr, token: &str, data: &Path) -> io::Result<(Server, Live)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let needed = !bound.ip().to_canonical().is_loopback();
    let query = match needed {
        true => format!("?token={token}"),
        false => String::new(),
    };
    let live = Live::new(data);
    let shared = Shared {
        page: Arc::clone(&live.page),
        viewers: Arc::new(Semaphore::new(VIEWERS_MAX)),
        token: needed.then(|| token.into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let thread = std::thread::Builder::new()
        .name("live-page".to_owned())
        .spawn(move || runtime.block_on(run(listener, shared)))?;
    let url = match bound.ip().is_unspecified() {
        true => format!("http://localhost:{}/{query}", bound.port()),
        false => format!("http://{bound}/{query}"),
    };
    Ok((Server { url, thread }, live))
}

async fn run(listener: std::net::TcpListener, shared: Shared) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let page = Arc::clone(&shared.page);
    let stop = stop_signal()?;
    serve(listener, router(shared))
        .with_graceful_shutdown(async move {
            stop.await;
            // Streams end with it, and so does the conductor.
            page.stop.send_replace(true);
        })
        .await
}

/// Ends with the first signal that asks the program to end.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn router(shared: Shared) -> Router {
    let file = |kind: &'static str, text: &'static str| get(async move || typed(kind, text));
    Router::new()
        .route(
            "/",
            file("text/html; charset=utf-8", include_str!("page/index.html")),
        )
        .route(
            "/palette.css",
            file("text/css; charset=utf-8", include_str!("../palette.css")),
        )
        .route(
            "/page.css",
            file("text/css; charset=utf-8", include_str!("page/page.css")),
        )
        .route(
            "/page.js",
            file(
                "text/javascript; charset=utf-8",
                include_str!("page/page.js"),
            ),
        )
        .route(
            "/chart.js",
            file(
                "text/javascript; charset=utf-8",
                include_str!("page/chart.js"),
            ),
        )
        .route(
            "/icon.svg",
            file("image/svg+xml", include_str!("page/icon.svg")),
        )
        .route("/events", get(events))
        .route("/screens/{number}", get(screen))
        .route("/cues/{name}", get(sound))
        .route("/report.html", get(report))
        .route("/command", post(command))
        .layer(DefaultBodyLimit::max(COMMAND_BYTES_MAX))
        .layer(middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

fn typed(kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    ([(CONTENT_TYPE, kind)], body.into()).into_response()
}

fn sentence(status: StatusCode, text: impl Into<String>) -> Response {
    let mut text: String = text.into();
    text.push('\n');
    (status, text).into_response()
}

/// Lets in who may come in, and says to browsers what a page of ours may do.
async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let token = shared.token.as_deref();
    let mut response = match guard::check(token, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Denied::Token) => match token.filter(|t| brings(&request, t)) {
            Some(token) => welcome(token),
            None => sentence(
                StatusCode::UNAUTHORIZED,
                "This page needs its token: open the address that fleet printed at its start.",
            ),
        },
        Err(Denied::Host) => sentence(
            StatusCode::FORBIDDEN,
            "This page answers to localhost, 127.0.0.1 and [::1] alone.",
        ),
        Err(Denied::Origin) => sentence(
            StatusCode::FORBIDDEN,
            "Commands are taken from the page itself, not from another site.",
        ),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a request for the page has the token in its address.
fn brings(request: &Request, token: &str) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let given = query.strip_prefix("token=");
    request.uri().path() == "/" && given.is_some_and(|given| guard::same(given, token))
}

/// Keeps the token out of the address bar and of the history.
fn welcome(token: &str) -> Response {
    let cookie = format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/");
    let headers = [(SET_COOKIE, cookie), (LOCATION, "/".to_owned())];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Snapshots as they come; who reads slowly gets the newest next.
async fn events(State(shared): State<Shared>) -> Response {
    let Ok(seat) = Arc::clone(&shared.viewers).try_acquire_owned() else {
        let text = format!("{VIEWERS_MAX} browsers look already: close one of them.");
        return sentence(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    let mut newest = shared.page.snapshot.subscribe();
    newest.mark_changed();
    let viewer = Viewer {
        newest,
        stop: shared.page.stop.subscribe(),
        _seat: seat,
    };
    Sse::new(stream::unfold(viewer, Viewer::next)).into_response()
}

struct Viewer {
    newest: watch::Receiver<Bytes>,
    stop: watch::Receiver<bool>,
    _seat: OwnedSemaphorePermit,
}

impl Viewer {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
            let text = self.newest.borrow_and_update().clone();
            // There is nothing to see before the first step.
            if !text.is_empty() {
                let text = String::from_utf8_lossy(&text);
                return Some((Ok(Event::default().data(text)), self));
            }
        }
    }
}

async fn screen(State(shared): State<Shared>, Part(number): Part<usize>) -> Response {
    let index = number.checked_sub(1);
    match index.map(|index| shared.page.picture(index)).transpose() {
        Ok(picture) => match picture.flatten() {
            Some(picture) => typed("image/png", picture),
            None => sentence(StatusCode::NOT_FOUND, "This screen was never on."),
        },
        Err(error) => sentence(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn sound(State(shared): State<Shared>, Part(name): Part<String>) -> Response {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let plain = name
        .strip_suffix(".wav")
        .is_some_and(|n| n.bytes().all(known));
    if !plain {
        return sentence(StatusCode::NOT_FOUND, "There is no such sound.");
    }
    file(&shared.page.data.join("cues").join(name), "audio/wav")
}

async fn report(State(shared): State<Shared>) -> Response {
    let path = shared.page.data.join("report.html");
    let mut response = file(&path, "text/html; charset=utf-8");
    let policy = HeaderValue::from_static(REPORT_POLICY);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn file(path: &Path, kind: &'static str) -> Response {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => typed(kind, bytes),
        Err(_) => sentence(StatusCode::NOT_FOUND, "There is no such file yet."),
    }
}

async fn command(State(shared): State<Shared>, body: Bytes) -> Response {
    let command: Command = match serde_json::from_slice(&body) {
        Ok(command) => command,
        Err(error) => return sentence(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let over = || refusal(&Refused::Over);
    if shared.page.over.load(Ordering::Acquire) {
        return over();
    }
    let (sender, answered) = oneshot::channel();
    match shared.page.orders.try_send(Order {
        command,
        answer: sender,
    }) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => {
            let text = "Many commands wait already: try again in a moment.";
            return sentence(StatusCode::SERVICE_UNAVAILABLE, text);
        }
        Err(TrySendError::Disconnected(_)) => return over(),
    }
    match answered.await {
        Ok(Ok(said)) => answer(true, &said),
        Ok(Err(refused)) => refusal(&refused),
        Err(_) => over(),
    }
}

/// A refusal is an answer like any other, not an error of the page.
fn refusal(refused: &Refused) -> Response {
    answer(false, &refused.to_string())
}

fn answer(done: bool, said: &str) -> Response {
    let text = serde_json::json!({ "done": done, "said": said });
    typed("application/json", text.to_string())
}
