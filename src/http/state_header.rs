//! The header in which HAProxy names the server that a check asks about.
//!
//! `http-check send-state` sends the header:
//! `UP 1/3; address=10.0.0.1; port=6379; name=backend/server; node=lb1; weight=1/1; …`.
//! Source: <https://docs.haproxy.org/2.6/configuration.html#4.2-http-check%20send-state>.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;

use crate::actors::cluster_api::{NodeRef, ProxyCheck, ProxyState};
use crate::domain::drain::Proxy;

/// The name of the header.
pub const STATE_HEADER: &str = "x-haproxy-server-state";

/// The longest value that is read. HAProxy's own values are far shorter: its names have at most about 64 bytes.
const LONGEST: usize = 1024;

/// The reason why a header names no server. The answer is 400 in each case: a check that cannot be understood must
/// not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStateHeader {
    /// The header is missing.
    #[error(
        "the X-Haproxy-Server-State header is missing: add `http-check send-state` to the HAProxy backend, \
         or name the node in the path"
    )]
    Missing,
    /// The header occurs more than once.
    #[error("more than one X-Haproxy-Server-State header")]
    Repeated,
    /// The value is longer than any that HAProxy sends.
    #[error("the X-Haproxy-Server-State header is longer than {LONGEST} bytes")]
    TooLong,
    /// The value does not have the form `STATE; key=value; …`.
    #[error("the X-Haproxy-Server-State header does not read `STATE; key=value; …`")]
    Malformed,
    /// A key occurs twice.
    #[error("the X-Haproxy-Server-State header has a key twice")]
    Ambiguous,
    /// The field `name` is not `backend/server`.
    #[error("`name` in the X-Haproxy-Server-State header is not `backend/server`")]
    BadName,
    /// The field `port` is no port.
    #[error("`port` in the X-Haproxy-Server-State header is not a port")]
    BadPort,
    /// The value has neither a name, nor an address with a port.
    #[error("the X-Haproxy-Server-State header has neither `name` nor `address` and `port`")]
    Nameless,
}

/// The content of the header. Texts are as HAProxy sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerState<'a> {
    state: &'a str,
    backend: Option<&'a str>,
    server: Option<&'a str>,
    address: Option<(&'a str, u16)>,
    haproxy: Option<&'a str>,
}

impl ServerState<'_> {
    /// The server that the check asks about.
    pub fn node(&self) -> NodeRef {
        NodeRef {
            server_name: self.server.map(str::to_owned),
            address: self.address.map(|(host, port)| (host.to_owned(), port)),
            leads_to: None,
        }
    }

    /// The HAProxy that asks, from `address`, and whether it may send clients to the server.
    ///
    /// - It sends clients: `UP`, `UP 1/3` (about to go down), `NOLB` (stopping, its sessions go on).
    /// - It sends none: `DOWN`, `DOWN 1/2` (about to come up), `MAINT`.
    /// - Unnamed: the value has no `node`, no backend, or another state.
    pub fn proxy_check(&self, address: Option<IpAddr>) -> ProxyCheck {
        self.proxy(address).unwrap_or(ProxyCheck::Unnamed)
    }

    fn proxy(&self, address: Option<IpAddr>) -> Option<ProxyCheck> {
        let name = self.haproxy.filter(|name| !name.is_empty())?;
        let state = match self.state.split_whitespace().next()? {
            "UP" | "NOLB" => ProxyState::Up,
            "DOWN" | "MAINT" => ProxyState::Down,
            _ => return None,
        };
        let proxy = Proxy {
            name: name.to_owned(),
            backend: self.backend?.to_owned(),
            address,
        };
        Some(ProxyCheck::Proxy { proxy, state })
    }
}

/// The content of the request's only state header.
pub fn server_state(headers: &HeaderMap) -> Result<ServerState<'_>, BadStateHeader> {
    let mut values = headers.get_all(STATE_HEADER);
    let value = values.next().ok_or(BadStateHeader::Missing)?;
    if values.next().is_some() {
        return Err(BadStateHeader::Repeated);
    }
    parse(value.as_bytes())
}

/// Parses one header value. Unknown keys are ignored, whatever their values.
pub fn parse(value: &[u8]) -> Result<ServerState<'_>, BadStateHeader> {
    if value.len() > LONGEST {
        return Err(BadStateHeader::TooLong);
    }
    let text = std::str::from_utf8(value).map_err(|_| BadStateHeader::Malformed)?;
    let (state, fields) = text.split_once(';').ok_or(BadStateHeader::Malformed)?;
    if state.trim().is_empty() || state.contains('=') || text.chars().any(char::is_control) {
        return Err(BadStateHeader::Malformed);
    }

    let (mut name, mut address, mut port, mut haproxy) = (None, None, None, None);
    for field in fields.split(';') {
        let (key, value) = field.split_once('=').ok_or(BadStateHeader::Malformed)?;
        let place = match key.trim() {
            "name" => &mut name,
            "address" => &mut address,
            "port" => &mut port,
            "node" => {
                haproxy = haproxy.or(Some(value.trim()));
                continue;
            }
            _ => continue,
        };
        if place.replace(value.trim()).is_some() {
            return Err(BadStateHeader::Ambiguous);
        }
    }

    let name = name.map(backend_and_server).transpose()?;
    let port = port.map(port_of).transpose()?.flatten();
    let address = address.filter(|host| !host.is_empty()).zip(port);
    if name.is_none() && address.is_none() {
        return Err(BadStateHeader::Nameless);
    }
    let (backend, server) = name.unzip();
    Ok(ServerState {
        state: state.trim(),
        backend,
        server,
        address,
        haproxy,
    })
}

/// Splits `backend/server`. The name of a backend has no slash; everything after the first slash is the server's
/// name.
fn backend_and_server(name: &str) -> Result<(&str, &str), BadStateHeader> {
    match name.split_once('/') {
        Some(names @ (backend, server)) if !backend.is_empty() && !server.is_empty() => Ok(names),
        _ => Err(BadStateHeader::BadName),
    }
}

/// The port; `None` if the server has none of its own: HAProxy then sends an empty text, or 0.
fn port_of(port: &str) -> Result<Option<u16>, BadStateHeader> {
    match port {
        "" | "0" => Ok(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .map(Some)
            .map_err(|_| BadStateHeader::BadPort),
        _ => Err(BadStateHeader::BadPort),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &[u8]) -> Result<NodeRef, BadStateHeader> {
        super::parse(value).map(|said| said.node())
    }

    /// The name of the HAProxy in this value, and how it sees the server.
    fn proxy_check(value: &str) -> Option<(String, ProxyState)> {
        let said = super::parse(value.as_bytes()).unwrap();
        match said.proxy_check(Some([10, 0, 0, 9].into())) {
            ProxyCheck::Proxy { proxy, state } => Some((proxy.to_string(), state)),
            ProxyCheck::Unnamed => None,
        }
    }

    #[test]
    fn a_haproxy_says_who_it_is_and_whether_it_sends_clients() {
        for (said, state) in [
            ("UP", ProxyState::Up),
            ("UP 1/3", ProxyState::Up),
            ("NOLB 1/2", ProxyState::Up),
            ("DOWN", ProxyState::Down),
            ("DOWN 2/3", ProxyState::Down),
            ("MAINT", ProxyState::Down),
        ] {
            let value = format!("{said}; address=10.0.0.1; port=1; name=b/s; node=lb1; weight=1/1");
            let expected = ("lb1/b at 10.0.0.9".to_owned(), state);
            assert_eq!(proxy_check(&value), Some(expected), "{said}");
        }
    }

    #[test]
    fn whoever_does_not_say_who_or_in_which_state_is_unnamed() {
        for value in [
            "UP; name=b/s",
            "UP; name=b/s; node=",
            "UP; address=10.0.0.1; port=1; node=lb1",
            "no check; name=b/s; node=lb1",
            "UPPER; name=b/s; node=lb1",
        ] {
            assert_eq!(proxy_check(value), None, "{value}");
        }
    }

    fn node(server_name: Option<&str>, address: Option<(&str, u16)>) -> NodeRef {
        NodeRef {
            server_name: server_name.map(str::to_owned),
            address: address.map(|(host, port)| (host.to_owned(), port)),
            leads_to: None,
        }
    }

    #[test]
    fn the_header_of_haproxy_2_6_is_read() {
        let value =
            b"UP 1/3; address=192.168.1.40; port=6379; name=cluster-1-writable/192.168.1.40:6379; \
            node=lb1; weight=1/3; scur=0/8; qcur=0; throttle=50%";
        assert_eq!(
            parse(value),
            Ok(node(
                Some("192.168.1.40:6379"),
                Some(("192.168.1.40", 6379))
            ))
        );
    }

    /// The function `httpchk_build_status_header` has written this form from HAProxy 2.2 to 3.2
    /// (<https://github.com/haproxy/haproxy/blob/v3.2.0/src/tcpcheck.c>).
    #[test]
    fn the_header_of_every_haproxy_since_2_2_is_read() {
        let end = "; name=b/s:1; node=lb1; weight=1/3; scur=13/22; qcur=0";
        for (said, state) in [
            ("DOWN", Some(ProxyState::Down)),
            ("DOWN 1/2", Some(ProxyState::Down)),
            ("UP 2/3", Some(ProxyState::Up)),
            ("UP", Some(ProxyState::Up)),
            ("NOLB 2/3", Some(ProxyState::Up)),
            ("NOLB", Some(ProxyState::Up)),
            ("no check", None),
        ] {
            for (place, address) in [
                ("; address=10.0.0.1; port=1", Some(("10.0.0.1", 1))),
                ("; address=fd00::1; port=1", Some(("fd00::1", 1))),
                ("; address=unix; port=", None),
            ] {
                for slow in ["", "; throttle=7%"] {
                    let value = format!("{said}{place}{end}{slow}");
                    assert_eq!(parse(value.as_bytes()), Ok(node(Some("s:1"), address)));
                    let expected = state.map(|state| ("lb1/b at 10.0.0.9".to_owned(), state));
                    assert_eq!(proxy_check(&value), expected, "{value}");
                }
            }
        }
    }

    #[test]
    fn the_header_of_older_haproxies_has_only_a_name() {
        let value = b"DOWN; name=b/redis-1; node=lb1; weight=1/2; scur=13/22; qcur=0";
        assert_eq!(parse(value), Ok(node(Some("redis-1"), None)));
    }

    #[test]
    fn server_names_may_hold_colons_and_slashes() {
        let value = b"no check; address=::1; port=6380; name=b/a/b:[::1]:6380";
        assert_eq!(
            parse(value),
            Ok(node(Some("a/b:[::1]:6380"), Some(("::1", 6380))))
        );
    }

    #[test]
    fn a_server_without_an_address_of_its_own_is_named_by_its_name() {
        for value in [
            &b"UP; address=; port=; name=b/s"[..],
            b"UP; address=10.0.0.1; port=0; name=b/s",
            b"UP; port=6379; name=b/s",
        ] {
            assert_eq!(parse(value), Ok(node(Some("s"), None)));
        }
    }

    #[test]
    fn what_names_no_server_is_refused() {
        use BadStateHeader::{Ambiguous, BadName, BadPort, Malformed, Nameless, TooLong};
        for (value, why) in [
            ("", Malformed),
            ("UP", Malformed),
            ("; name=b/s", Malformed),
            ("name=b/s", Malformed),
            ("name=b/s; address=1.1.1.1", Malformed),
            ("UP; name=b/s;", Malformed),
            ("UP; name", Malformed),
            ("UP; name=b/s\r\nX: y", Malformed),
            ("UP; weight=1/1", Nameless),
            ("UP; address=10.0.0.1", Nameless),
            ("UP; name=", BadName),
            ("UP; name=server", BadName),
            ("UP; name=/server", BadName),
            ("UP; name=backend/", BadName),
            ("UP; name=b/s; name=b/t", Ambiguous),
            ("UP; name=b/s; address=a; address=b", Ambiguous),
            ("UP; name=b/s; port=x", BadPort),
            ("UP; name=b/s; port=+1", BadPort),
            ("UP; name=b/s; port=65536", BadPort),
            ("UP; name=b/s; port=-1", BadPort),
        ] {
            assert_eq!(parse(value.as_bytes()), Err(why), "{value:?}");
        }
        assert_eq!(parse(b"UP; name=b/\xff"), Err(Malformed));
        assert_eq!(parse(&[b'a'; LONGEST + 1]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(value in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = parse(&value);
        }

        #[test]
        fn no_near_miss_makes_it_panic_or_name_nothing(
            value in "(UP|DOWN|)( [0-9]/[0-9])?(; ?(name|address|port|node|)=?[a-z0-9:/.;= -]{0,12}){0,6}"
        ) {
            if let Ok(named) = parse(value.as_bytes()) {
                prop_assert!(named.server_name.is_some() || named.address.is_some());
            }
        }

        #[test]
        fn whatever_haproxy_is_configured_with_is_read_back(
            state in "(UP|DOWN|NOLB)( [0-9]{1,2}/[0-9]{1,2})?|no check",
            backend in "[A-Za-z0-9_.:-]{1,30}",
            server in "[A-Za-z0-9_.:/-]{1,60}",
            address in "[0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9a-f:]{2,39}",
            port in 1_u16..,
            rest in "(; (node|weight|scur|qcur)=[a-z0-9/]{0,10}){0,4}",
        ) {
            let value = format!("{state}; address={address}; port={port}; name={backend}/{server}{rest}");
            prop_assert_eq!(parse(value.as_bytes()), Ok(node(Some(&server), Some((&address, port)))));
        }
    }
}
