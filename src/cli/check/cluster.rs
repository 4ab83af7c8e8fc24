//! Checks the servers of one cluster together (`check --live`): the links, the lag, and the possible successors.

mod judge;
mod lag;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use self::judge::judge;
use self::seen::{Cluster, Follows, Node};
use super::findings::Subject;
use super::versions;
use crate::adapters::redis::RedisServers;
use crate::config::{ClusterConfig, Config};
use crate::domain::addresses::{Identity, identity};
use crate::domain::facts::NodeFacts;
use crate::domain::node::{ClusterName, NodeAddr};
use crate::ports::redis::{Depth, Redis};

/// The time limit for the answer of one server. The inspection of each server reports those that do not answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause before servers with a finding are read again. A state that is over by then, such as a failover, is no
/// finding.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The facts of each node of one cluster. A node without facts is left out.
type Facts = BTreeMap<NodeAddr, NodeFacts>;

/// The findings about each cluster as a whole.
pub(super) async fn look(
    redis: &RedisServers,
    config: &Config,
) -> BTreeMap<ClusterName, Vec<Subject>> {
    let mut site = Site::default();
    for cluster in &config.clusters {
        site.read(redis, cluster).await;
    }
    let mut first = BTreeMap::new();
    for cluster in &config.clusters {
        let seen = site.cluster(redis, cluster).await;
        let judged = judge(cluster, &seen, None);
        first.insert(&cluster.name, (seen, judged));
    }
    if first.values().any(|(_, judged)| !judged.is_ok()) {
        sleep(AGAIN_AFTER).await;
    }
    let mut subjects = BTreeMap::new();
    for cluster in &config.clusters {
        let Some((before, mut judged)) = first.remove(&cluster.name) else {
            continue;
        };
        if !judged.is_ok() {
            site.read(redis, cluster).await;
            let seen = site.cluster(redis, cluster).await;
            judged = judge(cluster, &seen, Some(&before));
        }
        let versions = versions::look(&cluster.name, &site.facts(&cluster.name));
        let told = std::iter::once(judged).chain(versions).collect();
        subjects.insert(cluster.name.clone(), told);
    }
    subjects
}

/// All servers of the file, and the addresses of their hosts.
#[derive(Default)]
struct Site {
    clusters: BTreeMap<ClusterName, Facts>,
    listed: BTreeMap<NodeAddr, (ClusterName, BTreeSet<IpAddr>)>,
}

impl Site {
    fn facts(&self, cluster: &ClusterName) -> Facts {
        self.clusters.get(cluster).cloned().unwrap_or_default()
    }

    /// Reads all nodes of `cluster` at once.
    async fn read(&mut self, redis: &RedisServers, cluster: &ClusterConfig) {
        let reads = cluster.nodes.iter().map(async |node| {
            let addr = &node.addr;
            let (facts, resolved) = futures::join!(
                facts(redis, &cluster.name, addr),
                timeout(SERVER_TIMEOUT, redis.resolve(addr.host())),
            );
            let resolved = resolved.ok().and_then(Result::ok).unwrap_or_default();
            (addr.clone(), facts.ok(), resolved)
        });
        let mut answered = Facts::new();
        for (addr, facts, resolved) in join_all(reads).await {
            answered.extend(facts.map(|facts| (addr.clone(), facts)));
            self.listed.insert(addr, (cluster.name.clone(), resolved));
        }
        self.clusters.insert(cluster.name.clone(), answered);
    }

    /// The facts about `cluster`, with the upstream of each replica.
    async fn cluster(&self, redis: &RedisServers, cluster: &ClusterConfig) -> Cluster {
        let facts = self.facts(&cluster.name);
        let followed = facts.values().filter_map(|facts| facts.upstream());
        let followed: BTreeSet<_> = followed.map(|upstream| upstream.primary.clone()).collect();
        let found = followed.into_iter().map(async |addr| {
            let leads_to = self.leads_to(redis, &cluster.name, &addr).await;
            (addr, leads_to)
        });
        let found: BTreeMap<_, _> = join_all(found).await.into_iter().collect();
        let node = |(addr, facts): (NodeAddr, NodeFacts)| {
            let follows = facts.upstream().and_then(|it| found.get(&it.primary));
            let follows = follows.cloned();
            (addr, Node { facts, follows })
        };
        Cluster {
            nodes: facts.into_iter().map(node).collect(),
            elsewhere: self.elsewhere(&cluster.name),
        }
    }

    /// The processes of the other clusters by run id, each with the cluster and node that list it.
    fn elsewhere(&self, cluster: &ClusterName) -> BTreeMap<String, (ClusterName, NodeAddr)> {
        let others = self.clusters.iter().filter(|(name, _)| *name != cluster);
        let nodes = others.flat_map(|(name, facts)| facts.iter().map(move |it| (name, it)));
        nodes
            .map(|(name, (addr, facts))| (facts.run_id.clone(), (name.clone(), addr.clone())))
            .collect()
    }

    /// Finds the server at `addr`, the address that a replica of `cluster` follows. The search compares names, then
    /// IP addresses, then processes.
    async fn leads_to(
        &self,
        redis: &RedisServers,
        cluster: &ClusterName,
        addr: &NodeAddr,
    ) -> Follows {
        let resolved = timeout(SERVER_TIMEOUT, redis.resolve(addr.host())).await;
        let resolved = resolved.ok().and_then(Result::ok).unwrap_or_default();
        let same = |listed: &(&NodeAddr, &(ClusterName, BTreeSet<IpAddr>))| {
            identity((addr, &resolved), (listed.0, &listed.1.1)) == Identity::Same
        };
        // Servers of different clusters may use one host name for different hosts. So the replica's own cluster comes
        // first.
        let mut known: Vec<_> = self.listed.iter().filter(same).collect();
        known.sort_by_key(|(_, (name, _))| name != cluster);
        if let Some((node, (name, _))) = known.first() {
            return Follows::listed(cluster, name, node);
        }
        // An unlisted server gets no password.
        let answer = facts(redis, &ClusterName::new(""), addr).await;
        let process = answer.as_ref().ok().map(|facts| &facts.run_id);
        let clusters = self.clusters.iter();
        let mut processes =
            clusters.flat_map(|(name, facts)| facts.iter().map(move |it| (name, it)));
        match processes.find(|(_, (_, facts))| Some(&facts.run_id) == process) {
            Some((name, (node, _))) => Follows::listed(cluster, name, node),
            None => Follows::Unlisted {
                addr: addr.clone(),
                answer: Box::new(answer),
            },
        }
    }
}

/// The facts of the server at `addr`, or the reason why it does not answer.
async fn facts(
    redis: &RedisServers,
    cluster: &ClusterName,
    addr: &NodeAddr,
) -> Result<NodeFacts, String> {
    let server = redis.node(cluster, addr);
    let read = async {
        let connected = server.connect().await;
        let mut connection = connected.map_err(|error| error.to_string())?;
        let alive = connection.probe(Depth::Full).await;
        let alive = alive.map_err(|error| error.to_string())?;
        let facts = alive.info.as_ref().and_then(NodeFacts::of);
        let unsaid = || "it does not say what it is".to_owned();
        facts.ok_or_else(|| alive.error.unwrap_or_else(unsaid))
    };
    let late = |_| Err(format!("no answer within {SERVER_TIMEOUT:?}"));
    timeout(SERVER_TIMEOUT, read).await.unwrap_or_else(late)
}
