//! The JSON that keepers write for each other and for clients. Each document carries its `format`; a newer one than
//! [`FORMAT`] is refused, unknown fields are ignored, so that keepers of neighbouring versions live together.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::facts::MinReplicas;
use crate::domain::node::{ClusterName, Epoch, Generation, NodeAddr};
use crate::domain::published::{Intent, Published, Step};

mod report;

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// How many of the latest changes `/generation` names.
pub const CHANGES_NAMED: usize = 512;

/// A document that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A newer version of this program wrote it.
    #[error("has format {0}, this redis-keeper reads up to {FORMAT}: update it")]
    Newer(u32),
    /// It is not what it should be.
    #[error("cannot be read: {0}")]
    Malformed(String),
}

/// A document kept in ZooKeeper.
pub trait Document: Sized {
    /// Its JSON.
    fn encode(&self) -> Vec<u8>;

    /// Reads what any version up to [`FORMAT`] wrote.
    fn decode(data: &[u8]) -> Result<Self, LayoutError>;
}

/// `/format`: says whose prefix this is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatMark;

/// `/generation`: the counter and, newest last, the cluster that each of its latest raises was made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generations {
    /// The last generation.
    pub generation: Generation,
    changed: Vec<ClusterName>,
}

impl Generations {
    /// The next raise, made for `cluster`, past `published` even if this counter has been set back.
    #[must_use]
    pub fn raised(mut self, cluster: &ClusterName, published: Generation) -> Self {
        if published > self.generation {
            self.generation = published;
            self.changed.clear();
        }
        self.generation.0 += 1;
        self.changed.push(cluster.clone());
        let old = self.changed.len().saturating_sub(CHANGES_NAMED);
        self.changed.drain(..old);
        self
    }

    /// The clusters changed after `applied`, each with its latest generation; `None` if that is longer ago than is
    /// named here.
    pub fn since(&self, applied: Generation) -> Option<BTreeMap<&ClusterName, Generation>> {
        let raises = self.generation.0.saturating_sub(applied.0);
        let raises = usize::try_from(raises).ok()?;
        let first = self.changed.len().checked_sub(raises)?;
        Some(
            self.changed[first..]
                .iter()
                .zip(applied.0 + 1..)
                .map(|(cluster, generation)| (cluster, Generation(generation)))
                .collect(),
        )
    }
}

// === the wire ===

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    format: u32,
    #[serde(flatten)]
    document: T,
}

pub(super) fn encode<T: Serialize>(document: T) -> Vec<u8> {
    let versioned = Versioned {
        format: FORMAT,
        document,
    };
    serde_json::to_vec(&versioned).expect("strings, numbers and lists always make JSON")
}

pub(super) fn decode<T: DeserializeOwned>(data: &[u8]) -> Result<T, LayoutError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let malformed = |error: serde_json::Error| LayoutError::Malformed(error.to_string());
    let Format { format } = serde_json::from_slice(data).map_err(malformed)?;
    if format > FORMAT {
        return Err(LayoutError::Newer(format));
    }
    serde_json::from_slice(data).map_err(malformed)
}

#[derive(Serialize, Deserialize)]
struct WireMark {
    program: String,
}

#[derive(Serialize, Deserialize)]
struct WireAddr {
    host: String,
    port: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WirePublished {
    master: Option<WireAddr>,
    slaves: Vec<WireAddr>,
    epoch: u64,
    generation: u64,
    #[serde(default)]
    known: Vec<WireAddr>,
    #[serde(default)]
    lineage: Vec<String>,
    #[serde(default)]
    has_data: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_min_replicas: Vec<WireMinReplicas>,
    #[serde(default)]
    failover: Option<WireIntent>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireMinReplicas {
    host: String,
    port: u16,
    to_write: u32,
    max_lag: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireIntent {
    epoch: u64,
    old: Option<WireAddr>,
    old_run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    switchover: Option<WireAddr>,
    candidate: Option<WireAddr>,
    step: WireStep,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireStep {
    Withdrawn,
    Promoting,
}

#[derive(Serialize, Deserialize)]
struct WireGenerations {
    generation: u64,
    changed: Vec<String>,
}

impl From<&NodeAddr> for WireAddr {
    fn from(addr: &NodeAddr) -> Self {
        Self {
            host: addr.host().to_owned(),
            port: addr.port(),
        }
    }
}

impl From<WireAddr> for NodeAddr {
    fn from(wire: WireAddr) -> Self {
        Self::new(wire.host, wire.port)
    }
}

impl From<(&NodeAddr, &MinReplicas)> for WireMinReplicas {
    fn from((node, former): (&NodeAddr, &MinReplicas)) -> Self {
        Self {
            host: node.host().to_owned(),
            port: node.port(),
            to_write: former.to_write,
            max_lag: former.max_lag,
        }
    }
}

impl From<WireMinReplicas> for (NodeAddr, MinReplicas) {
    fn from(wire: WireMinReplicas) -> Self {
        let former = MinReplicas {
            to_write: wire.to_write,
            max_lag: wire.max_lag,
        };
        (NodeAddr::new(wire.host, wire.port), former)
    }
}

fn wire_addrs(addrs: &BTreeSet<NodeAddr>) -> Vec<WireAddr> {
    addrs.iter().map(WireAddr::from).collect()
}

fn addrs(wire: Vec<WireAddr>) -> BTreeSet<NodeAddr> {
    wire.into_iter().map(NodeAddr::from).collect()
}

impl Document for FormatMark {
    fn encode(&self) -> Vec<u8> {
        encode(WireMark {
            program: env!("CARGO_PKG_NAME").to_owned(),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let WireMark { .. } = decode(data)?;
        Ok(Self)
    }
}

impl Document for Published {
    fn encode(&self) -> Vec<u8> {
        encode(WirePublished {
            master: self.primary.as_ref().map(WireAddr::from),
            slaves: wire_addrs(&self.replicas),
            epoch: self.epoch.0,
            generation: self.generation.0,
            known: wire_addrs(&self.known),
            lineage: self.lineage.clone(),
            has_data: self.has_data,
            former_min_replicas: self
                .former_min_replicas
                .iter()
                .map(WireMinReplicas::from)
                .collect(),
            failover: self.intent.as_ref().map(|intent| WireIntent {
                epoch: intent.epoch.0,
                old: intent.old.as_ref().map(WireAddr::from),
                old_run_id: intent.old_run_id.clone(),
                switchover: intent.switchover.as_ref().map(WireAddr::from),
                candidate: intent.candidate.as_ref().map(WireAddr::from),
                step: match intent.step {
                    Step::Withdrawn => WireStep::Withdrawn,
                    Step::Promoting => WireStep::Promoting,
                },
                reason: intent.reason.clone(),
            }),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WirePublished = decode(data)?;
        Ok(Self {
            primary: wire.master.map(NodeAddr::from),
            replicas: addrs(wire.slaves),
            epoch: Epoch(wire.epoch),
            generation: Generation(wire.generation),
            known: addrs(wire.known),
            lineage: wire.lineage,
            has_data: wire.has_data,
            former_min_replicas: wire
                .former_min_replicas
                .into_iter()
                .map(Into::into)
                .collect(),
            intent: wire.failover.map(|wire| Intent {
                epoch: Epoch(wire.epoch),
                old: wire.old.map(NodeAddr::from),
                old_run_id: wire.old_run_id,
                switchover: wire.switchover.map(NodeAddr::from),
                candidate: wire.candidate.map(NodeAddr::from),
                step: match wire.step {
                    WireStep::Withdrawn => Step::Withdrawn,
                    WireStep::Promoting => Step::Promoting,
                },
                reason: wire.reason,
            }),
        })
    }
}

impl Document for Generations {
    fn encode(&self) -> Vec<u8> {
        encode(WireGenerations {
            generation: self.generation.0,
            changed: self.changed.iter().map(ToString::to_string).collect(),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireGenerations = decode(data)?;
        Ok(Self {
            generation: Generation(wire.generation),
            changed: wire.changed.into_iter().map(ClusterName::new).collect(),
        })
    }
}

impl Document for Epoch {
    fn encode(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        std::str::from_utf8(data)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .map(Self)
            .ok_or_else(|| LayoutError::Malformed("not a decimal number".into()))
    }
}

#[cfg(test)]
mod tests;
