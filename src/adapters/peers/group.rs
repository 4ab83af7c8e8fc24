//! The answer of a keeper of another group about itself: `GET /admin/group` (RK-12).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;

use crate::domain::group::{GroupAnswer, GroupCluster};
use crate::domain::node::{ClusterName, KeeperId, NodeAddr};

#[derive(Deserialize)]
pub(super) struct WireGroup {
    keeper: String,
    group: String,
    coordination: String,
    clusters: Vec<WireCluster>,
}

#[derive(Deserialize)]
struct WireCluster {
    name: String,
    nodes: Vec<WireNode>,
    #[serde(default)]
    primary: Option<String>,
    #[serde(default)]
    paused: bool,
}

#[derive(Deserialize)]
struct WireNode {
    node: String,
    #[serde(default)]
    addresses: BTreeSet<IpAddr>,
}

impl TryFrom<WireGroup> for GroupAnswer {
    type Error = String;

    fn try_from(wire: WireGroup) -> Result<Self, String> {
        let group = wire.group.parse();
        Ok(Self {
            group: group.map_err(|()| format!("`{}` is no token of a group", wire.group))?,
            keeper: KeeperId::new(wire.keeper),
            place: wire.coordination,
            clusters: wire
                .clusters
                .into_iter()
                .map(GroupCluster::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<WireCluster> for GroupCluster {
    type Error = String;

    fn try_from(wire: WireCluster) -> Result<Self, String> {
        let nodes = wire.nodes.into_iter();
        let nodes = nodes.map(|wire| Ok((address(&wire.node)?, wire.addresses)));
        Ok(Self {
            name: ClusterName::new(wire.name),
            nodes: nodes.collect::<Result<_, String>>()?,
            primary: wire.primary.map(|node| address(&node)).transpose()?,
            paused: wire.paused,
        })
    }
}

fn address(text: &str) -> Result<NodeAddr, String> {
    text.parse().map_err(|error| format!("{error}"))
}
