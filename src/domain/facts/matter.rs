//! The facts that decisions depend on, without the figures that move by themselves.

use super::{Link, NodeFacts, Role, Upstream};

impl NodeFacts {
    /// Whether `other` would lead to the same decisions.
    pub(in crate::domain) fn same_matter(&self, other: &Self) -> bool {
        let Self {
            run_id,
            version,
            family,
            mode,
            uptime: _,
            loading,
            role,
            replication_id,
            previous_replication_id,
            previous_offset,
            offset: _,
            attached: _,
            copied: _,
            keys,
            append_only,
            failover,
            shutting_down,
            writes,
            sentinels,
            other_subscribers,
        } = self;
        let same_role = match (role, &other.role) {
            (Role::Replica(one), Role::Replica(other)) => one.same_matter(other),
            (one, other) => one == other,
        };
        same_role
            && *run_id == other.run_id
            && *version == other.version
            && *family == other.family
            && *mode == other.mode
            && *loading == other.loading
            && *replication_id == other.replication_id
            && *previous_replication_id == other.previous_replication_id
            && *previous_offset == other.previous_offset
            && *append_only == other.append_only
            && *failover == other.failover
            && shutting_down.is_some() == other.shutting_down.is_some()
            && *writes == other.writes
            && (*keys == 0) == (other.keys == 0)
            && *sentinels == other.sentinels
            && *other_subscribers == other.other_subscribers
    }
}

impl Upstream {
    pub(super) fn same_matter(&self, other: &Self) -> bool {
        let Self {
            primary,
            link,
            syncing,
            last_io: _,
            priority,
        } = self;
        *primary == other.primary
            && (*link == Link::Up) == (other.link == Link::Up)
            && *syncing == other.syncing
            && *priority == other.priority
    }
}
