//! A failover by Redis's own command.

use std::fmt;

/// How far a `FAILOVER` has come that somebody gave to this server (`master_failover_state`, since Redis 6.2).
/// Meanwhile the server takes no writes, and refuses `REPLICAOF`.
///
/// Source: <https://redis.io/docs/latest/commands/failover/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFailover {
    /// The server holds up writes until the target has all of its data, by default without a time limit.
    WaitingForSync,
    /// The server makes the target take over, and follows it already.
    InProgress,
}

impl ServerFailover {
    /// Reads the value in `INFO`; `None` if no failover is under way.
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
