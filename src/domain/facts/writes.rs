//! What keeps a server from taking writes, or would, were it a primary.

use super::{NodeFacts, Version};

/// From this version on a replica, too, answers `PING` with `MISCONF` when its disk fails.
const REPLICAS_TELL: Version = Version {
    major: 7,
    minor: 0,
    patch: 0,
};

/// When a primary refuses writes because too few replicas are in touch with it. A setting of each node, which Redis heeds
/// on a primary only.
///
/// Source: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinReplicas {
    /// So many replicas must be in touch (`min-replicas-to-write`); 0: none.
    pub to_write: u32,
    /// One is in touch if it was heard so many seconds ago at most (`min-replicas-max-lag`); 0 turns the whole off.
    pub max_lag: u32,
}

impl MinReplicas {
    /// How many replicas it really takes.
    pub fn demanded(self) -> u32 {
        if self.max_lag == 0 { 0 } else { self.to_write }
    }
}

/// What a server tells of whether it can take writes.
///
/// - It answers `MISCONF` to writes and to `PING` after a failed dump, if it is to save at points in time and has
///   `stop-writes-on-bgsave-error yes`, as by default.
/// - It answers so, too, after a failed write to its append-only file.
///
/// Source: <https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// It answered `PING` with `MISCONF`.
    pub misconf: bool,
    /// Its last dump failed, or its last write to the append-only file (`rdb_last_bgsave_status`, `aof_last_write_status`).
    /// Whether it refuses writes for that depends on its settings.
    pub disk_failed: bool,
    /// Replicas in touch with it; `None` unless its `min-replicas` settings demand any (`min_slaves_good_slaves`).
    pub replicas_in_touch: Option<usize>,
}

impl NodeFacts {
    /// Whether it refuses every write as a primary because of its disk, as far as it tells.
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
