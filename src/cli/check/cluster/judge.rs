//! Judges the servers of one cluster together: a pure function of their facts.

use std::collections::BTreeMap;

use super::lag;
use super::seen::{Cluster, Follows, Node};
use crate::cli::check::findings::Subject;
use crate::config::ClusterConfig;
use crate::domain::facts::{Link, Mode, NodeFacts};
use crate::domain::node::NodeAddr;
use crate::domain::policy::{ChainedReplicas, Policy};

/// The findings about the cluster as a whole. `before` was read a while earlier than `seen`.
pub(super) fn judge(config: &ClusterConfig, seen: &Cluster, before: Option<&Cluster>) -> Subject {
    let mut subject = Subject::new(format!("{} replication", config.name));
    if seen.nodes.is_empty() {
        return subject.warning(
            "no node tells its state: nothing is known of who follows whom",
            "see what is said of each node above",
        );
    }
    let judged = Judged {
        config,
        policy: &config.policy,
        seen,
    };
    for look in [
        Judged::summary,
        Judged::one_server_twice,
        Judged::primaries,
        Judged::other_clusters,
        Judged::outside,
        Judged::other_data,
        Judged::chains,
        Judged::successors,
        Judged::unlisted_replicas,
    ] {
        subject = look(&judged, subject);
    }
    lag::look(&config.policy, seen, before, subject)
}

struct Judged<'a> {
    config: &'a ClusterConfig,
    policy: &'a Policy,
    seen: &'a Cluster,
}

impl Judged<'_> {
    fn nodes(&self) -> impl Iterator<Item = (&NodeAddr, &Node)> {
        let nodes = self.seen.nodes.iter();
        nodes.filter(|(_, node)| node.facts.mode == Mode::Standalone)
    }

    fn listed_primaries(&self) -> Vec<(&NodeAddr, &NodeFacts)> {
        let primaries = self.nodes().filter(|(_, node)| node.facts.is_primary());
        primaries.map(|(addr, node)| (addr, &node.facts)).collect()
    }

    fn replicas(&self) -> impl Iterator<Item = (&NodeAddr, &Node)> {
        self.nodes().filter(|(_, node)| !node.facts.is_primary())
    }

    /// The primary, if there is exactly one.
    fn primary(&self) -> Option<&NodeAddr> {
        match *self.listed_primaries() {
            [(primary, _)] => Some(primary),
            _ => None,
        }
    }

    /// Whether all nodes of the file answer.
    fn is_whole(&self) -> bool {
        self.seen.nodes.len() == self.config.nodes.len()
    }

    /// Whether there are replicas, and each follows a node of the cluster.
    fn all_follow_listed(&self) -> bool {
        let listed = |node: &Node| matches!(node.follows, Some(Follows::Listed(_)));
        self.replicas().next().is_some() && self.replicas().all(|(_, node)| listed(node))
    }

    fn follow_the_primary(&self) -> String {
        match self.primary() {
            Some(primary) => format!(
                "have it follow {primary} (REPLICAOF {} {})",
                primary.host(),
                primary.port()
            ),
            None => "have it follow the primary of this cluster (REPLICAOF)".to_owned(),
        }
    }

    // === findings ===

    fn summary(&self, subject: Subject) -> Subject {
        let Some(primary) = self.primary() else {
            return subject;
        };
        let listed =
            |node: &Node| matches!(&node.follows, Some(Follows::Listed(of)) if of == primary);
        let followers: Vec<_> = self.replicas().filter(|(_, node)| listed(node)).collect();
        if followers.is_empty() {
            return subject.note(format!(
                "{primary} is the primary, and no listed node follows it"
            ));
        }
        let followers = names(followers.into_iter().map(|(addr, _)| addr));
        subject.note(format!("{primary} is the primary; followed by {followers}"))
    }

    fn one_server_twice(&self, mut subject: Subject) -> Subject {
        let mut processes: BTreeMap<&str, &NodeAddr> = BTreeMap::new();
        for (addr, node) in &self.seen.nodes {
            let process = &node.facts.run_id;
            if let Some(first) = processes.insert(process, addr) {
                subject = subject.problem(
                    format!(
                        "{first} and {addr} are one server under two addresses (run_id {process})"
                    ),
                    "remove one of the two from this cluster: it is no replica of the other",
                );
            }
            if let Some((cluster, other)) = self.seen.elsewhere.get(process) {
                subject = subject.problem(
                    format!("{addr} is also listed in cluster {cluster}, as {other} (run_id {process})"),
                    "give each server to one cluster, the same in the files of all keepers: one of the two is held otherwise",
                );
            }
        }
        subject
    }

    fn primaries(&self, subject: Subject) -> Subject {
        let primaries = self.listed_primaries();
        match *primaries {
            [] if !self.all_follow_listed() => subject,
            [] => subject.problem(
                format!(
                    "no node that answers is a primary: {} are replicas",
                    names(self.replicas().map(|(addr, _)| addr))
                ),
                "see to the primary: it does not run, or what is said of it above. If it is gone, keepers promote a replica \
                 once most of them find it down: what only it had is lost then",
            ),
            [_] => subject,
            _ => {
                let each = primaries.iter().map(|(addr, facts)| {
                    format!(
                        "{addr} (replicas: {}, keys: {})",
                        facts.online_replicas(),
                        facts.keys
                    )
                });
                subject.problem(
                    format!(
                        "{} nodes say that they are primaries: {}",
                        primaries.len(),
                        each.collect::<Vec<_>>().join(", ")
                    ),
                    "find out which of them clients write to, and have the others follow it (REPLICAOF): what only they have is \
                     lost by that. Keepers do the same where the data are of one history, and hold where they are not",
                )
            }
        }
    }

    fn other_clusters(&self, mut subject: Subject) -> Subject {
        for (addr, node) in self.replicas() {
            let Some(Follows::OtherCluster(cluster, of)) = &node.follows else {
                continue;
            };
            subject = subject.problem(
                format!("{addr} replicates from {of}, a node of cluster {cluster}"),
                format!(
                    "list {addr} in cluster {cluster} if it belongs there; else {}: that replaces its data by that one's",
                    self.follow_the_primary()
                ),
            );
        }
        subject
    }

    fn outside(&self, mut subject: Subject) -> Subject {
        let mut followed: BTreeMap<&NodeAddr, (Vec<&NodeAddr>, &Result<NodeFacts, String>)> =
            BTreeMap::new();
        for (addr, node) in self.replicas() {
            if let Some(Follows::Unlisted { addr: of, answer }) = &node.follows {
                let (followers, _) = followed.entry(of).or_insert((Vec::new(), answer));
                followers.push(addr);
            }
        }
        for (of, (followers, answer)) in followed {
            let is = match answer {
                Ok(facts) if facts.is_primary() => "says that it is a primary".to_owned(),
                Ok(_) => "says that it is a replica itself".to_owned(),
                Err(why) => format!("cannot be asked without a login: {why}"),
            };
            let verb = if followers.len() == 1 {
                "replicates"
            } else {
                "replicate"
            };
            let text = format!(
                "{} {verb} from {of}, which is not listed and {is}",
                names(followers)
            );
            subject = if self.listed_primaries().is_empty() {
                subject.problem(
                    format!("no listed node is a primary: {text}"),
                    format!(
                        "if {of} is the primary of this cluster, add it to nodes in the files of all keepers: they hold the \
                         cluster until then. REPLICAOF NO ONE at a listed node parts it from {of}, and from what is written there"
                    ),
                )
            } else {
                subject.problem(
                    text,
                    format!(
                        "if {of} belongs to this cluster, add it to nodes in the files of all keepers; else {}: that replaces \
                         its data by that one's",
                        self.follow_the_primary()
                    ),
                )
            };
        }
        subject
    }

    /// Finds replicas whose data differ from those of the node that they name. In this case, the name leads to
    /// another server from the replica's host.
    fn other_data(&self, mut subject: Subject) -> Subject {
        for (addr, node) in self.replicas() {
            let (Some(Follows::Listed(of)), Some(upstream)) =
                (&node.follows, node.facts.upstream())
            else {
                continue;
            };
            let Some(followed) = self.seen.nodes.get(of) else {
                continue;
            };
            let steady = upstream.link == Link::Up && !upstream.syncing;
            if steady && !node.facts.shares_history(&followed.facts) {
                subject = subject.problem(
                    format!(
                        "{addr} says that it follows {of} and has data of another history: {} there, {} here (master_replid)",
                        followed.facts.replication_id, node.facts.replication_id
                    ),
                    format!("see where {} leads on the host of {addr}", upstream.primary.host()),
                );
            }
        }
        subject
    }

    fn chains(&self, mut subject: Subject) -> Subject {
        for (addr, node) in self.replicas() {
            let Some(Follows::Listed(of)) = &node.follows else {
                continue;
            };
            let through = self.seen.nodes.get(of);
            if through.is_none_or(|through| through.facts.is_primary()) {
                continue;
            }
            let text = format!(
                "{addr} follows {of}, which is a replica itself: it gets no writes while {of} is down"
            );
            subject = match self.policy.chained_replicas {
                ChainedReplicas::Accept => subject.note(text),
                ChainedReplicas::Correct => subject.warning(
                    text,
                    format!(
                        "{}, or set chained-replicas to accept; keepers have it follow the primary otherwise",
                        self.follow_the_primary()
                    ),
                ),
            };
        }
        subject
    }

    /// Checks whether any node could take over from the primary.
    fn successors(&self, subject: Subject) -> Subject {
        if self.config.nodes.len() < 2 {
            let text = "only one node is listed: nobody can take over from it";
            return subject.warning(text, "list its replicas, if it has any");
        }
        let priority = |(addr, node): (&NodeAddr, &Node)| {
            let configured = self.policy.priorities.get(addr).copied();
            let own = node.facts.upstream().map(|it| it.priority);
            let told = match configured {
                Some(_) => "priority in this file",
                None => "replica-priority of the server",
            };
            Some((configured.or(own)?, format!("{addr} ({told})")))
        };
        let priorities: Vec<_> = self.replicas().filter_map(priority).collect();
        if let (Some(primary), None) = (self.primary(), self.replicas().next()) {
            return subject.problem(
                format!(
                    "no failover is possible: no other node that answers is a replica of {primary}"
                ),
                "start the other nodes, or see why they do not answer: above",
            );
        }
        if priorities.is_empty() || priorities.iter().any(|(priority, _)| *priority > 0) {
            return subject;
        }
        let none = priorities.into_iter().map(|(_, told)| told);
        subject.problem(
            format!(
                "no failover is possible: every replica that answers has priority 0: {}",
                none.collect::<Vec<_>>().join(", ")
            ),
            "give at least one of them a priority above 0 (replica-priority of the server, or priority of the node in this file)",
        )
    }

    fn unlisted_replicas(&self, subject: Subject) -> Subject {
        let Some(primary) = self.primary().filter(|_| self.is_whole()) else {
            return subject;
        };
        let follows =
            |node: &Node| matches!(&node.follows, Some(Follows::Listed(of)) if of == primary);
        let listed = self.replicas().filter(|(_, node)| follows(node)).count();
        let online = self.seen.nodes[primary].facts.online_replicas();
        if online <= listed {
            return subject;
        }
        subject.warning(
            format!("so many replicas follow {primary}: {online}; so many of them are listed: {listed}"),
            "list the others (INFO replication there names them): keepers neither promote nor repoint a server that is not listed",
        )
    }
}

fn names<'a>(addrs: impl IntoIterator<Item = &'a NodeAddr>) -> String {
    let addrs = addrs.into_iter().map(ToString::to_string);
    addrs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
