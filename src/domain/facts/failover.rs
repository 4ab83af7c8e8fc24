//! A failover by Redis's own command.

use std::fmt;

/// How far a `FAILOVER` is that somebody has given this server (`master_failover_state`, since Redis 6.2). The server takes no
/// writes meanwhile, and refuses `REPLICAOF`.
///
/// Source: <https://redis.io/docs/latest/commands/failover/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFailover {
    /// It holds writes up until the target has all of its data, however long that takes.
    WaitingForSync,
    /// It has the target take over, and follows it already.
    InProgress,
}

impl ServerFailover {
    /// As `INFO` names it; `None` for none.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "waiting-for-sync" => Some(Self::WaitingForSync),
            "failover-in-progress" => Some(Self::InProgress),
            _ => None,
        }
    }
}

impl fmt::Display for ServerFailover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WaitingForSync => "waiting-for-sync",
            Self::InProgress => "failover-in-progress",
        })
    }
}
