//! `/clusters/<name>`: the published state of one cluster, which clients watch too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, LayoutError, WireAddr, addrs, decode, encode, wire_addrs};
use crate::domain::addresses::Addresses;
use crate::domain::facts::MinReplicas;
use crate::domain::node::{Epoch, Generation, KeeperId, NodeAddr};
use crate::domain::published::{Deposed, Intent, Published, Step};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WirePublished {
    master: Option<WireAddr>,
    slaves: Vec<WireAddr>,
    epoch: u64,
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deposed: Vec<WireDeposed>,
    #[serde(default)]
    known: Vec<WireAddr>,
    #[serde(default)]
    lineage: Vec<String>,
    #[serde(default)]
    has_data: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_min_replicas: Vec<WireMinReplicas>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    addresses: BTreeMap<String, Addresses>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    breaker: bool,
    #[serde(default)]
    failover: Option<WireIntent>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireDeposed {
    host: String,
    port: u16,
    run_id: Option<String>,
    #[serde(default)]
    histories: Vec<String>,
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

impl From<(&NodeAddr, &Deposed)> for WireDeposed {
    fn from((node, deposed): (&NodeAddr, &Deposed)) -> Self {
        Self {
            host: node.host().to_owned(),
            port: node.port(),
            run_id: deposed.run_id.clone(),
            histories: deposed.histories.clone(),
        }
    }
}

impl From<WireDeposed> for (NodeAddr, Deposed) {
    fn from(wire: WireDeposed) -> Self {
        let deposed = Deposed {
            run_id: wire.run_id,
            histories: wire.histories,
        };
        (NodeAddr::new(wire.host, wire.port), deposed)
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

impl Document for Published {
    fn encode(&self) -> Vec<u8> {
        encode(WirePublished {
            master: self.primary.as_ref().map(WireAddr::from),
            slaves: wire_addrs(&self.replicas),
            epoch: self.epoch.0,
            generation: self.generation.0,
            by: self.by.as_ref().map(ToString::to_string),
            run_id: self.run_id.clone(),
            deposed: self.deposed.iter().map(WireDeposed::from).collect(),
            known: wire_addrs(&self.known),
            lineage: self.lineage.clone(),
            has_data: self.has_data,
            former_min_replicas: self
                .former_min_replicas
                .iter()
                .map(WireMinReplicas::from)
                .collect(),
            addresses: self.addresses.clone(),
            breaker: self.breaker,
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
            by: wire.by.map(KeeperId::new),
            run_id: wire.run_id,
            deposed: wire.deposed.into_iter().map(Into::into).collect(),
            known: addrs(wire.known),
            lineage: wire.lineage,
            has_data: wire.has_data,
            former_min_replicas: wire
                .former_min_replicas
                .into_iter()
                .map(Into::into)
                .collect(),
            addresses: wire.addresses,
            breaker: wire.breaker,
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
