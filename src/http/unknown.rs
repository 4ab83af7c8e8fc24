//! The log of requests for unknown clusters, unknown nodes and unreadable state headers. Clients can send any name,
//! as often as they like. So each name is logged once a minute, and only a few names in that time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::HeaderValue;

use super::HttpState;
use super::backend::Unanswered;
use super::error::{HeaderRead, RequestError};
use super::short::short;
use super::state_header::BadStateHeader;
use crate::actors::cluster_api::{NodeRef, Reason};
use crate::domain::node::{Moment, NodeAddr};

/// The time before the same name is logged again.
const EVERY: Duration = Duration::from_mins(1);

/// The number of different names that are logged within that time. Of further names only the count is logged.
const MOST: usize = 16;

/// The number of known names that a message lists.
const MOST_KNOWN: usize = 8;

/// The names that were logged lately.
#[derive(Debug, Default)]
pub(super) struct Unknown(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Cluster and name, with the time of the log message.
    lately: BTreeMap<(String, String), Moment>,
    /// The number of names that were not logged for want of room. `others_at` is the time of the last message with
    /// this count.
    more: u64,
    others_at: Option<Moment>,
}

/// The message that is due now.
#[derive(Debug, PartialEq, Eq)]
enum Tell {
    Nothing,
    This,
    /// A count of requests whose names were not logged.
    Others(u64),
}

impl Told {
    /// Notes another request for `what`.
    fn note(&mut self, what: (String, String), now: Moment) -> Tell {
        self.lately.retain(|_, told| now.since(*told) < EVERY);
        if self.lately.contains_key(&what) {
            return Tell::Nothing;
        }
        if self.lately.len() < MOST {
            self.lately.insert(what, now);
            return Tell::This;
        }
        self.more += 1;
        if self.others_at.is_some_and(|told| now.since(told) < EVERY) {
            return Tell::Nothing;
        }
        self.others_at = Some(now);
        Tell::Others(std::mem::take(&mut self.more))
    }
}

impl HttpState {
    /// The answer to a question about `cluster` that no actor answered.
    pub(super) fn unanswered(&self, unanswered: Unanswered, cluster: &str) -> RequestError {
        let known = || self.known_clusters();
        let cluster = || short(cluster);
        match unanswered {
            Unanswered::NoSuchCluster => RequestError::NoSuchCluster {
                cluster: cluster(),
                known: known(),
            },
            Unanswered::NotInFile => RequestError::NotInFile {
                cluster: cluster(),
                known: known(),
            },
            Unanswered::NotAnswering => RequestError::Unknown(Reason::NotAnswering.to_string()),
        }
    }

    fn known_clusters(&self) -> String {
        let (first, count) = self.backend.first_clusters(MOST_KNOWN);
        some(first, count)
    }

    fn known_nodes(&self, cluster: &str) -> String {
        let nodes = self.backend.nodes(cluster);
        some(nodes.iter().take(MOST_KNOWN), nodes.len())
    }

    pub(super) fn no_such_node(&self, cluster: &str, node: impl Display) -> RequestError {
        RequestError::NoSuchNode {
            cluster: short(cluster),
            node: short(&node.to_string()),
            known: self.known_nodes(cluster),
        }
    }

    pub(super) fn log_unknown_node(&self, cluster: &str, node: &NodeRef, from: Option<IpAddr>) {
        // The cluster's name is in the configuration file, so it is safe as a label.
        count("node", cluster);
        let asked = short(&node.to_string());
        if self.is_news(cluster, &asked) {
            let known = self.known_nodes(cluster);
            let node_of = self.other_cluster_of(node, cluster);
            tracing::warn!(
                cluster,
                asked,
                from = from.map(tracing::field::display),
                known,
                node_of,
                "a check asks for a node that the cluster does not have: answered 404"
            );
        }
    }

    /// The cluster, apart from `asked`, that has the node by its configured name or address.
    fn other_cluster_of(&self, node: &NodeRef, asked: &str) -> Option<String> {
        let others = self.backend.clusters().into_iter();
        let mut others = others.filter(|cluster| cluster.as_str() != asked);
        let has_it = |nodes: Vec<NodeAddr>| has(&nodes, node);
        let other = others.find(|cluster| has_it(self.backend.nodes(cluster.as_str())));
        other.map(|cluster| cluster.to_string())
    }

    pub(super) fn log_unknown_cluster(
        &self,
        unanswered: Unanswered,
        cluster: &str,
        from: Option<IpAddr>,
    ) {
        let answered = match unanswered {
            Unanswered::NoSuchCluster => 404,
            Unanswered::NotInFile => 500,
            Unanswered::NotAnswering => return,
        };
        count("cluster", "");
        let cluster = short(cluster);
        if self.is_news(&cluster, "") {
            let known = self.known_clusters();
            tracing::warn!(
                cluster,
                from = from.map(tracing::field::display),
                known,
                answered,
                "a check asks for a cluster that this keeper does not have"
            );
        }
    }

    /// Counts and logs a check whose state header names no server. The answer quotes the header, [shortened](short).
    pub(super) fn bad_header(
        &self,
        cluster: &str,
        why: BadStateHeader,
        header: Option<&HeaderValue>,
        from: Option<IpAddr>,
    ) -> RequestError {
        count("header", "");
        let read = header.map(|value| short(&String::from_utf8_lossy(value.as_bytes())));
        let failure = RequestError::BadStateHeader(why, HeaderRead(read.unwrap_or_default()));
        let cluster = short(cluster);
        if self.is_news(&cluster, &why.to_string()) {
            tracing::warn!(
                cluster,
                why = %failure,
                from = from.map(tracing::field::display),
                "a check does not say which server it asks about: answered 400"
            );
        }
        failure
    }

    /// Whether the name is to be logged now. Logs the count of the names that were not logged, if that is due.
    fn is_news(&self, cluster: &str, asked: &str) -> bool {
        let told = &mut *self
            .unknown
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let what = (cluster.to_owned(), asked.to_owned());
        match told.note(what, self.clock.now()) {
            Tell::Nothing => false,
            Tell::This => true,
            Tell::Others(count) => {
                tracing::warn!(
                    count,
                    "checks ask for more that is not known than is told by name: redis_keeper_http_unknown_total counts all"
                );
                false
            }
        }
    }
}

/// Whether the node is among `nodes` by its configured name or address.
fn has(nodes: &[NodeAddr], node: &NodeRef) -> bool {
    let unresolved = BTreeSet::new();
    node.find(nodes.iter().map(|it| (it, &unresolved)))
        .is_some()
}

fn count(what: &'static str, cluster: &str) {
    let cluster = cluster.to_owned();
    ::metrics::counter!("redis_keeper_http_unknown_total", "what" => what, "cluster" => cluster)
        .increment(1);
}

/// The texts of `few`, and the number of further ones if `count` is more than `MOST_KNOWN`.
fn some<T: Display>(few: impl IntoIterator<Item = T>, count: usize) -> String {
    let told = few.into_iter().map(|it| it.to_string());
    let told = told.collect::<Vec<_>>().join(", ");
    match count.saturating_sub(MOST_KNOWN) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn the_same_is_told_once_a_minute() {
        let mut told = Told::default();
        let mut note = |asked: &str, now| told.note(("cache".into(), asked.into()), at(now));
        assert_eq!(note("a:1", 0), Tell::This);
        assert_eq!(note("a:1", 59), Tell::Nothing);
        assert_eq!(note("b:1", 59), Tell::This);
        assert_eq!(note("a:1", 60), Tell::This);
    }

    #[test]
    fn a_flood_of_names_is_told_in_few_lines_and_takes_no_memory() {
        let mut told = Told::default();
        let mut lines = 0;
        let mut counted = 0;
        for number in 0_u64..100_000 {
            match told.note(("cache".into(), number.to_string()), at(number / 1_000)) {
                Tell::Nothing => {}
                Tell::This => (lines, counted) = (lines + 1, counted + 1),
                Tell::Others(count) => (lines, counted) = (lines + 1, counted + count),
            }
            assert!(told.lately.len() <= MOST);
        }
        assert!(lines <= 2 * (MOST + 1), "{lines} lines in 100 s");
        assert_eq!(counted + told.more, 100_000);
    }

    #[test]
    fn a_node_is_found_in_another_cluster_by_its_name_or_address() {
        let nodes = [
            NodeAddr::new("redis-1", 6379),
            NodeAddr::new("10.0.0.2", 6379),
        ];
        let named = |name: &str| NodeRef {
            server_name: Some(name.to_owned()),
            ..NodeRef::default()
        };
        let at = |host: &str| NodeRef {
            address: Some((host.to_owned(), 6379)),
            ..NodeRef::default()
        };
        for node in [
            named("redis-1:6379"),
            named("10.0.0.2:6379"),
            at("10.0.0.2"),
            at("redis-1"),
        ] {
            assert!(has(&nodes, &node), "{node}");
        }
        for node in [named("redis-2:6379"), named("redis-1:6380"), at("10.0.0.3")] {
            assert!(!has(&nodes, &node), "{node}");
        }
    }

    #[test]
    fn of_many_names_the_first_ones_are_told_and_how_many_there_are_besides() {
        assert_eq!(some(0..8, 10), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
