//! The page over HTTP: static files, a stream of snapshots, pictures, sounds, commands.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Path as Part, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION,
    REFERRER_POLICY, SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::guard::{self, COOKIE_NAME, Denied};
use super::seats::{Seat, Seats};
use super::{Command, Live, Order, Page, Refused, connections};
use crate::signals::Stop;

/// Where the page is without an address of one's own: port 4370 of this machine.
pub const ADDRESS: &str = "127.0.0.1:4370";

/// Bytes of a command.
const COMMAND_BYTES_MAX: usize = 1 << 10;

/// Time in which a command's bytes must come.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// Time without a snapshot after which a stream says that it is still there: so a browser that is
/// gone is noticed.
const STILL_HERE: Duration = Duration::from_secs(15);

/// Bytes of a file in memory, however many read it and however slowly.
const CHUNK: usize = 64 << 10;

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
    seats: Arc<Seats>,
    token: Option<Arc<str>>,
}

/// Serves the page of the run in `data`. `token` is asked for where `address` is not loopback.
///
/// It ends within seconds of `stop`, whatever its connections do.
pub fn start(
    address: SocketAddr,
    token: &str,
    data: &Path,
    stop: Stop,
) -> io::Result<(Server, Live)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let needed = !bound.ip().to_canonical().is_loopback();
    let query = match needed {
        true => format!("?token={token}"),
        false => String::new(),
    };
    let live = Live::new(data, stop);
    let shared = Shared {
        page: Arc::clone(&live.page),
        seats: Arc::default(),
        token: needed.then(|| token.into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
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
    let stop = shared.page.stop.clone();
    connections::serve(listener, router(shared), stop).await;
    Ok(())
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
        .layer(middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
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
    let mut response = match guard::check(token, request.method(), request.uri(), request.headers())
    {
        Ok(()) => match whole(request).await {
            Ok(request) => next.run(request).await,
            Err(refusal) => refusal,
        },
        Err(Denied::Token) => match token.filter(|t| brings(&request, t)) {
            Some(token) => welcome(token),
            None => ask_for_the_token(),
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

/// Refuses a request without the token, and says by what it could get in: HTTP demands a challenge
/// here (RFC 9110, 15.5.2).
fn ask_for_the_token() -> Response {
    let mut response = sentence(
        StatusCode::UNAUTHORIZED,
        "This page needs its token: open the address that fleet printed at its start.",
    );
    let challenge = HeaderValue::from_static("Token realm=\"fleet\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

/// The request with its body, if that comes whole, in time and is no longer than a command.
async fn whole(request: Request) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        // It has no body that anyone reads.
        return Ok(Request::from_parts(parts, Body::empty()));
    }
    let too_long = || {
        let text =
            format!("A command has at most {COMMAND_BYTES_MAX} bytes, and all of them come.");
        sentence(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    if body.size_hint().lower() > COMMAND_BYTES_MAX as u64 {
        return Err(too_long());
    }
    match timeout(COMMAND_TIME, to_bytes(body, COMMAND_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(too_long()),
        Err(_) => Err(sentence(
            StatusCode::REQUEST_TIMEOUT,
            "The command did not come whole in time.",
        )),
    }
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
    let mut newest = shared.page.snapshot.subscribe();
    newest.mark_changed();
    let viewer = Viewer {
        newest,
        stop: shared.page.stop.clone(),
        seat: shared.seats.take(),
    };
    let snapshots = Sse::new(stream::unfold(viewer, Viewer::next));
    let still_here = KeepAlive::new().interval(STILL_HERE);
    snapshots.keep_alive(still_here).into_response()
}

struct Viewer {
    newest: watch::Receiver<Bytes>,
    stop: Stop,
    seat: Seat,
}

impl Viewer {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                () = self.stop.stopped() => return None,
                _ = &mut self.seat.given_away => return None,
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

/// A file in chunks, each read when the one before is on its way.
fn file(path: &Path, kind: &'static str) -> Response {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let Ok((length, file)) = opened else {
        return sentence(StatusCode::NOT_FOUND, "There is no such file yet.");
    };
    // Exactly what was promised, if the file grows meanwhile.
    let chunks = stream::try_unfold(file.take(length), |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK.min(file.limit() as usize));
        (&mut file).take(CHUNK as u64).read_to_end(&mut chunk)?;
        let more = !chunk.is_empty();
        Ok::<_, io::Error>(more.then_some((Bytes::from(chunk), file)))
    });
    let mut response = typed(kind, Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

async fn command(State(shared): State<Shared>, body: Bytes) -> Response {
    let command = match Command::read(&body) {
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
