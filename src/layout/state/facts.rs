//! The facts of a node, as a keeper reports them to others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::WireAddr;
use crate::domain::facts::{
    Family, Link, Mode, NodeFacts, Role, ServerFailover, Upstream, Version, Writes,
};
use crate::domain::node::NodeAddr;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct WireFacts {
    node: WireAddr,
    run_id: String,
    version: [u16; 3],
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    valkey: bool,
    mode: WireMode,
    uptime_ms: u64,
    loading: bool,
    role: WireRole,
    replication_id: String,
    previous_replication_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_offset: Option<u64>,
    offset: u64,
    keys: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    append_only: bool,
    /// The name in `INFO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failover: Option<String>,
    #[serde(default, skip_serializing_if = "WireWrites::is_default")]
    writes: WireWrites,
    sentinels: Vec<String>,
    #[serde(default)]
    other_subscribers: usize,
}

#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct WireWrites {
    misconf: bool,
    disk_failed: bool,
    replicas_in_touch: Option<usize>,
}

impl WireWrites {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireMode {
    Standalone,
    Cluster,
    Sentinel,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireRole {
    #[serde(rename_all = "kebab-case")]
    Primary { online_replicas: usize },
    #[serde(rename_all = "kebab-case")]
    Replica {
        primary: WireAddr,
        link: WireLink,
        syncing: bool,
        last_io_ms: Option<u64>,
        priority: u32,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireLink {
    Up,
    #[serde(rename_all = "kebab-case")]
    Down {
        since_ms: Option<u64>,
    },
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<(&NodeAddr, &NodeFacts)> for WireFacts {
    fn from((node, facts): (&NodeAddr, &NodeFacts)) -> Self {
        let Version {
            major,
            minor,
            patch,
        } = facts.version;
        Self {
            node: node.into(),
            run_id: facts.run_id.clone(),
            version: [major, minor, patch],
            valkey: facts.family == Family::Valkey,
            mode: match facts.mode {
                Mode::Standalone => WireMode::Standalone,
                Mode::Cluster => WireMode::Cluster,
                Mode::Sentinel => WireMode::Sentinel,
            },
            uptime_ms: milliseconds(facts.uptime),
            loading: facts.loading,
            role: match &facts.role {
                Role::Primary { online_replicas } => WireRole::Primary {
                    online_replicas: *online_replicas,
                },
                Role::Replica(upstream) => WireRole::Replica {
                    primary: (&upstream.primary).into(),
                    link: match upstream.link {
                        Link::Up => WireLink::Up,
                        Link::Down { since } => WireLink::Down {
                            since_ms: since.map(milliseconds),
                        },
                    },
                    syncing: upstream.syncing,
                    last_io_ms: upstream.last_io.map(milliseconds),
                    priority: upstream.priority,
                },
            },
            replication_id: facts.replication_id.clone(),
            previous_replication_id: facts.previous_replication_id.clone(),
            previous_offset: facts.previous_offset,
            offset: facts.offset,
            keys: facts.keys,
            append_only: facts.append_only,
            failover: facts.failover.map(|it| it.to_string()),
            writes: WireWrites {
                misconf: facts.writes.misconf,
                disk_failed: facts.writes.disk_failed,
                replicas_in_touch: facts.writes.replicas_in_touch,
            },
            sentinels: facts.sentinels.clone(),
            other_subscribers: facts.other_subscribers,
        }
    }
}

impl From<WireFacts> for (NodeAddr, NodeFacts) {
    fn from(wire: WireFacts) -> Self {
        let [major, minor, patch] = wire.version;
        let facts = NodeFacts {
            run_id: wire.run_id,
            version: Version {
                major,
                minor,
                patch,
            },
            family: if wire.valkey {
                Family::Valkey
            } else {
                Family::Redis
            },
            mode: match wire.mode {
                WireMode::Standalone => Mode::Standalone,
                WireMode::Cluster => Mode::Cluster,
                WireMode::Sentinel => Mode::Sentinel,
            },
            uptime: Duration::from_millis(wire.uptime_ms),
            loading: wire.loading,
            role: match wire.role {
                WireRole::Primary { online_replicas } => Role::Primary { online_replicas },
                WireRole::Replica {
                    primary,
                    link,
                    syncing,
                    last_io_ms,
                    priority,
                } => Role::Replica(Upstream {
                    primary: primary.into(),
                    link: match link {
                        WireLink::Up => Link::Up,
                        WireLink::Down { since_ms } => Link::Down {
                            since: since_ms.map(Duration::from_millis),
                        },
                    },
                    syncing,
                    last_io: last_io_ms.map(Duration::from_millis),
                    priority,
                }),
            },
            replication_id: wire.replication_id,
            previous_replication_id: wire.previous_replication_id,
            previous_offset: wire.previous_offset,
            offset: wire.offset,
            // Figures that move by themselves are read where they are shown.
            attached: Vec::new(),
            copied: 0,
            keys: wire.keys,
            append_only: wire.append_only,
            failover: wire.failover.as_deref().and_then(ServerFailover::parse),
            // The leader switches over by its own facts, or not at all.
            shutting_down: None,
            writes: Writes {
                misconf: wire.writes.misconf,
                disk_failed: wire.writes.disk_failed,
                replicas_in_touch: wire.writes.replicas_in_touch,
            },
            sentinels: wire.sentinels,
            other_subscribers: wire.other_subscribers,
        };
        (wire.node.into(), facts)
    }
}
