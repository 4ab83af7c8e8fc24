//! Checks whether the file has the nodes that the keepers have published. A keeper cannot answer for nodes that its
//! file lacks.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Subject;
use crate::config::ClusterConfig;
use crate::domain::addresses::Addresses;
use crate::domain::claims::{Claim, Claims};
use crate::domain::names::Names;
use crate::domain::node::{ClusterName, NodeAddr};
use crate::domain::published::Published;
use crate::layout::paths;
use crate::layout::state::Document as _;
use crate::ports::coordination::Session;

const REMEDY: &str =
    "give all keepers the same clusters and nodes; take a primary out only after a switchover";

/// Compares the file with the published state of each cluster. Clusters that agree give no finding.
pub(super) async fn look(session: &dyn Session, clusters: &[ClusterConfig]) -> Vec<Subject> {
    let Ok(there) = session.children(paths::CLUSTERS).await else {
        return Vec::new();
    };
    let mut subjects = Vec::new();
    let mut claims = Claims::default();
    for name in there.names.into_iter().map(ClusterName::new) {
        let read = session.get(&paths::cluster(&name)).await;
        let published = read
            .ok()
            .flatten()
            .map(|node| Published::decode(&node.data));
        let Some(Ok(published)) = published else {
            continue;
        };
        claims.set(&name, claim(&published).await);
        let subject = Subject::new(format!("{name} as published"));
        match clusters.iter().find(|cluster| cluster.name == name) {
            Some(cluster) => {
                let listed: Vec<&NodeAddr> = cluster.nodes.iter().map(|node| &node.addr).collect();
                subjects.extend(compare(subject, &published, &listed).await);
            }
            None => subjects.push(subject.warning(
                "is not in this file: a keeper started with it answers 500 for the cluster, and is no voter there",
                REMEDY,
            )),
        }
    }
    for cluster in clusters {
        let listed: Vec<&NodeAddr> = cluster.nodes.iter().map(|node| &node.addr).collect();
        subjects.extend(overlap(&mut claims, &cluster.name, &listed).await);
    }
    subjects
}

/// The IP addresses of the nodes' hosts.
async fn resolve(nodes: impl Iterator<Item = &NodeAddr>) -> BTreeMap<String, Addresses> {
    let mut resolved = BTreeMap::new();
    for addr in nodes {
        let found = tokio::net::lookup_host((addr.host(), addr.port())).await;
        let addresses: Addresses = found.into_iter().flatten().map(|at| at.ip()).collect();
        resolved.insert(addr.host().to_owned(), addresses);
    }
    resolved
}

/// The claim of a published cluster, as if a keeper had the cluster in its file.
async fn claim(published: &Published) -> Option<Claim> {
    let state = Published {
        addresses: resolve(published.mentioned()).await,
        ..published.clone()
    };
    Claim::of(&state, &BTreeSet::new(), &BTreeMap::new(), true)
}

/// Warns if another published cluster has nodes that the file lists in the cluster `name`.
async fn overlap(claims: &mut Claims, name: &ClusterName, listed: &[&NodeAddr]) -> Option<Subject> {
    let resolved = resolve(listed.iter().copied()).await;
    let nodes = listed.iter().map(|node| (*node, &resolved[node.host()]));
    claims.list(name, nodes);
    let other = claims.overlaps(name).into_iter().next()?;
    let shared: Vec<String> = other.nodes.iter().map(ToString::to_string).collect();
    let text = format!(
        "cluster {}, which is published, has {}, too: while other keepers have that one in their files, this one is held",
        other.cluster,
        shared.join(", ")
    );
    Some(Subject::new(name.to_string()).warning(text, REMEDY))
}

async fn compare(subject: Subject, published: &Published, listed: &[&NodeAddr]) -> Option<Subject> {
    let resolved = resolve(listed.iter().copied().chain(published.mentioned())).await;
    let file = listed
        .iter()
        .map(|addr| (*addr, &resolved[addr.host()]))
        .collect();
    let names = Names::of(published.mentioned(), &file, &resolved);
    let lacks: Vec<&NodeAddr> = names.unlisted().keys().collect();
    if lacks.is_empty() {
        return None;
    }
    let primary = |addr: &&&NodeAddr| published.primary.as_ref() == Some(**addr);
    if let Some(primary) = lacks.iter().find(primary) {
        let text = format!("the primary {primary} is not in this file");
        return Some(subject.problem(text, REMEDY));
    }
    let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
    Some(subject.warning(format!("not in this file: {}", lacks.join(", ")), REMEDY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(host: &str) -> NodeAddr {
        NodeAddr::new(host, 6379)
    }

    #[tokio::test]
    async fn a_server_that_another_published_cluster_has_is_named_with_it() {
        let published = Published {
            primary: Some(addr("127.0.0.1")),
            ..Published::default()
        };
        let mut claims = Claims::default();
        claims.set(&ClusterName::new("c1"), claim(&published).await);
        let mut says = async |listed: &[&NodeAddr]| {
            let subject = overlap(&mut claims, &ClusterName::new("c2"), listed).await;
            subject.map(|subject| subject.to_string())
        };
        let (same, another) = (addr("localhost"), addr("127.0.0.2"));
        assert_eq!(says(&[&another]).await, None);
        let warned = says(&[&same, &another]).await.expect("a finding");
        assert!(
            warned.contains("cluster c1") && warned.contains("localhost:6379"),
            "{warned}"
        );
    }

    #[tokio::test]
    async fn a_primary_that_the_file_lacks_is_a_problem_and_a_replica_a_warning() {
        let published = Published {
            primary: Some(addr("127.0.0.1")),
            replicas: [addr("127.0.0.2")].into(),
            ..Published::default()
        };
        let says = async |listed: &[&NodeAddr]| {
            let subject = compare(Subject::new("cache"), &published, listed).await;
            subject.map(|subject| subject.to_string())
        };
        let (one, two) = (addr("127.0.0.1"), addr("127.0.0.2"));
        assert_eq!(says(&[&one, &two]).await, None);
        let by_name = addr("localhost");
        assert_eq!(says(&[&by_name, &two]).await, None, "the same node");
        let primary = says(&[&two]).await.expect("a finding");
        assert!(
            primary.starts_with("problem") && primary.contains("127.0.0.1:6379"),
            "{primary}"
        );
        let replica = says(&[&one]).await.expect("a finding");
        assert!(
            replica.starts_with("warning") && replica.contains("127.0.0.2:6379"),
            "{replica}"
        );
    }
}
