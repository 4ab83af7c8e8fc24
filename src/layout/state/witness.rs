//! A keeper's record of a primary and its replicas, as part of its report.

use serde::{Deserialize, Serialize};

use super::WireAddr;
use crate::domain::node::NodeAddr;
use crate::domain::witness::{LastRead, SeenReplica, Witness};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct WireWitness {
    primary: Option<WireLastRead>,
    replicas: Vec<WireSeenReplica>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireLastRead {
    node: WireAddr,
    run_id: String,
    offset: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireSeenReplica {
    node: WireAddr,
    run_id: String,
    linked: bool,
}

impl From<&Witness> for WireWitness {
    fn from(witness: &Witness) -> Self {
        let replicas = witness.replicas.iter();
        Self {
            primary: witness.primary.as_ref().map(|read| WireLastRead {
                node: (&read.node).into(),
                run_id: read.run_id.clone(),
                offset: read.offset,
            }),
            replicas: replicas
                .map(|(node, replica)| WireSeenReplica {
                    node: node.into(),
                    run_id: replica.run_id.clone(),
                    linked: replica.linked,
                })
                .collect(),
        }
    }
}

impl From<WireWitness> for Witness {
    fn from(wire: WireWitness) -> Self {
        let replica = |it: WireSeenReplica| {
            let (run_id, linked) = (it.run_id, it.linked);
            (NodeAddr::from(it.node), SeenReplica { run_id, linked })
        };
        Self {
            primary: wire.primary.map(|read| LastRead {
                node: read.node.into(),
                run_id: read.run_id,
                offset: read.offset,
            }),
            replicas: wire.replicas.into_iter().map(replica).collect(),
            ..Self::default()
        }
    }
}
