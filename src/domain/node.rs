//! Names of things: nodes, clusters, keepers, and the counters that order them.

use std::fmt;
use std::str::FromStr;

/// Where a Redis node listens, as it was configured: host name, IPv4 or IPv6 literal (without brackets), and port.
///
/// The address is a node's *name*: two different addresses can be the same server. Resolved socket addresses and run
/// ids decide that ([`super::observed::Topology::aliases`]), never a comparison of names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddr {
    host: String,
    port: u16,
}

impl NodeAddr {
    /// The address of `host` and `port`. Brackets around an IPv6 literal are taken off.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .map_or_else(|| host.clone(), str::to_owned);
        Self { host, port }
    }

    /// Host name or IP literal; IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Text that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address: write host:port, or [ipv6]:port")]
pub struct NotAnAddress(String);

impl FromStr for NodeAddr {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NotAnAddress(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(bad)?;
        if host.is_empty() || (host.contains(':') && !bracketed) {
            return Err(bad());
        }
        Ok(Self::new(host, port))
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that configuration has validated.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// The name of one cluster, as in `/cluster/{name}/status`.
    ClusterName
}
name_type! {
    /// The id of one keeper, unique below a `zk-prefix`.
    KeeperId
}

/// The number of a leadership, raised by each new leader. The epoch fences the commands of older leaders (RK-4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The counter that every withdrawal and publication raises, in any cluster (RK-2). The counter never restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A reading of the lease clock: the time since an arbitrary origin, suspension included. Callers pass the moment in;
/// the core never reads a clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub std::time::Duration);

impl Moment {
    /// The moment `span` later.
    #[must_use]
    pub fn after(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Moment) -> std::time::Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_what_they_print() {
        for text in ["10.0.0.1:6379", "[::1]:6380", "redis-1.dev:1"] {
            assert_eq!(text.parse::<NodeAddr>().unwrap().to_string(), text);
        }
        assert_eq!(NodeAddr::new("[::1]", 1), NodeAddr::new("::1", 1));
    }

    #[test]
    fn half_an_address_is_refused() {
        for text in [
            "",
            "host",
            "host:",
            ":1",
            "::1:6379",
            "host:0",
            "host:70000",
            "host:-1",
        ] {
            assert!(text.parse::<NodeAddr>().is_err(), "{text}");
        }
    }
}
