//! Checks clusters, their nodes, and times that depend on each other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scope::Scope;
use super::{accept, redis, span};
use crate::config::diagnostics::Diagnostics;
use crate::config::file::{
    ChainedReplicas, Cluster, CoordinationKind, Criterion, Document, Node, Tuning, WriteSafety,
};
use crate::config::{ClusterConfig, ClusterTiming, NodeConfig, names, spans};
use crate::domain::node::{ClusterName, NodeAddr};
use crate::domain::policy::{self, ElectionOrder, Policy};

/// The names and nodes so far, in the form in which they are compared, with their paths.
#[derive(Default)]
struct Seen {
    names: BTreeMap<String, String>,
    nodes: BTreeMap<(String, u16), String>,
}

/// The valid clusters. The report has the problems of the others.
pub(super) fn clusters(document: &Document, report: &mut Diagnostics) -> Vec<ClusterConfig> {
    let session = match document.coordination {
        Some(CoordinationKind::Zookeeper) => document.zk_session_timeout_seconds.map(span),
        _ => None,
    };
    let mut seen = Seen::default();
    let mut valid = Vec::new();
    let clusters = document.clusters.as_deref().unwrap_or_default();
    for (index, cluster) in clusters.iter().enumerate() {
        let base = spans::item("clusters", index);
        let cluster = cluster
            .as_ref()
            .and_then(|cluster| self::cluster(cluster, &base, session, &mut seen, report));
        valid.extend(cluster);
    }
    if clusters.iter().flatten().next().is_none() {
        let scope = Scope { base: "" };
        timing(&document.tuning, &scope, session, report);
        election_order(&document.tuning, &scope, report);
        redis::access(&document.tuning.redis, &scope, report);
    }
    valid
}

fn cluster(
    cluster: &Cluster,
    base: &str,
    session: Option<Duration>,
    seen: &mut Seen,
    report: &mut Diagnostics,
) -> Option<ClusterConfig> {
    let scope = Scope { base };
    let name = cluster
        .name
        .as_ref()
        .and_then(|name| self::name(name, base, seen, report));
    let nodes = nodes(
        cluster.nodes.as_deref().unwrap_or_default(),
        base,
        seen,
        report,
    );
    let timing = timing(&cluster.tuning, &scope, session, report);
    let redis = redis::access(&cluster.tuning.redis, &scope, report);
    let policy = policy(&cluster.tuning, &nodes, &scope, report);
    Some(ClusterConfig {
        name: name?,
        nodes,
        timing: timing?,
        policy: policy?,
        redis: redis?,
    })
}

fn name(name: &str, base: &str, seen: &mut Seen, report: &mut Diagnostics) -> Option<ClusterName> {
    let path = spans::member(base, "name");
    accept(names::segment(name), &path, report)?;
    if let Some(first) = seen.names.get(name) {
        report.problem(
            &path,
            format!("is the name of {first} too"),
            "give each cluster a name of its own",
        );
        return None;
    }
    seen.names.insert(name.to_owned(), base.to_owned());
    Some(ClusterName::new(name))
}

fn nodes(
    nodes: &[Option<Node>],
    base: &str,
    seen: &mut Seen,
    report: &mut Diagnostics,
) -> Vec<NodeConfig> {
    let list = spans::member(base, "nodes");
    let mut valid = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let path = spans::item(&list, index);
        let Some(node) = node else { continue };
        let host = node.host.as_ref();
        let host =
            host.and_then(|host| accept(names::peer(host), &spans::member(&path, "host"), report));
        let (Some(host), Some(port)) = (host, node.port) else {
            continue;
        };
        let addr = NodeAddr::new(&host, port);
        let identity = (names::canonical(&host), port);
        if let Some(first) = seen.nodes.get(&identity) {
            report.unquoted(
                &path,
                format!("{addr} is {first} too"),
                "list each node once, in one cluster",
            );
            continue;
        }
        seen.nodes.insert(identity, path);
        valid.push(NodeConfig {
            addr,
            priority: node.priority,
        });
    }
    valid
}

fn timing(
    tuning: &Tuning,
    scope: &Scope<'_>,
    session: Option<Duration>,
    report: &mut Diagnostics,
) -> Option<ClusterTiming> {
    let timing = ClusterTiming {
        tick: span(tuning.tick_seconds?),
        mark_down: span(tuning.seconds_mark_down?),
        probe_timeout: span(tuning.probe_timeout_seconds?),
        failover_tick: span(tuning.failover_tick_seconds?),
        busy: Some(span(tuning.busy_seconds?)).filter(|busy| !busy.is_zero()),
    };
    let paths = ["seconds-mark-down", "tick-seconds", "probe-timeout-seconds"]
        .map(|key| scope.path(key, report));
    let paths = paths.each_ref().map(String::as_str);
    let [mark_down, tick, probe_timeout] =
        [timing.mark_down, timing.tick, timing.probe_timeout].map(|span| span.as_secs_f64());
    let least = (timing.tick + timing.probe_timeout).as_secs_f64();
    if mark_down < least && report.sound(&paths) {
        let fault = format!(
            "seconds-mark-down ({mark_down}) is shorter than tick-seconds ({tick}) + probe-timeout-seconds \
             ({probe_timeout}): no probe sent after the last proof of life could time out before"
        );
        let remedy = format!("raise seconds-mark-down to {least} or more, or lower tick-seconds");
        report.problem(report.first_written(&paths), fault, remedy);
    }
    if let Some(session) = session.filter(|session| *session > timing.mark_down)
        && report.sound(&[paths[0], "zk-session-timeout-seconds"])
    {
        let session = session.as_secs_f64();
        let text = format!(
            "seconds-mark-down ({mark_down}) is shorter than zk-session-timeout-seconds ({session}): a keeper whose host \
             dies together with a primary counts among the online keepers until its session ends, so such a failover may \
             take {session} s and not {mark_down} s; lower zk-session-timeout-seconds if that is too long"
        );
        report.warning(
            report.first_written(&[paths[0], "zk-session-timeout-seconds"]),
            text,
        );
    }
    busy(timing, scope, report);
    Some(timing)
}

/// Warns if a primary that answers "busy" would be replaced sooner than a silent one. Any answer is a proof of life.
fn busy(timing: ClusterTiming, scope: &Scope<'_>, report: &mut Diagnostics) {
    let paths = ["busy-seconds", "seconds-mark-down"].map(|key| scope.path(key, report));
    let paths = paths.each_ref().map(String::as_str);
    let short = timing.busy.filter(|busy| *busy < timing.mark_down);
    if let Some(busy) = short.filter(|_| report.sound(&paths)) {
        let text = format!(
            "busy-seconds ({}) is shorter than seconds-mark-down ({}): a primary that answers that it is busy is replaced \
             sooner than one that answers nothing",
            busy.as_secs_f64(),
            timing.mark_down.as_secs_f64()
        );
        report.warning(report.first_written(&paths), text);
    }
}

fn policy(
    tuning: &Tuning,
    nodes: &[NodeConfig],
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Option<Policy> {
    Some(Policy {
        mark_down: span(tuning.seconds_mark_down?),
        max_lag_bytes: tuning.max_lag_bytes,
        max_lag: tuning.max_lag_seconds.map(span),
        max_stale: span(tuning.max_stale_seconds?),
        parallel_syncs: tuning.parallel_syncs?,
        min_votes: tuning.min_votes?,
        settle_unrelated: tuning.settle_unrelated?,
        chained_replicas: match tuning.chained_replicas? {
            ChainedReplicas::Accept => policy::ChainedReplicas::Accept,
            ChainedReplicas::Correct => policy::ChainedReplicas::Correct,
        },
        priorities: nodes
            .iter()
            .filter_map(|node| Some((node.addr.clone(), node.priority?)))
            .collect(),
        election_order: election_order(tuning, scope, report)?,
        failover_cooldown: span(tuning.failover_cooldown_seconds?),
        drain: span(tuning.drain_seconds?),
        write_safety: write_safety(tuning, nodes, scope, report)?,
    })
}

fn write_safety(
    tuning: &Tuning,
    nodes: &[NodeConfig],
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Option<policy::WriteSafety> {
    let max_lag = tuning.write_safety_max_lag_seconds?;
    let majority = match tuning.write_safety? {
        WriteSafety::None => return Some(policy::WriteSafety::None),
        WriteSafety::Majority => policy::WriteSafety::Majority { max_lag },
    };
    let text = match nodes.len() {
        1 => {
            "does nothing for a cluster of one node: there is no replica that its primary could wait for"
        }
        2 => {
            "makes a cluster of two nodes refuse writes as long as its replica is away; with three nodes one may be"
        }
        _ => return Some(majority),
    };
    report.warning(&scope.path("write-safety", report), text.to_owned());
    Some(majority)
}

/// The order of the election as configured. Each criterion occurs once.
fn election_order(
    tuning: &Tuning,
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Option<ElectionOrder> {
    let path = scope.path("election-order", report);
    let written = tuning.election_order.as_ref()?;
    let mut criteria = Vec::with_capacity(written.len());
    for (index, criterion) in written.iter().enumerate() {
        let criterion = match criterion.as_ref()? {
            Criterion::Offset => policy::Criterion::Offset,
            Criterion::Priority => policy::Criterion::Priority,
            Criterion::Uptime => policy::Criterion::Uptime,
        };
        if criteria.contains(&criterion) {
            let remedy = "name each of \"offset\", \"priority\" and \"uptime\" at most once";
            report.problem(&spans::item(&path, index), "is listed twice", remedy);
        }
        criteria.push(criterion);
    }
    Some(ElectionOrder::beginning_with(&criteria))
}
