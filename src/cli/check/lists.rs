//! Does the file have the nodes that the keepers have published? A keeper whose file lacks some cannot answer for them.

use std::collections::BTreeMap;

use super::live::Subject;
use crate::config::ClusterConfig;
use crate::domain::names::{Addresses, Names, mentioned};
use crate::domain::node::{ClusterName, NodeAddr};
use crate::domain::published::Published;
use crate::layout::paths;
use crate::layout::state::Document as _;
use crate::ports::coordination::Session;

const REMEDY: &str =
    "give all keepers the same clusters and nodes; take a primary out only after a switchover";

/// Compares the file with what is published, cluster by cluster; says nothing of what agrees.
pub(super) async fn look(session: &dyn Session, clusters: &[ClusterConfig]) -> Vec<Subject> {
    let Ok(there) = session.children(paths::CLUSTERS).await else {
        return Vec::new();
    };
    let mut subjects = Vec::new();
    for name in there.names.into_iter().map(ClusterName::new) {
        let read = session.get(&paths::cluster(&name)).await;
        let published = read
            .ok()
            .flatten()
            .map(|node| Published::decode(&node.data));
        let Some(Ok(published)) = published else {
            continue;
        };
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
    subjects
}

async fn compare(subject: Subject, published: &Published, listed: &[&NodeAddr]) -> Option<Subject> {
    let mut resolved = BTreeMap::new();
    for addr in listed.iter().copied().chain(mentioned(published)) {
        let found = tokio::net::lookup_host((addr.host(), addr.port())).await;
        let addresses: Addresses = found.into_iter().flatten().map(|at| at.ip()).collect();
        resolved.insert(addr.host().to_owned(), addresses);
    }
    let file = listed
        .iter()
        .map(|addr| (*addr, &resolved[addr.host()]))
        .collect();
    let names = Names::of(mentioned(published), &file, &resolved);
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
