use std::fmt::Write as _;

use super::*;
use crate::domain::info::Info;
use crate::domain::node::ClusterName;

const HISTORY: &str = "1111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222";

fn addr(host: &str) -> NodeAddr {
    NodeAddr::new(host, 1)
}

fn facts(host: &str, rest: &str) -> NodeFacts {
    let text = format!("run_id:{host}\nredis_version:7.0.15\nmaster_replid:{HISTORY}\n{rest}");
    NodeFacts::of(&Info::parse(&text)).expect("facts")
}

fn primary(host: &str, replicas: usize) -> NodeFacts {
    let mut text = "role:master\nmaster_repl_offset:5000000\n".to_owned();
    for number in 0..replicas {
        writeln!(text, "slave{number}:ip=x,port=1,state=online").expect("a string");
    }
    facts(host, &text)
}

/// A replica in good order, but for the fields in `changed`.
fn replica(host: &str, of: &str, changed: &str) -> NodeFacts {
    let text = format!(
        "role:slave\nmaster_host:{of}\nmaster_port:1\nmaster_link_status:up\nmaster_last_io_seconds_ago:0\n\
         slave_repl_offset:5000000\nslave_priority:100\n{changed}"
    );
    facts(host, &text)
}

fn config(hosts: &[&str]) -> ClusterConfig {
    let nodes: Vec<_> = hosts
        .iter()
        .map(|host| format!(r#"{{"host": "{host}", "port": 1}}"#))
        .collect();
    let text = format!(
        r#"{{"keeper-id": "k", "coordination": "embedded", "clusters": [{{"name": "cache", "nodes": [{}]}}]}}"#,
        nodes.join(",")
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let (config, _) =
        crate::config::Config::load(file.path(), std::iter::empty()).expect("a configuration");
    config.clusters.into_iter().next().expect("a cluster")
}

/// A cluster whose servers name each other as the file does. A host that begins with `z` is not listed, and answers
/// as `outside` says.
fn seen(nodes: Vec<NodeFacts>, outside: &Result<NodeFacts, String>) -> Cluster {
    let listed: Vec<_> = nodes.iter().map(|facts| facts.run_id.clone()).collect();
    let node = |facts: NodeFacts| {
        let follows = facts.upstream().map(|upstream| {
            let of = &upstream.primary;
            if of.host().starts_with('z') && !listed.iter().any(|it| it == of.host()) {
                return Follows::Unlisted {
                    addr: of.clone(),
                    answer: Box::new(outside.clone()),
                };
            }
            Follows::Listed(of.clone())
        });
        (addr(&facts.run_id), Node { facts, follows })
    };
    Cluster {
        nodes: nodes.into_iter().map(node).collect(),
        elsewhere: BTreeMap::new(),
    }
}

fn said(config: &ClusterConfig, nodes: Vec<NodeFacts>) -> String {
    let nobody = Err("NOAUTH Authentication required.".to_owned());
    judge(config, &seen(nodes, &nobody), None).to_string()
}

fn trio(nodes: [NodeFacts; 3]) -> String {
    said(&config(&["a", "b", "c"]), nodes.into())
}

#[track_caller]
fn assert_told(report: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(report.contains(text), "{text:?} is missing in:\n{report}");
    }
}

#[test]
fn a_primary_that_all_others_follow_is_in_order() {
    let report = trio([
        primary("a", 2),
        replica("b", "a", ""),
        replica("c", "a", ""),
    ]);
    assert_eq!(
        report,
        "ok       cache replication\n         a:1 is the primary; followed by b:1, c:1"
    );
}

#[test]
fn a_primary_that_is_not_listed_is_named_and_adding_it_comes_before_parting_from_it() {
    let nodes = vec![replica("b", "z", ""), replica("c", "z", "")];
    let outside = Ok(primary("z", 2));
    let report = judge(&config(&["b", "c"]), &seen(nodes, &outside), None).to_string();
    assert_told(
        &report,
        &[
            "problem: no listed node is a primary: b:1, c:1 replicate from z:1, which is not listed and says that it is a primary",
            "add it to nodes in the files of all keepers",
        ],
    );
    let add = report.find("add it to nodes").expect("a remedy");
    assert!(
        report
            .find("REPLICAOF NO ONE")
            .is_some_and(|part| part > add)
    );
}

#[test]
fn a_node_that_follows_a_stranger_beside_the_primary_is_a_problem() {
    let report = trio([
        primary("a", 1),
        replica("b", "a", ""),
        replica("c", "z", ""),
    ]);
    assert_told(
        &report,
        &[
            "problem: c:1 replicates from z:1, which is not listed and cannot be asked without a login: NOAUTH",
            "have it follow a:1 (REPLICAOF a 1): that replaces its data",
        ],
    );
}

#[test]
fn a_node_that_follows_another_cluster_is_a_problem() {
    let mut cluster = seen(
        vec![
            primary("a", 1),
            replica("b", "a", ""),
            replica("c", "x", ""),
        ],
        &Err(String::new()),
    );
    let theirs = Follows::OtherCluster(ClusterName::new("orders"), addr("x"));
    cluster.nodes.get_mut(&addr("c")).expect("c").follows = Some(theirs);
    let report = judge(&config(&["a", "b", "c"]), &cluster, None).to_string();
    assert_told(
        &report,
        &["problem: c:1 replicates from x:1, a node of cluster orders"],
    );
}

#[test]
fn two_primaries_are_a_problem_with_what_each_has() {
    let report = trio([primary("a", 1), replica("b", "a", ""), primary("c", 0)]);
    assert_told(
        &report,
        &[
            "problem: 2 nodes say that they are primaries: a:1 (replicas: 1, keys: 0), c:1 (replicas: 0, keys: 0)",
        ],
    );
}

#[test]
fn replicas_of_each_other_without_a_primary_are_a_problem() {
    let report = said(
        &config(&["a", "b"]),
        vec![replica("a", "b", ""), replica("b", "a", "")],
    );
    assert_told(
        &report,
        &["problem: no node that answers is a primary: a:1, b:1"],
    );
}

#[test]
fn a_replica_without_a_link_is_a_problem_and_one_that_is_being_copied_a_warning() {
    let down = "master_link_status:down\nmaster_link_down_since_seconds:77\n";
    let report = trio([
        primary("a", 1),
        replica("b", "a", ""),
        replica("c", "a", down),
    ]);
    assert_told(
        &report,
        &["problem: c:1 follows a:1 and has had no link to it for 77 s"],
    );
    let syncing = format!("{down}master_sync_in_progress:1\n");
    let report = |copied| {
        let a = NodeFacts {
            copied,
            ..primary("a", 1)
        };
        trio([a, replica("b", "a", ""), replica("c", "a", &syncing)])
    };
    assert_told(
        &report(1),
        &["warning  cache", "c:1 is being copied from a:1 in full"],
    );
    // A primary that refuses the login of a replica knows of no replica.
    assert_told(
        &report(0),
        &["problem: c:1 follows a:1 and has had no link to it for 77 s"],
    );
    let mute = "master_last_io_seconds_ago:34\n";
    let report = trio([
        primary("a", 2),
        replica("b", "a", ""),
        replica("c", "a", mute),
    ]);
    assert_told(&report, &["problem: c:1 has heard nothing of a:1 for 34 s"]);
}

#[test]
fn a_replica_lags_by_what_it_still_lacks_of_what_its_primary_had_a_second_before() {
    let at = |offset: u64| replica("b", "a", &format!("slave_repl_offset:{offset}\n"));
    let nodes = |offset| vec![primary("a", 1), at(offset)];
    let report = |config: &ClusterConfig, then, now| {
        let [then, now] = [then, now].map(|offset| seen(nodes(offset), &Err(String::new())));
        judge(config, &now, Some(&then)).to_string()
    };
    let plain = config(&["a", "b"]);
    assert_told(&report(&plain, 1_000_000, 4_900_000), &["ok       cache"]);
    assert_told(
        &report(&plain, 1_000_000, 2_000_000),
        &["warning: b:1 is 3000000 bytes behind, and has been for a second"],
    );
    assert_told(
        &report(&plain, 1_000_000, 1_000_000),
        &[
            "problem: b:1 is 4000000 bytes behind",
            "does not go on at all",
        ],
    );
    let mut strict = config(&["a", "b"]);
    strict.policy.max_lag_bytes = Some(1_000);
    assert_told(
        &report(&strict, 1_000_000, 4_990_000),
        &[
            "problem: b:1 is 10000 bytes behind, more than max-lag-bytes (1000): it may not take over",
        ],
    );
}

#[test]
fn priority_0_everywhere_is_a_problem_wherever_it_is_set() {
    let never = "slave_priority:0\n";
    let nodes = |changed| {
        vec![
            primary("a", 2),
            replica("b", "a", never),
            replica("c", "a", changed),
        ]
    };
    let mut configured = config(&["a", "b", "c"]);
    assert_told(&said(&configured, nodes("")), &["ok       cache"]);
    configured.policy.priorities.insert(addr("c"), 0);
    assert_told(
        &said(&configured, nodes("")),
        &[
            "problem: no failover is possible: every replica that answers has priority 0: b:1 (replica-priority of the server), c:1 (priority in this file)",
        ],
    );
    configured.policy.priorities.insert(addr("b"), 1);
    assert_told(&said(&configured, nodes(never)), &["ok       cache"]);
}

#[test]
fn a_cluster_of_one_node_is_a_warning() {
    let report = said(&config(&["a"]), vec![primary("a", 0)]);
    assert_told(&report, &["warning: only one node is listed"]);
}

#[test]
fn a_replica_of_a_replica_is_a_warning_unless_chains_are_accepted() {
    let nodes = || {
        vec![
            primary("a", 1),
            replica("b", "a", ""),
            replica("c", "b", ""),
        ]
    };
    let mut configured = config(&["a", "b", "c"]);
    assert_told(
        &said(&configured, nodes()),
        &["warning: c:1 follows b:1, which is a replica itself"],
    );
    configured.policy.chained_replicas = ChainedReplicas::Accept;
    assert_told(&said(&configured, nodes()), &["ok       cache"]);
}

#[test]
fn a_replica_with_data_of_another_history_follows_another_server_by_that_name() {
    let other = format!("master_replid:{OTHER}\n");
    let report = trio([
        primary("a", 2),
        replica("b", "a", ""),
        replica("c", "a", &other),
    ]);
    assert_told(
        &report,
        &["problem: c:1 says that it follows a:1 and has data of another history"],
    );
}

#[test]
fn replicas_that_are_not_listed_are_counted_only_where_all_listed_nodes_answer() {
    let nodes = || vec![primary("a", 3), replica("b", "a", "")];
    let report = said(&config(&["a", "b"]), nodes());
    assert_told(
        &report,
        &["warning: so many replicas follow a:1: 3; so many of them are listed: 1"],
    );
    assert_told(
        &said(&config(&["a", "b", "c"]), nodes()),
        &["ok       cache"],
    );
}

#[test]
fn one_server_under_two_addresses_or_in_two_clusters_is_a_problem() {
    let mut cluster = seen(
        vec![primary("a", 1), replica("b", "a", "")],
        &Err(String::new()),
    );
    let facts = primary("a", 1);
    let follows = None;
    cluster.nodes.insert(addr("a-too"), Node { facts, follows });
    let theirs = (ClusterName::new("orders"), addr("x"));
    cluster.elsewhere.insert("b".to_owned(), theirs);
    let report = judge(&config(&["a", "a-too", "b"]), &cluster, None).to_string();
    assert_told(
        &report,
        &[
            "problem: a:1 and a-too:1 are one server under two addresses",
            "problem: b:1 is also listed in cluster orders, as x:1",
        ],
    );
}
