//! The live page in a real browser, and its server's door.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed check of a test panics"
)]

mod browser;
#[path = "../served/mod.rs"]
mod served;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use browser::{Browser, http};
use fleet::live::server;
use fleet::signals::Stop;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use rustix::process::Signal;
use serde_json::json;
use served::Served;

fn command(data: &Path) -> Command {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command
        .arg("run")
        .arg(files.join("sample-activity-indoor-trainer.fit"))
        .arg(files.join("activity-small-fenix2-run.fit"))
        .args(["--outage", "0s", "--data"])
        .arg(data)
        .stderr(Stdio::null());
    command
}

/// A fleet with a page, at a pace that a test can wait for.
fn start(data: &Path) -> Served {
    Served::start(command(data).args(["--serve=127.0.0.1:0", "--speed", "20"]))
}

/// Whether an expression has another value than now.
fn changes(browser: &Browser, expression: &str) {
    let now = browser.value(expression);
    browser.until(&format!("({expression}) !== {now}"));
}

const HOLDS: &str = "document.querySelector('#verdict.good') \
                     && document.querySelector('#verdict-text').innerText \
                        === 'Nothing is lost, and nothing is stored twice.'";

/// The same once a record is set aside: the page says so as the report will.
const HOLDS_BUT_ONE: &str = "document.querySelector('#verdict.partly') \
                             && document.querySelector('#verdict-text').innerText \
                                === 'Nothing is lost, and nothing is stored twice. \
1 record is set aside, with its reason.'";

fn total(name: &str) -> String {
    format!("Number(document.getElementById('total-{name}').innerText.replace(/\\D/g, ''))")
}

fn card(number: usize) -> String {
    format!("document.querySelector('.tracker:nth-child({number})').innerText")
}

/// Whether something happened, by words of it.
fn happened(words: &str) -> String {
    format!("document.getElementById('events').innerText.includes('{words}')")
}

#[test]
fn slow_the_page_moves_and_each_button_does_what_it_says() {
    let data = tempfile::tempdir().unwrap();
    let fleet = start(data.path());
    let browser = Browser::start();
    browser.open(&fleet.url);

    // Everything is alive: screens, charts, clock.
    browser.until("document.querySelector('.tracker img').naturalWidth === 480");
    for moves in [
        "document.getElementById('clock').innerText",
        "document.querySelector('#chart-rates path.durable').getAttribute('d')",
        "document.querySelector('.tracker path.heart').getAttribute('d')",
        "document.querySelector('.tracker path.power').getAttribute('d')",
        "document.querySelector('.tracker img').getAttribute('src')",
    ] {
        changes(&browser, moves);
    }
    browser.until(HOLDS);

    goes_through_an_outage(&browser);
    comes_back_with_what_it_had(&browser);

    // What nobody can read is set aside with its reason, and nothing else is.
    browser.until(&format!("{}.includes('firmware 1')", card(2)));
    browser.type_into("#which", "2");
    browser.until("document.querySelector('.tracker:nth-child(2) .power-on')");
    browser.press("#poison");
    browser.until(&format!("{} === 1", total("aside")));
    browser.until(&happened(
        "record 1 of demo.vendor.Diagnostics from tracker 2",
    ));

    // Half a frame on the disk is dropped; what was durable stays.
    browser.press("#tail");
    browser.until(&happened("Half a frame"));
    browser.until(&happened("1 cut write dropped, 0 durable bytes damaged"));

    // Another schema, while everything runs.
    browser.press("#rollout");
    browser.until("document.querySelectorAll('.tracker .chip.evolved').length === 2");
    browser.until(
        "document.getElementById('schemas').innerText.includes('ADD COLUMN \"resistance\"')",
    );
    browser.press("#rollout");
    browser.until("document.querySelector('#said.refused')");

    browser.until(&format!(
        "{} === 0 && {} === 0",
        total("missing"),
        total("twice")
    ));
    assert_eq!(
        browser.value(&format!("Boolean({HOLDS_BUT_ONE})")),
        json!(true)
    );
    fits_people(&browser);
    assert_eq!(browser.console(), [] as [String; 0]);
    let requests = browser.requests();
    assert!(requests.len() > 10);
    let own = format!("http://{}/", fleet.address());
    let foreign: Vec<_> = requests.iter().filter(|r| !r.starts_with(&own)).collect();
    assert_eq!(foreign, [] as [&String; 0]);

    fleet.signal(Signal::INT);
    let (status, said) = fleet.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("goes on from there"), "{said}");
    // The same folder, to the end and without visitors.
    let Output { status, stdout, .. } = command(data.path()).output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    let whole = "Nothing is lost, and nothing is stored twice. 1 record is set aside";
    assert!(text.contains(whole), "{text}");
    assert_eq!(status.code(), Some(3), "{text}");
}

fn goes_through_an_outage(browser: &Browser) {
    // An outage: records wait, an incident opens and its clocks run; then all of it arrives.
    browser.press("#link");
    browser.until(&format!("{} > 100", total("waiting")));
    browser.until("document.querySelector('#arrow-logged.down')");
    browser.until("document.querySelector('#incidents article').innerText.includes('INC0000001')");
    let clock = "document.querySelector('.sla').innerText";
    assert!(browser.value(clock).as_str().unwrap().contains("left"));
    changes(browser, clock);
    assert_eq!(browser.value(&format!("Boolean({HOLDS})")), json!(true));
    // By keyboard this time.
    browser.type_into("#link", "\u{e007}");
    browser.until("!document.querySelector('#arrow-logged.down')");
    browser.until(&format!("{} < 30", total("waiting")));
    browser.until("document.querySelector('#incidents article').innerText.includes('Closed')");
}

fn comes_back_with_what_it_had(browser: &Browser) {
    // A tracker without power comes back with what it had.
    browser.press("#plug");
    browser.until(&format!("{}.includes('unplugged')", card(1)));
    browser.until("document.getElementById('plug').innerText === 'Plug tracker 1 in'");
    browser.press("#plug");
    browser.until(&happened("Tracker 1 is on again with firmware 1"));
    browser.until(&format!("{}.includes('No power') === false", card(1)));
}

/// Light and dark, wide and on a phone, without motion, for who listens instead.
fn fits_people(browser: &Browser) {
    let media = |scheme: &str, motion: &str| {
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]);
        browser.tool(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    };
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        media(scheme, "no-preference");
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
        let contrast = include_str!("contrast.js");
        let faults = browser.value(&format!("(() => {{ {contrast} }})()"));
        assert_eq!(faults, json!([]), "{scheme}");
    }
    assert_ne!(grounds[0], grounds[1]);
    let motion = "document.getAnimations().filter(a => a.playState === 'running').length";
    browser.until("document.querySelector('.arrow.flows')");
    assert_ne!(browser.value(motion), json!(0));
    media("light", "reduce");
    assert_eq!(browser.value(motion), json!(0));

    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.tool("Emulation.setDeviceMetricsOverride", &phone);
    assert_eq!(
        browser.value("document.documentElement.scrollWidth"),
        json!(360)
    );
    let small = "[...document.querySelectorAll('button, select')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 28).length";
    assert_eq!(browser.value(small), json!(0));

    for nameless in [
        "[...document.images].filter(i => !i.alt)",
        "[...document.querySelectorAll('button')].filter(b => !b.innerText && !b.ariaLabel)",
        "[...document.querySelectorAll('select')].filter(s => s.labels.length === 0)",
        "[...document.querySelectorAll('svg, meter')].filter(s => !s.ariaLabel)",
        "[...document.querySelectorAll('section')].filter(s =>
            !document.getElementById(s.getAttribute('aria-labelledby')))",
    ] {
        assert_eq!(
            browser.value(&format!("{nameless}.length")),
            json!(0),
            "{nameless}"
        );
    }
    let landmarks = "['header', 'main', 'footer', 'h1']
        .map(name => document.querySelectorAll(name).length)";
    assert_eq!(browser.value(landmarks), json!([1, 1, 1, 1]));
    let live = "document.querySelectorAll('[aria-live], [role=status], [role=alert]').length";
    // The verdict, the connection, and the answer to a button.
    assert_eq!(browser.value(live), json!(3));
}

fn get(path: &str, headers: &[(hyper::header::HeaderName, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(Full::default()).unwrap()
}

fn served(address: &str, data: &Path) -> (SocketAddr, String, fleet::live::Live) {
    let (server, live) =
        server::start(address.parse().unwrap(), "sesame", data, Stop::new()).unwrap();
    let url = server.url().to_owned();
    let port = url
        .split(['/', ':'])
        .find_map(|part| part.parse::<u16>().ok());
    ((([127, 0, 0, 1]), port.unwrap()).into(), url, live)
}

#[test]
fn on_loopback_the_page_answers_to_its_own_names_and_its_own_buttons() {
    let data = tempfile::tempdir().unwrap();
    let (address, url, mut live) = served("127.0.0.1:0", data.path());
    assert!(!url.contains("token"), "{url}");
    let host = address.to_string();
    let (status, headers, page) = http(address, get("/", &[(HOST, &host)]));
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("<title>Fleet, live</title>"));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));

    // A foreign name that was pointed at this machine.
    let (status, _, said) = http(address, get("/", &[(HOST, "evil.example")]));
    assert_eq!(status, StatusCode::FORBIDDEN, "{said}");

    let post = |origin: &str, body: &'static str| {
        let mut request = get("/command", &[(HOST, &host), (ORIGIN, origin)]);
        *request.method_mut() = Method::POST;
        *request.body_mut() = Full::from(body);
        let (status, _, said) = http(address, request);
        (status, said)
    };
    let own = format!("http://{host}");
    let cut = r#"{"do":"cut-link"}"#;
    assert_eq!(post("http://evil.example", cut).0, StatusCode::FORBIDDEN);
    assert_eq!(
        post(&own, r#"{"do":"format-disk"}"#).0,
        StatusCode::BAD_REQUEST
    );
    assert!(live.order().is_none());
    // Nobody runs anything any more.
    drop(live);
    let (status, said) = post(&own, cut);
    assert_eq!(status, StatusCode::OK);
    assert!(
        said.contains(r#""done":false"#) && said.contains("over"),
        "{said}"
    );

    std::fs::create_dir(data.path().join("cues")).unwrap();
    std::fs::write(data.path().join("cues/goal.wav"), "RIFF").unwrap();
    std::fs::write(data.path().join("run.wav"), "RIFF").unwrap();
    let (status, headers, sound) = http(address, get("/cues/goal.wav", &[(HOST, &host)]));
    assert_eq!((status, sound.as_str()), (StatusCode::OK, "RIFF"));
    assert_eq!(headers["content-type"], "audio/wav");
    for nothing in [
        "/screens/1",
        "/cues/..%2frun.wav",
        "/cues/x.wav",
        "/etc/passwd",
    ] {
        let (status, ..) = http(address, get(nothing, &[(HOST, &host)]));
        assert_eq!(status, StatusCode::NOT_FOUND, "{nothing}");
    }
}

#[test]
fn off_loopback_the_page_needs_its_token() {
    let data = tempfile::tempdir().unwrap();
    let (address, url, _live) = served("0.0.0.0:0", data.path());
    assert!(url.ends_with("/?token=sesame"), "{url}");
    let host = format!("gym.example:{}", address.port());
    let host = (HOST, host.as_str());
    for path in [
        "/",
        "/?token=",
        "/?token=guess",
        "/events",
        "/page.js",
        "/screens/1?token=sesame",
    ] {
        let (status, headers, said) = http(address, get(path, std::slice::from_ref(&host)));
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(headers[WWW_AUTHENTICATE], "Token realm=\"fleet\"");
        assert!(
            said.contains("open the address that fleet printed"),
            "{said}"
        );
    }
    let (status, headers, _) = http(address, get("/?token=sesame", std::slice::from_ref(&host)));
    assert_eq!(status, StatusCode::SEE_OTHER);
    // The token leaves the address bar.
    assert_eq!(headers[LOCATION], "/");
    let cookie = headers[SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = (COOKIE, cookie.split(';').next().unwrap());
    let (status, ..) = http(address, get("/", &[host, cookie]));
    assert_eq!(status, StatusCode::OK);
}
