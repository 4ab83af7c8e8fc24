//! A primary's figures for a replica that is attached to it.

use std::time::Duration;

use super::NodeFacts;

/// A replica that is attached and online (`slaveN:ip=…,port=…,state=online,offset=…,lag=…`).
///
/// Source: <https://redis.io/docs/latest/commands/info/>.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attached {
    /// The address that its connection comes from, or the address that it announces (`replica-announce-ip`).
    pub host: String,
    /// The port at which it listens, or the port that it announces.
    pub port: u16,
    /// Bytes of the replication stream that it has acknowledged. A replica acknowledges once a second.
    pub offset: u64,
    /// Time since its last acknowledgement, in whole seconds; `None` if unreadable.
    pub silent: Option<Duration>,
}

/// How far a replica is behind its primary, by one answer of the primary that has both offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of the replication stream that the replica has not acknowledged.
    pub bytes: u64,
    /// Whole seconds since its last acknowledgement; `None` if unreadable.
    pub seconds: Option<u64>,
}

impl Attached {
    /// Reads the value of `slaveN`. `None` unless the replica is online, and its address and offset are readable.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = text.split(',');
            fields.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
        };
        field("state").filter(|state| *state == "online")?;
        Some(Self {
            host: field("ip")?.to_owned(),
            port: field("port")?.parse().ok()?,
            offset: field("offset")?.parse().ok()?,
            silent: field("lag").and_then(|lag| lag.parse().ok().map(Duration::from_secs)),
        })
    }

    /// How far the replica is behind the server whose `facts` list it.
    pub fn lag(&self, facts: &NodeFacts) -> Lag {
        Lag {
            bytes: facts.offset.saturating_sub(self.offset),
            seconds: self.silent.map(|silent| silent.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_replica_that_is_online_is_read_and_only_if_it_can_be_told_apart() {
        let read = Attached::parse("ip=::1,port=6380,state=online,offset=28,lag=1");
        let told = Attached {
            host: "::1".to_owned(),
            port: 6380,
            offset: 28,
            silent: Some(Duration::from_secs(1)),
        };
        assert_eq!(read.as_ref(), Some(&told));
        let unread = Attached::parse("ip=::1,port=6380,state=online,offset=28,lag=-3");
        assert_eq!(
            unread,
            Some(Attached {
                silent: None,
                ..told
            })
        );
        for text in [
            "",
            "ip=::1,port=6380,state=wait_bgsave,offset=0,lag=0",
            "ip=::1,port=6380,state=online",
            "ip=::1,port=x,state=online,offset=28,lag=1",
            "10.0.0.1,6380,online",
        ] {
            assert_eq!(Attached::parse(text), None, "{text}");
        }
    }
}
