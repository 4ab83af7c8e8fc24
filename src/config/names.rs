//! Checks of hosts, addresses and names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The fault of a text, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) fault: String,
    pub(super) remedy: String,
}

pub(super) fn refused(fault: impl Into<String>, remedy: impl Into<String>) -> Refused {
    Refused {
        fault: fault.into(),
        remedy: remedy.into(),
    }
}

/// A host and a TCP port, of a service other than Redis.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Host name or IP literal; IPv6 without brackets.
    pub host: String,
    /// TCP port, not 0.
    pub port: u16,
}

// === impl HostPort ===

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    /// Parses `host`, `host:port`, `[ipv6]`, `[ipv6]:port` or a bare IPv6 literal.
    pub(super) fn parse(text: &str, default_port: u16) -> Result<Self, Refused> {
        let (name, port) = match text.rsplit_once(':') {
            Some(_) if text.parse::<Ipv6Addr>().is_ok() || text.ends_with(']') => (text, None),
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        if name.contains(':') && port.is_some() && !name.starts_with('[') {
            return Err(refused(
                "is not host:port",
                "write host:port, or [ipv6]:port",
            ));
        }
        let not_a_port = || {
            refused(
                "has no valid port",
                "write host:port, the port from 1 to 65535",
            )
        };
        let port = match port {
            None => default_port,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(not_a_port)?,
        };
        Ok(Self {
            host: host(name)?,
            port,
        })
    }
}

/// Checks a host name or IP literal. Removes the brackets of IPv6.
pub(super) fn host(text: &str) -> Result<String, Refused> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let bare = bracketed.unwrap_or(text);
    if bracketed.is_some() || bare.matches(':').count() > 1 {
        let (address, zone) = bare.split_once('%').unwrap_or((bare, "zone"));
        let valid = address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty();
        let fault = || refused("is not an IPv6 address", "write it as in ::1 or [::1]");
        return valid.then(|| bare.to_owned()).ok_or_else(fault);
    }
    if text.contains(':') {
        return Err(refused(
            "is a host with a port",
            "write the host alone; the port has its own key",
        ));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let numeric = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if !name.is_empty() && numeric {
        let fault = || {
            refused(
                "is not an IPv4 address",
                "write four numbers from 0 to 255: 192.168.1.40",
            )
        };
        return name
            .parse::<Ipv4Addr>()
            .map(|_| text.to_owned())
            .map_err(|_| fault());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err(refused(
            "is not a host",
            "write a host name (letters, digits, -, _ and dots) or an IP address",
        ))
    }
}

/// Checks the address of a node, a keeper or a ZooKeeper server. The host must mean one machine, and the same machine
/// from all hosts.
pub(super) fn peer(text: &str) -> Result<String, Refused> {
    let host = host(text)?;
    let remedy = "write the address that the keepers connect to";
    if host.contains('%') {
        return Err(refused(
            "names an interface of one host (what follows the '%'), which other hosts do not have",
            format!("{remedy}: a name, or an address that needs no interface"),
        ));
    }
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => Err(refused(
            "is a link-local address, which is reached through a named interface only",
            format!("{remedy}: a name, or an address that needs no interface"),
        )),
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() || is_broadcast(ip) => {
            Err(refused("is no machine's address", remedy))
        }
        _ => Ok(host),
    }
}

fn is_broadcast(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

/// Whether `host` means all addresses of this machine.
pub(super) fn is_wildcard(host: &str) -> bool {
    host.parse::<IpAddr>()
        .is_ok_and(|address| address.is_unspecified())
}

/// The form in which hosts are compared: two spellings of one host have the same form.
pub(super) fn canonical(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

/// Checks a name that becomes a ZooKeeper node and a segment of a URL.
pub(super) fn segment(text: &str) -> Result<(), Refused> {
    let remedy = "write a name of letters, digits, '-', '_' and '.'";
    let bad = |c: char| zookeeper_refuses(c) || c.is_whitespace() || "/?#%\\".contains(c);
    if text.is_empty() {
        Err(refused("is empty", remedy))
    } else if matches!(text, "." | "..") {
        Err(refused("is a relative path", remedy))
    } else if let Some(c) = text.chars().find(|c| bad(*c)) {
        Err(refused(
            format!("contains {c:?}, which no path can"),
            remedy,
        ))
    } else {
        Ok(())
    }
}

/// Checks the path of the node below which all nodes of the keepers are.
pub(super) fn prefix(text: &str) -> Result<(), Refused> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(refused(
            "does not begin with a slash",
            format!("write \"/{}\"", text.trim_end_matches('/')),
        ));
    };
    if rest.is_empty() {
        return Err(refused(
            "is the root of ZooKeeper",
            "write a path of its own: \"/rediskeeper\"",
        ));
    }
    if rest.ends_with('/') {
        return Err(refused(
            "ends with a slash",
            format!("write \"{}\"", text.trim_end_matches('/')),
        ));
    }
    if rest == "zookeeper" || rest.starts_with("zookeeper/") {
        return Err(refused(
            "belongs to ZooKeeper itself",
            "write a path of its own: \"/rediskeeper\"",
        ));
    }
    rest.split('/').try_for_each(segment)
}

/// Whether no ZooKeeper path may contain `c`. Source:
/// <https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html#ch_zkDataModel>.
fn zookeeper_refuses(c: char) -> bool {
    c.is_control() || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_ipv6_with_or_without_brackets() {
        for text in [
            "a",
            "redis-1.dev",
            "redis_1",
            "10.0.0.1",
            "::1",
            "fe80::1%eth0",
            "dev.",
            "1password.com",
        ] {
            assert_eq!(host(text).as_deref(), Ok(text));
        }
        assert_eq!(host("[2001:db8::1]").as_deref(), Ok("2001:db8::1"));
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_remedy_that_fits() {
        let cases = [
            ("", "is not a host"),
            ("a b", "is not a host"),
            ("-a", "is not a host"),
            ("a..b", "is not a host"),
            ("192.168.1.400", "is not an IPv4 address"),
            ("10.0.1", "is not an IPv4 address"),
            ("a:6379", "is a host with a port"),
            ("[::1", "is not an IPv6 address"),
            ("[a]", "is not an IPv6 address"),
            ("::1%", "is not an IPv6 address"),
            ("redis://a", "is a host with a port"),
        ];
        for (text, fault) in cases {
            assert_eq!(
                host(text).map_err(|refused| refused.fault),
                Err(fault.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_peer_is_one_machine_and_the_same_to_all_hosts() {
        for text in [
            "redis-1",
            "10.0.0.1",
            "169.254.1.1",
            "[2001:db8::1]",
            "::1",
            "fd00::1",
        ] {
            assert!(peer(text).is_ok(), "{text}");
        }
        for (text, fault) in [
            ("0.0.0.0", "is no machine's address"),
            ("[::]", "is no machine's address"),
            ("224.0.0.1", "is no machine's address"),
            ("255.255.255.255", "is no machine's address"),
            ("ff02::1", "is no machine's address"),
            ("fe80::1%lo", "names an interface of one host"),
            ("[fe80::1%25eth0]", "names an interface of one host"),
            ("2001:db8::1%eth0", "names an interface of one host"),
            ("fe80::1", "is a link-local address"),
            ("", "is not a host"),
            (" ", "is not a host"),
            ("redis-1 ", "is not a host"),
            ("10.0.0.1 ", "is not a host"),
            ("\tredis-1", "is not a host"),
        ] {
            let refused = peer(text).expect_err(text);
            assert!(
                refused.fault.starts_with(fault),
                "{text}: {}",
                refused.fault
            );
        }
    }

    #[test]
    fn a_port_may_be_left_out() {
        let parsed = |text| HostPort::parse(text, 2181).map(|server| server.to_string());
        for (text, expected) in [
            ("zk", "zk:2181"),
            ("zk:1", "zk:1"),
            ("::1", "[::1]:2181"),
            ("[::1]", "[::1]:2181"),
            ("[::1]:5", "[::1]:5"),
        ] {
            assert_eq!(parsed(text), Ok(expected.to_owned()));
        }
        for text in ["zk:", "zk:0", "zk:70000", "a:b:1", "[::1]:", ":1", ""] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spellings_of_one_host_are_the_same() {
        assert_eq!(canonical("0:0::1"), canonical("::1"));
        assert_eq!(canonical("::ffff:10.0.0.1"), canonical("10.0.0.1"));
        assert_eq!(canonical("Redis.DEV."), canonical("redis.dev"));
    }

    #[test]
    fn names_fit_into_zookeeper_and_urls() {
        for text in ["cluster-1", "a.b", "größe", "redis:1"] {
            assert_eq!(segment(text), Ok(()));
        }
        for text in [
            "", ".", "..", "a/b", "a b", "a\n", "a\u{0}", "a?b", "\u{e000}",
        ] {
            assert!(segment(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_is_an_absolute_path_without_a_slash_at_its_end() {
        assert_eq!(prefix("/a/b"), Ok(()));
        for text in [
            "",
            "a",
            "/",
            "/a/",
            "/a//b",
            "/a/../b",
            "/zookeeper",
            "/zookeeper/x",
        ] {
            assert!(prefix(text).is_err(), "{text}");
        }
        assert_eq!(prefix("a/").unwrap_err().remedy, "write \"/a\"");
    }
}
