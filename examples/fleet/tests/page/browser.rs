//! Chromium, driven through chromedriver as the WebDriver standard says.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Longest time that a test waits for something to appear.
const PATIENCE_MS: u64 = 90_000;

/// One request on a connection of its own.
pub(crate) fn http(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> (StatusCode, HeaderMap, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = connection.await;
        let text = String::from_utf8_lossy(&body).into_owned();
        (head.status, head.headers, text)
    })
}

/// A browser with one window and an empty profile.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = driver.expect("chromedriver is there: `cargo xtask setup` installs it");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap()));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            address,
            session: String::new(),
            _profile: profile,
        };
        let folder = browser._profile.path().display();
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": PATIENCE_MS},
            // Nothing of the browser's own leaves the machine. Tests run as root in containers,
            // where the sandbox cannot.
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--window-size=1280,900",
                format!("--user-data-dir={folder}"),
            ]},
        }}});
        let session = browser.call(Method::POST, "/session", Some(&capabilities));
        let session = session.unwrap()["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("/session/{session}");
        browser
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .unwrap();
        let (status, _, text) = http(self.address, request);
        let answer: Value = serde_json::from_str(&text).unwrap();
        match status.is_success() {
            true => Ok(answer["value"].clone()),
            false => Err(answer["value"]["message"].to_string()),
        }
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        let answer = self.call(Method::POST, &format!("{}{path}", self.session), Some(body));
        answer.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    pub(crate) fn open(&self, url: &str) {
        self.ask("/url", &json!({ "url": url }));
    }

    /// What an expression is worth on the page.
    pub(crate) fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.ask("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression is true: looked at whenever the page changes.
    pub(crate) fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const holds = () => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }};
             if (holds()) return done(true);
             const observer = new MutationObserver(() => {{
               if (holds()) {{ observer.disconnect(); done(true); }}
             }});
             observer.observe(document.documentElement,
               {{subtree: true, childList: true, attributes: true, characterData: true}});"
        );
        let body = json!({"script": script, "args": []});
        let path = format!("{}/execute/async", self.session);
        if let Err(error) = self.call(Method::POST, &path, Some(&body)) {
            let page = self.value("document.body.innerText");
            panic!(
                "never true: {expression}: {error}\n{}",
                page.as_str().unwrap_or_default()
            );
        }
    }

    /// Presses a button as a mouse does: it has to be in sight and nothing in front of it.
    pub(crate) fn press(&self, css: &str) {
        let element = self.find(css);
        self.ask(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into whatever `css` finds.
    pub(crate) fn type_into(&self, css: &str, keys: &str) {
        let element = self.find(css);
        self.ask(
            &format!("/element/{element}/value"),
            &json!({ "text": keys }),
        );
    }

    fn find(&self, css: &str) -> String {
        let query = json!({"using": "css selector", "value": css});
        let found = self.ask("/element", &query);
        let id = found.as_object().and_then(|o| o.values().next());
        id.and_then(Value::as_str).unwrap().to_owned()
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn tool(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.ask("/goog/cdp/execute", &body)
    }

    /// What the console said since the last look.
    pub(crate) fn console(&self) -> Vec<String> {
        let lines = self.ask("/se/log", &json!({"type": "browser"}));
        let lines = lines.as_array().unwrap().iter();
        lines.map(|line| line["message"].to_string()).collect()
    }

    /// Addresses that were asked for since the last look; what the browser and
    /// the page have inside is none.
    pub(crate) fn requests(&self) -> Vec<String> {
        let lines = self.ask("/se/log", &json!({"type": "performance"}));
        let lines = lines.as_array().unwrap().iter();
        lines
            .filter_map(|line| {
                let line: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
                let message = &line["message"];
                let url = message["params"]["request"]["url"].as_str()?;
                let asked = message["method"] == "Network.requestWillBeSent";
                let inside = ["chrome:", "data:"].iter().any(|i| url.starts_with(i));
                (asked && !inside).then(|| url.to_owned())
            })
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call(Method::DELETE, &self.session, None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
