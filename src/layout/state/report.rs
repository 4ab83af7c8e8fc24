//! `/clusters/<name>/reports/<id>`: one keeper's report on one cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::facts::WireFacts;
use super::task::{WireOutcome, WireTask};
use super::witness::WireWitness;
use super::{Document, LayoutError, WireAddr, addrs, decode, encode, wire_addrs};
use crate::domain::drain::{Proxy, ProxyReport};
use crate::domain::group::OtherGroup;
use crate::domain::liveness::DownReason;
use crate::domain::node::{ClusterName, Generation, KeeperId, NodeAddr};
use crate::domain::report::{KeeperReport, ProcessEnd, RelayReport};

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
    #[serde(rename = "askers")]
    recent_proxies: Vec<WireProxy>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "crowd")]
    overflowed: bool,
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
    /// Another process answers in the node's place. Builds that do not know this field read the reason alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    impostor: bool,
    /// The node answers nothing but `BUSY`. Builds that do not know this field read that it is loading.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    busy: bool,
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

impl From<DownReason> for WireReason {
    fn from(reason: DownReason) -> Self {
        match reason {
            DownReason::Refused => Self::Refused,
            // For builds that know no impostor: the published process has ended the connection.
            DownReason::Closed | DownReason::Impostor => Self::Closed,
            DownReason::Unanswered => Self::Unanswered,
            DownReason::Loading | DownReason::Busy => Self::Loading,
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

impl From<&ProxyReport> for WireHeard {
    fn from(heard: &ProxyReport) -> Self {
        Self {
            generation: heard.generation.0,
            up: heard.up.iter().map(Into::into).collect(),
            down: heard.down.iter().map(Into::into).collect(),
            more: heard.more,
        }
    }
}

impl From<WireHeard> for ProxyReport {
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

impl Document for KeeperReport {
    fn encode(&self) -> Vec<u8> {
        let down = self.votes.iter().map(|(node, reason)| WireVote {
            host: node.host().to_owned(),
            port: node.port(),
            reason: (*reason).into(),
            impostor: *reason == DownReason::Impostor,
            busy: *reason == DownReason::Busy,
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
            recent_proxies: self.recent_proxies.iter().map(Into::into).collect(),
            overflowed: self.overflowed,
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
        let votes = wire.down.into_iter().map(|vote| {
            let reason = if vote.impostor {
                DownReason::Impostor
            } else if vote.busy {
                DownReason::Busy
            } else {
                vote.reason.into()
            };
            (NodeAddr::new(vote.host, vote.port), reason)
        });
        Ok(Self {
            votes: votes.collect(),
            refused: wire.refused.into_iter().map(Into::into).collect(),
            unprobed: addrs(wire.unprobed),
            unpublished: addrs(wire.unpublished),
            unread: addrs(wire.unread),
            absent: wire.absent,
            ended: wire.ended.map(|wire| ProcessEnd {
                generation: Generation(wire.generation),
                closed: wire.closed,
            }),
            asks: wire.asks.into_iter().map(Into::into).collect(),
            fresh: wire.fresh.map(|fresh| RelayReport {
                generation: Generation(fresh.generation),
                nodes: fresh.nodes.into_iter().map(Into::into).collect(),
            }),
            recent_proxies: wire.recent_proxies.into_iter().map(Into::into).collect(),
            overflowed: wire.overflowed,
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
