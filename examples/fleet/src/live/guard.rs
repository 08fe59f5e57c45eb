//! Who may look and who may press buttons, decided from a request's headers alone.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};

/// Name of the cookie that holds the token.
pub(super) const COOKIE_NAME: &str = "fleet_token";

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// It does not have the token.
    Token,
    /// Its host is no name of this machine: another site's name that was pointed here.
    Host,
    /// Another site sent it.
    Origin,
}

/// Whether a request may pass. `token` is what a page off loopback asks for.
pub(super) fn check(
    token: Option<&str>,
    method: &Method,
    target: &Uri,
    headers: &HeaderMap,
) -> Result<(), Denied> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Denied::Host);
    };
    let host = host.to_str().map_err(|_| Denied::Host)?;
    // An absolute target replaces the header (RFC 9112, 3.2.2).
    let host = target.authority().map_or(host, |a| a.as_str());
    match token {
        // A cookie belongs to the name in the address bar, so a foreign name does not have it.
        Some(token) => {
            // Cookies do not tell ports apart: that of another page on this host may stand first.
            let cookies = headers.get_all(COOKIE).iter();
            let cookies = cookies.filter_map(|value| value.to_str().ok());
            let mut pairs = cookies
                .flat_map(|value| value.split(';'))
                .filter_map(|cookie| cookie.trim().split_once('='));
            if !pairs.any(|(name, value)| name == COOKIE_NAME && same(value, token)) {
                return Err(Denied::Token);
            }
        }
        None if !is_loopback(host) => return Err(Denied::Host),
        None => {}
    }
    // Browsers name the site of whoever presses a button.
    let own = text(ORIGIN).and_then(|o| o.strip_prefix("http://"));
    let only_looks = *method == Method::GET || *method == Method::HEAD;
    if !only_looks && !own.is_some_and(|own| own.eq_ignore_ascii_case(host)) {
        return Err(Denied::Origin);
    }
    Ok(())
}

/// Compares without telling by its time how much agrees.
pub(super) fn same(a: &str, b: &str) -> bool {
    let pairs = a.bytes().zip(b.bytes());
    a.len() == b.len() && pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Whether a `Host` names this machine to itself, on any port: `localhost`, 127.0.0.0/8, `[::1]`,
/// or one of the IPv4 addresses written as IPv6.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.is_empty() || port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let inside = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    match inside {
        Some(address) => address
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.to_canonical().is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<Ipv4Addr>().is_ok_and(|a| a.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[track_caller]
    fn check_of(
        token: Option<&str>,
        method: Method,
        pairs: &[(axum::http::HeaderName, &str)],
        expected: Result<(), Denied>,
    ) {
        let headers = pairs.iter().map(|(n, v)| (n.clone(), v.parse().unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        assert_eq!(
            check(token, &method, &Uri::from_static("/"), &map),
            expected
        );
    }

    #[test]
    fn a_request_has_one_host_and_an_absolute_target_is_it() {
        let two = [(HOST, "localhost:4370"), (HOST, "evil.example")];
        check_of(None, Method::GET, &two, Err(Denied::Host));
        let headers = HeaderMap::from_iter([(HOST, "localhost:4370".parse().unwrap())]);
        let to = |target| check(None, &Method::GET, &Uri::from_static(target), &headers);
        assert_eq!(to("http://evil.example/"), Err(Denied::Host));
        assert_eq!(to("http://127.0.0.1:4370/"), Ok(()));
        check_of(None, Method::HEAD, &[(HOST, "localhost:4370")], Ok(()));
    }

    #[test]
    fn on_loopback_only_its_own_names_count() {
        let get = |host, expected| check_of(None, Method::GET, &[(HOST, host)], expected);
        for host in [
            "localhost",
            "localhost:80",
            "127.0.0.1:4370",
            "[::1]:1",
            "[::1]",
            "LocalHost:4370",
            "127.0.0.2:4370",
            "127.255.255.254",
            "[::ffff:127.0.0.1]:4370",
            "[::FFFF:7f00:1]:4370",
            "[0:0:0:0:0:0:0:1]",
        ] {
            get(host, Ok(()));
        }
        for host in [
            "evil.example:4370",
            "127.0.0.1.evil.example",
            "localhost.",
            "",
            "127.1",
            "localhost:99999",
            "128.0.0.1",
            "::1",
            "[::ffff:192.0.2.1]:4370",
            "[::1",
            "[127.0.0.1]",
        ] {
            get(host, Err(Denied::Host));
        }
        check_of(None, Method::GET, &[], Err(Denied::Host));
    }

    #[test]
    fn buttons_are_pressed_on_the_page_alone() {
        let host = (HOST, "localhost:4370");
        let post = |origin, expected| {
            let headers = [host.clone(), (ORIGIN, origin)];
            check_of(None, Method::POST, &headers, expected);
        };
        post("http://localhost:4370", Ok(()));
        post("http://LOCALHOST:4370", Ok(()));
        for origin in [
            "http://localhost:8000",
            "https://localhost:4370",
            "http://evil",
            "null",
        ] {
            post(origin, Err(Denied::Origin));
        }
        check_of(None, Method::POST, &[host], Err(Denied::Origin));
    }

    #[test]
    fn off_loopback_the_token_is_the_key() {
        let get = |cookie, expected| {
            let headers = [(HOST, "gym.example:4370"), (COOKIE, cookie)];
            check_of(Some(TOKEN), Method::GET, &headers, expected);
        };
        get("a=b; fleet_token=0123456789abcdef", Ok(()));
        get(
            "fleet_token=of-another-port; fleet_token=0123456789abcdef",
            Ok(()),
        );
        for cookie in [
            "",
            "fleet_token=",
            "fleet_token=0123456789abcdeF",
            "other=x",
        ] {
            get(cookie, Err(Denied::Token));
        }
        let headers = [
            (HOST, "gym.example"),
            (COOKIE, "fleet_token=0123456789abcdef"),
        ];
        check_of(Some(TOKEN), Method::POST, &headers, Err(Denied::Origin));
    }
}
