//! `/clusters/<name>/reports/<id>`: what one keeper has to say about one cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::task::{WireOutcome, WireTask};
use super::witness::WireWitness;
use super::{Document, LayoutError, WireAddr, addrs, decode, encode, wire_addrs};
use crate::domain::drain::{Heard, Proxy};
use crate::domain::facts::{DownReason, Family, Link, Mode, NodeFacts, Role, Upstream, Version};
use crate::domain::group::OtherGroup;
use crate::domain::node::{ClusterName, Generation, KeeperId, NodeAddr};
use crate::domain::verdict::{Ended, Fresh, Report};

#[derive(Serialize, Deserialize)]
struct WireReport {
    down: Vec<WireVote>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<WireAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unprobed: Vec<WireAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unpublished: Vec<WireAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unread: Vec<WireAddr>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<WireEnded>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    asks: Vec<WireAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fresh: Option<WireFresh>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    askers: Vec<WireProxy>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    crowd: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drains: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heard: Option<WireHeard>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<WireTask>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outcomes: Vec<WireOutcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    witness: Option<WireWitness>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_groups: Vec<WireGroup>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    overlaps: BTreeMap<String, Vec<WireAddr>>,
}

/// Another group of keepers that was met (RK-12).
#[derive(Serialize, Deserialize)]
struct WireGroup {
    group: String,
    keeper: String,
    rest: WireAddr,
    coordination: String,
    cluster: String,
    primary: Option<WireAddr>,
}

#[derive(Serialize, Deserialize)]
struct WireEnded {
    generation: u64,
    closed: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WireHeard {
    generation: u64,
    up: Vec<WireProxy>,
    down: Vec<WireProxy>,
    more: bool,
}

#[derive(Serialize, Deserialize)]
struct WireProxy {
    name: String,
    backend: String,
    address: Option<IpAddr>,
}

#[derive(Serialize, Deserialize)]
struct WireVote {
    host: String,
    port: u16,
    reason: WireReason,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireReason {
    Refused,
    Closed,
    Unanswered,
    Loading,
}

#[derive(Serialize, Deserialize)]
struct WireFresh {
    generation: u64,
    nodes: Vec<WireFacts>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireFacts {
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
    sentinels: Vec<String>,
    #[serde(default)]
    other_subscribers: usize,
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

impl From<DownReason> for WireReason {
    fn from(reason: DownReason) -> Self {
        match reason {
            DownReason::Refused => Self::Refused,
            DownReason::Closed => Self::Closed,
            DownReason::Unanswered => Self::Unanswered,
            DownReason::Loading => Self::Loading,
        }
    }
}

impl From<WireReason> for DownReason {
    fn from(wire: WireReason) -> Self {
        match wire {
            WireReason::Refused => Self::Refused,
            WireReason::Closed => Self::Closed,
            WireReason::Unanswered => Self::Unanswered,
            WireReason::Loading => Self::Loading,
        }
    }
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
            keys: wire.keys,
            append_only: wire.append_only,
            sentinels: wire.sentinels,
            other_subscribers: wire.other_subscribers,
        };
        (wire.node.into(), facts)
    }
}

impl From<&Proxy> for WireProxy {
    fn from(proxy: &Proxy) -> Self {
        Self {
            name: proxy.name.clone(),
            backend: proxy.backend.clone(),
            address: proxy.address,
        }
    }
}

impl From<WireProxy> for Proxy {
    fn from(wire: WireProxy) -> Self {
        Self {
            name: wire.name,
            backend: wire.backend,
            address: wire.address,
        }
    }
}

impl From<&Heard> for WireHeard {
    fn from(heard: &Heard) -> Self {
        Self {
            generation: heard.generation.0,
            up: heard.up.iter().map(Into::into).collect(),
            down: heard.down.iter().map(Into::into).collect(),
            more: heard.more,
        }
    }
}

impl From<WireHeard> for Heard {
    fn from(wire: WireHeard) -> Self {
        Self {
            generation: Generation(wire.generation),
            up: wire.up.into_iter().map(Into::into).collect(),
            down: wire.down.into_iter().map(Into::into).collect(),
            more: wire.more,
        }
    }
}

impl From<&OtherGroup> for WireGroup {
    fn from(other: &OtherGroup) -> Self {
        Self {
            group: other.group.to_string(),
            keeper: other.keeper.to_string(),
            rest: (&other.rest).into(),
            coordination: other.place.clone(),
            cluster: other.cluster.to_string(),
            primary: other.primary.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<WireGroup> for OtherGroup {
    type Error = LayoutError;

    fn try_from(wire: WireGroup) -> Result<Self, LayoutError> {
        let WireGroup { group, .. } = &wire;
        let unfit = |()| LayoutError::Malformed(format!("`{group}` is no token"));
        Ok(Self {
            group: group.parse().map_err(unfit)?,
            keeper: KeeperId::new(wire.keeper),
            rest: wire.rest.into(),
            place: wire.coordination,
            cluster: ClusterName::new(wire.cluster),
            primary: wire.primary.map(Into::into),
        })
    }
}

impl Document for Report {
    fn encode(&self) -> Vec<u8> {
        let down = self.votes.iter().map(|(node, reason)| WireVote {
            host: node.host().to_owned(),
            port: node.port(),
            reason: (*reason).into(),
        });
        encode(WireReport {
            down: down.collect(),
            refused: self.refused.iter().map(WireAddr::from).collect(),
            unprobed: wire_addrs(&self.unprobed),
            unpublished: wire_addrs(&self.unpublished),
            unread: wire_addrs(&self.unread),
            absent: self.absent,
            ended: self.ended.as_ref().map(|ended| WireEnded {
                generation: ended.generation.0,
                closed: ended.closed.clone(),
            }),
            asks: self.asks.iter().map(WireAddr::from).collect(),
            fresh: self.fresh.as_ref().map(|fresh| WireFresh {
                generation: fresh.generation.0,
                nodes: fresh.nodes.iter().map(WireFacts::from).collect(),
            }),
            askers: self.askers.iter().map(Into::into).collect(),
            crowd: self.crowd,
            drains: self.drains.map(|generation| generation.0),
            heard: self.heard.as_ref().map(Into::into),
            tasks: self.tasks.iter().map(Into::into).collect(),
            outcomes: self.outcomes.iter().map(Into::into).collect(),
            witness: self.witness.as_ref().map(Into::into),
            other_groups: self.other_groups.iter().map(Into::into).collect(),
            overlaps: self
                .overlaps
                .iter()
                .map(|(name, nodes)| (name.to_string(), wire_addrs(nodes)))
                .collect(),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireReport = decode(data)?;
        let votes = wire
            .down
            .into_iter()
            .map(|vote| (NodeAddr::new(vote.host, vote.port), vote.reason.into()));
        Ok(Self {
            votes: votes.collect(),
            refused: wire.refused.into_iter().map(Into::into).collect(),
            unprobed: addrs(wire.unprobed),
            unpublished: addrs(wire.unpublished),
            unread: addrs(wire.unread),
            absent: wire.absent,
            ended: wire.ended.map(|wire| Ended {
                generation: Generation(wire.generation),
                closed: wire.closed,
            }),
            asks: wire.asks.into_iter().map(Into::into).collect(),
            fresh: wire.fresh.map(|fresh| Fresh {
                generation: Generation(fresh.generation),
                nodes: fresh.nodes.into_iter().map(Into::into).collect(),
            }),
            askers: wire.askers.into_iter().map(Into::into).collect(),
            crowd: wire.crowd,
            drains: wire.drains.map(Generation),
            heard: wire.heard.map(Into::into),
            tasks: wire.tasks.into_iter().map(Into::into).collect(),
            outcomes: wire.outcomes.into_iter().map(Into::into).collect(),
            witness: wire.witness.map(Into::into),
            other_groups: wire
                .other_groups
                .into_iter()
                .map(OtherGroup::try_from)
                .collect::<Result<_, _>>()?,
            overlaps: wire
                .overlaps
                .into_iter()
                .map(|(name, nodes)| (ClusterName::new(name), addrs(nodes)))
                .collect(),
        })
    }
}
