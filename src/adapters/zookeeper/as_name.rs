//! Spells the address of a server so that the client library takes it for a host name.
//!
//! The library checks the deadline of its session only while it opens a connection. `connect()` can fail at once, as
//! with an `unreachable` route or without a free file descriptor. Then the deadline passes unseen. From then on the
//! library tries again without a pause, and lets no other task run.
//!
//! The library resolves a name on another thread, which takes a moment each time and lets other tasks run. The
//! alternatives are in `docs/adr/038-addresses-as-names.md`.

use std::net::SocketAddr;

/// Spells `server` (`host:port`) so that the system's resolver reads the same address, and Rust's parser of addresses
/// reads none.
///
/// - IPv4: the last number is hexadecimal, as in `192.0.2.0x1`. The resolver accepts the forms of `inet_addr`.
///   Source: <https://pubs.opengroup.org/onlinepubs/9699919799/functions/getaddrinfo.html>.
/// - IPv6: the zone is written out, as in `2001:db8::1%0`. Zone 0 is the default zone. Source:
///   <https://www.rfc-editor.org/rfc/rfc4007#section-11.2>.
/// - A name stays as it is.
///
/// The resolver reads both forms without a query to a name server.
pub(super) fn as_name(server: &str) -> String {
    match server.parse() {
        Ok(SocketAddr::V4(address)) => {
            let ([a, b, c, d], port) = (address.ip().octets(), address.port());
            format!("{a}.{b}.{c}.{d:#x}:{port}")
        }
        Ok(SocketAddr::V6(address)) => {
            let (ip, zone, port) = (address.ip(), address.scope_id(), address.port());
            format!("[{ip}%{zone}]:{port}")
        }
        Err(_) => server.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, ToSocketAddrs as _};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::super::ZooKeeper;
    use super::*;
    use crate::ports::coordination::{Coordination as _, CoordinationError};

    #[test]
    fn an_address_is_a_name_to_the_library_and_the_same_address_to_the_resolver() {
        for address in [
            "127.0.0.1:2181",
            "192.0.2.40:2181",
            "10.0.0.0:1",
            "198.51.100.255:65535",
            "[::1]:2181",
            "[2001:db8::a:1]:2182",
            "[::ffff:192.0.2.1]:2181",
        ] {
            let name = as_name(address);
            let (host, port) = name.rsplit_once(':').expect("a port");
            let host = host.trim_matches(['[', ']']);
            assert!(host.parse::<IpAddr>().is_err(), "{name} is an address");
            let port = port.parse().expect("a port");
            let found = (host, port).to_socket_addrs();
            let found: Vec<_> = found.expect("it resolves").collect();
            assert_eq!(found, [address.parse().expect("an address")], "{name}");
        }
        for name in ["zk-1:2181", "zk.example.com:2181", "1.2.3.example:2181"] {
            assert_eq!(as_name(name), name);
        }
    }

    /// The system refuses TCP to these addresses before it sends anything, whatever its routes are.
    #[test]
    fn a_connection_that_fails_at_once_each_time_ends_with_the_session_timeout() {
        const SESSION: Duration = Duration::from_millis(500);
        for server in ["255.255.255.255:2181", "[ff02::1]:2181"] {
            let (ended, end) = mpsc::channel();
            // On a thread of its own: the library might never return.
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.expect("a runtime").block_on(async move {
                    let servers = vec![server.to_owned()];
                    let connected = ZooKeeper::new(servers, "/", SESSION, None).connect().await;
                    ended.send(connected.err()).expect("the test waits");
                });
            });
            let error = end.recv_timeout(20 * SESSION).expect("it gives up");
            // Not `Refused`: the library could parse the server's address.
            assert!(
                matches!(error, Some(CoordinationError::Unknown(_))),
                "{server}: {error:?}"
            );
        }
    }
}
