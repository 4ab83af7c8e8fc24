//! The paths of all nodes, below `zk-prefix`.
//!
//! Names of clusters and keepers become path elements as they are: configuration admits only names that ZooKeeper
//! admits.

use crate::domain::keepers::latch::LatchName;
use crate::domain::node::{ClusterName, KeeperId};

/// The prefix itself.
pub const ROOT: &str = "/";
/// The format version, created before anything else: a prefix without it does not belong to redis-keeper.
pub const FORMAT: &str = "/format";
/// The settings that all keepers must share.
pub const SETTINGS: &str = "/settings";
/// The token that tells this group of keepers from others (RK-12).
pub const GROUP: &str = "/group";
/// The last epoch: a decimal number.
pub const EPOCH: &str = "/epoch";
/// The last generation, and the clusters that changed recently.
pub const GENERATION: &str = "/generation";
/// The latch: one ephemeral sequential child for each keeper.
pub const LEADER: &str = "/leader";
/// One ephemeral child for each keeper.
pub const KEEPERS: &str = "/keepers";
/// One persistent child for each member of the failsafe group (RK-8).
pub const FAILSAFE_MEMBERS: &str = "/circle";
/// One ephemeral child for each keeper: the settings of its file.
pub const FILES: &str = "/files";
/// One child for each cluster.
pub const CLUSTERS: &str = "/clusters";

/// The registration of a member of the failsafe group.
pub fn registration(keeper: &KeeperId) -> String {
    format!("{FAILSAFE_MEMBERS}/{keeper}")
}

/// The announcement of a keeper, which is its heartbeat node, too.
pub fn keeper(keeper: &KeeperId) -> String {
    format!("{KEEPERS}/{keeper}")
}

/// The settings of a keeper's file.
pub fn file(keeper: &KeeperId) -> String {
    format!("{FILES}/{keeper}")
}

/// The published state of a cluster.
pub fn cluster(cluster: &ClusterName) -> String {
    format!("{CLUSTERS}/{cluster}")
}

/// The parent of the reports on a cluster.
pub fn reports(cluster: &ClusterName) -> String {
    format!("{CLUSTERS}/{cluster}/reports")
}

/// One keeper's report on a cluster.
pub fn report(cluster: &ClusterName, keeper: &KeeperId) -> String {
    format!("{CLUSTERS}/{cluster}/reports/{keeper}")
}

/// Separates the owner of a latch node from its sequence number. Curator's latch orders its participants by the text
/// that follows. So a keeper of the older project that joins this latch queues up behind, instead of leading.
const LATCH: &str = "-latch-";

/// The path of the latch node that a session creates. ZooKeeper appends the sequence number.
pub fn latch(keeper: &KeeperId, session: i64) -> String {
    format!("{LEADER}/{keeper}@{session:x}{LATCH}")
}

/// Reads the name of a child of [`LEADER`]; `None` if no keeper of this program created it.
pub fn latch_name(name: &str) -> Option<LatchName> {
    let (owner, sequence) = name.rsplit_once(LATCH)?;
    let (keeper, session) = owner.rsplit_once('@')?;
    Some(LatchName {
        sequence: sequence.parse().ok()?,
        session: u64::from_str_radix(session, 16).ok()?.cast_signed(),
        keeper: KeeperId::new(keeper),
    })
}

/// The path of a latch node that exists.
pub fn latch_path(name: &LatchName) -> String {
    let sequence = name.sequence;
    format!("{}{sequence:010}", latch(&name.keeper, name.session))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn latch_names_read_back(id in "[A-Za-z0-9@._-]{1,12}", session: i64, sequence in 0..u64::from(u32::MAX)) {
            let name = LatchName { sequence, session, keeper: KeeperId::new(id) };
            let path = latch_path(&name);
            prop_assert_eq!(latch_name(path.strip_prefix("/leader/").unwrap()), Some(name));
        }
    }

    #[test]
    fn a_latch_of_another_program_is_not_read_as_ours() {
        for name in [
            "_c_0b5d4a0e-73c4-4b0f-9c47-2f1d5d1f1f1d-latch-0000000000",
            "latch-0000000001",
            "keeper-1@zz-latch-0000000001",
        ] {
            assert_eq!(latch_name(name), None, "{name}");
        }
    }
}
