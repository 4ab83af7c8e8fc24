//! Signs that a server refuses writes, or would refuse them as a primary.

use super::{NodeFacts, Version};

/// From this version on, a replica also answers `PING` with `MISCONF` when its disk fails.
const REPLICAS_TELL: Version = Version {
    major: 7,
    minor: 0,
    patch: 0,
};

/// The `min-replicas` settings of a node: when a primary refuses writes because too few replicas are in touch with
/// it. Redis applies them on a primary only.
///
/// Source: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinReplicas {
    /// How many replicas must be in touch (`min-replicas-to-write`); 0 demands none.
    pub to_write: u32,
    /// A replica is in touch if it was heard at most this many seconds ago (`min-replicas-max-lag`); 0 switches the
    /// check off.
    pub max_lag: u32,
}

impl MinReplicas {
    /// How many replicas the two settings together demand.
    pub fn demanded(self) -> u32 {
        if self.max_lag == 0 { 0 } else { self.to_write }
    }
}

/// Signs of whether a server can take writes.
///
/// - After a failed dump, the server answers `MISCONF` to writes and to `PING`. Two settings must hold: it saves at
///   points in time, and `stop-writes-on-bgsave-error` is `yes`, the default.
/// - After a failed write to its append-only file, the server answers `MISCONF`, too.
///
/// Source: <https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// The server answered `PING` with `MISCONF`.
    pub misconf: bool,
    /// The last dump failed, or the last write to the append-only file (`rdb_last_bgsave_status`,
    /// `aof_last_write_status`). The server's settings decide whether it refuses writes for that.
    pub disk_failed: bool,
    /// The replicas in touch (`min_slaves_good_slaves`); `None` unless the `min-replicas` settings demand any.
    pub replicas_in_touch: Option<usize>,
}

impl NodeFacts {
    /// Whether the server, as a primary, refuses every write because of its disk, as far as its answers show.
    pub fn refuses_for_its_disk(&self) -> bool {
        let untold = self.upstream().is_some() && self.version < REPLICAS_TELL;
        self.writes.misconf || untold && self.writes.disk_failed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::info::Info;

    #[test]
    fn what_keeps_a_server_from_taking_writes_is_read_and_so_is_its_end() {
        let text = include_str!("../info/samples/redis-7.0-primary.txt");
        let mut facts = NodeFacts::of(&Info::parse(text)).expect("a full reply");
        assert_eq!(facts.writes, Writes::default());
        let mut told = |text: &str| {
            facts.update(Info::parse(text), Duration::ZERO);
            (facts.writes.disk_failed, facts.writes.replicas_in_touch)
        };
        let primary = "role:master\nconnected_slaves:0\n";
        let demanding = format!("{primary}min_slaves_good_slaves:0\n");
        assert_eq!(told(&demanding), (false, Some(0)));
        let failed = "rdb_last_bgsave_status:ok\naof_last_write_status:err\n";
        assert_eq!(told(failed), (true, Some(0)), "another section");
        assert_eq!(told(primary), (true, None), "it demands none any more");
        let well = "rdb_last_bgsave_status:ok\naof_last_write_status:ok\n";
        assert_eq!(told(well), (false, None));
    }
}
