//! The configuration as its users meet it: files, variables, and reports of faults.

mod environment;
mod fuzz;
mod problems;
mod secrets;

use std::path::Path;
use std::time::Duration;

use redis_keeper::config::{Config, ConfigError, CoordinationConfig, Problem, Secret, Warning};
use redis_keeper::domain::policy::{
    ChainedReplicas, Criterion, ElectionOrder, Policy, WriteSafety,
};

const COMPAT: &str = include_str!("../compat/keeper.conf");

type Loaded = Result<(Config, Vec<Warning>), ConfigError>;

fn parse(text: &str, variables: &[(&str, &str)]) -> Loaded {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    Config::parse("keeper.conf", text, variables.iter().map(owned))
}

fn config(text: &str, variables: &[(&str, &str)]) -> Config {
    parse(text, variables)
        .unwrap_or_else(|error| panic!("{error}"))
        .0
}

fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<Problem> {
    match parse(text, variables) {
        Err(ConfigError::Invalid { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

/// The problems as `path: fault`.
fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let told = |problem: &Problem| format!("{}: {}", problem.path, problem.fault);
    problems(text, variables).iter().map(told).collect()
}

/// A document of one cluster of two nodes, with `top` and `cluster` added.
fn document(top: &str, cluster: &str) -> String {
    let nodes = "nodes: [{host: 'a', port: 1}, {host: 'b', port: 1}]";
    format!("{{'zk-quorum': ['zk'],\n {top}\n clusters: [{{name: 'c-1', {cluster} {nodes}}}]}}")
}

/// The policy of the cluster in that document.
fn policy(top: &str, cluster: &str) -> Policy {
    config(&document(top, cluster), &[]).clusters[0]
        .policy
        .clone()
}

#[test]
fn the_older_projects_example_loads_as_it_stands() {
    let (config, warnings) = parse(COMPAT, &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.keeper_id.as_str(), "keeper-1");
    let CoordinationConfig::ZooKeeper {
        quorum,
        prefix,
        session_timeout,
        auth,
    } = &config.coordination
    else {
        panic!("{:?}", config.coordination)
    };
    let quorum: Vec<_> = quorum.iter().map(ToString::to_string).collect();
    assert_eq!(quorum, ["zknode1.dev:2181", "zknode2.dev:2181"]);
    assert_eq!(
        (prefix.as_str(), *session_timeout, auth),
        ("/rediskeeper", Duration::from_secs(2), &None)
    );
    assert_eq!(
        (config.rest.host.as_str(), config.rest.port),
        ("0.0.0.0", 46379)
    );
    let sizes: Vec<_> = config
        .clusters
        .iter()
        .map(|c| (c.name.as_str(), c.nodes.len()))
        .collect();
    assert_eq!(sizes, [("cluster-1", 3), ("cluster-2", 4)]);
    let cluster = &config.clusters[0];
    assert_eq!(cluster.nodes[0].addr.to_string(), "192.168.1.40:6379");
    assert_eq!(cluster.timing.tick, Duration::from_secs(1));
    assert_eq!(cluster.timing.mark_down, Duration::from_secs(5));
    assert_eq!(cluster.timing.probe_timeout, Duration::from_secs(1));
    assert_eq!(cluster.timing.failover_tick, Duration::from_secs(10));
    assert_eq!(cluster.redis.passwords, []);
}

#[test]
fn the_sample_loads_without_a_warning_and_shows_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/keeper.conf");
    let (sample, warnings) = Config::load(&path, std::iter::empty()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(
        sample.clusters[0]
            .policy
            .priorities
            .values()
            .collect::<Vec<_>>(),
        [&200]
    );
    assert_eq!(sample.clusters[1].timing.mark_down, Duration::from_secs(10));
}

#[test]
fn the_smallest_file_of_the_documentation_loads() {
    let documentation = include_str!("../../docs/configuration.md");
    let (_, after) = documentation.split_once("```json5\n").unwrap();
    assert_eq!(
        config(after.split_once("```").unwrap().0, &[])
            .clusters
            .len(),
        1
    );
}

#[test]
fn every_time_takes_fractions_and_clusters_override_what_is_said_for_all() {
    let top = "'tick-seconds': 0.25, 'seconds-mark-down': 1.5, 'min-votes': 2, 'max-lag-bytes': 10,
        redis: {username: 'u', password: 'p'}, 'chained-replicas': 'accept',";
    let cluster =
        "'tick-seconds': 0.5, 'max-lag-seconds': 0.1, 'min-votes': 3, redis: {username: 'v'},";
    let cluster = &config(&document(top, cluster), &[]).clusters[0];
    assert_eq!(cluster.timing.tick, Duration::from_millis(500));
    assert_eq!(cluster.timing.probe_timeout, Duration::from_millis(375));
    assert_eq!(cluster.timing.mark_down, Duration::from_millis(1500));
    let policy = &cluster.policy;
    assert_eq!((policy.min_votes, policy.max_lag_bytes), (3, Some(10)));
    assert_eq!(policy.max_lag, Some(Duration::from_millis(100)));
    assert_eq!(policy.chained_replicas, ChainedReplicas::Accept);
    assert_eq!(cluster.redis.username.as_deref(), Some("v"));
    assert_eq!(cluster.redis.passwords, [Secret::new("p")]);
}

#[test]
fn an_election_order_is_completed_and_a_cluster_may_have_its_own() {
    let order = |top: &str, cluster: &str| policy(top, cluster).election_order;
    let beginning_with = ElectionOrder::beginning_with;
    assert_eq!(order("", ""), ElectionOrder::default());
    assert_eq!(
        order("'election-order': ['priority'],", ""),
        beginning_with(&[Criterion::Priority])
    );
    assert_eq!(
        order(
            "'election-order': ['priority'],",
            "'election-order': ['uptime', 'offset'],"
        ),
        beginning_with(&[Criterion::Uptime, Criterion::Offset])
    );
    let variable = ("REDIS_KEEPER_ELECTION_ORDER", "priority,uptime");
    let config = config(&document("", ""), &[variable]);
    assert_eq!(
        config.clusters[0].policy.election_order,
        beginning_with(&[Criterion::Priority, Criterion::Uptime])
    );
    let effective: serde_json::Value = serde_json::from_str(&config.effective()).unwrap();
    assert_eq!(
        effective["clusters"][0]["election-order"],
        serde_json::json!(["priority", "uptime", "offset"])
    );
}

#[test]
fn a_cool_down_may_be_zero_but_not_negative() {
    let cooldown = |top: &str, cluster: &str| policy(top, cluster).failover_cooldown;
    assert_eq!(cooldown("", ""), Duration::from_secs(10));
    let off = "'failover-cooldown-seconds': 0,";
    assert_eq!(cooldown(off, ""), Duration::ZERO);
    assert_eq!(
        cooldown(off, "'failover-cooldown-seconds': 0.5,"),
        Duration::from_millis(500)
    );
    let negative = document("'failover-cooldown-seconds': -1,", "");
    let told = problems(&negative, &[])[0].to_string();
    assert!(told.ends_with("write 0, or seconds from 0.001 to 86400, fractions allowed"));
}

#[test]
fn draining_may_be_switched_off_for_one_cluster() {
    let drain = |top: &str, cluster: &str| policy(top, cluster).drain;
    assert_eq!(drain("", ""), Duration::from_millis(1_200));
    let longer = "'drain-seconds': 2.5,";
    assert_eq!(drain(longer, ""), Duration::from_millis(2_500));
    assert_eq!(drain(longer, "'drain-seconds': 0,"), Duration::ZERO);
}

#[test]
fn a_busy_primary_is_left_alone_unless_its_time_is_set_for_all_clusters_or_one() {
    let busy = |top, cluster| {
        let (config, _) = parse(&document(top, cluster), &[]).unwrap();
        config.clusters[0].timing.busy
    };
    assert_eq!(busy("", ""), None);
    let long = "'busy-seconds': 90,";
    assert_eq!(busy(long, ""), Some(Duration::from_secs(90)));
    assert_eq!(busy(long, "'busy-seconds': 0,"), None, "for ever");
}

#[test]
fn write_safety_is_off_unless_asked_for_and_two_nodes_are_warned() {
    let safety = |top: &str, cluster: &str| {
        let (config, warnings) = parse(&document(top, cluster), &[]).unwrap();
        let paths: Vec<_> = warnings.into_iter().map(|it| it.path).collect();
        (config.clusters[0].policy.write_safety, paths.concat())
    };
    assert_eq!(safety("", ""), (WriteSafety::None, String::new()));
    let on = "'write-safety': 'majority',";
    let majority = |max_lag| WriteSafety::Majority { max_lag };
    assert_eq!(safety(on, ""), (majority(2), "write-safety".to_owned()));
    assert_eq!(
        safety("'write-safety-max-lag-seconds': 5,", on),
        (majority(5), "clusters[0].write-safety".to_owned())
    );
    let off = "'write-safety': 'none',";
    assert_eq!(safety(on, off), (WriteSafety::None, String::new()));
    let three = document(on, "").replace(
        "{host: 'b', port: 1}",
        "{host: 'b', port: 1}, {host: 'c', port: 1}",
    );
    assert_eq!(parse(&three, &[]).unwrap().1, []);

    let wrong = "'write-safety': 'all', 'write-safety-max-lag-seconds': 0,";
    let told: Vec<_> = problems(&document(wrong, ""), &[])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].ends_with("write \"none\" or \"majority\""),
        "{told:?}"
    );
    assert!(
        told[1].ends_with("write a whole number from 1 to 86400"),
        "{told:?}"
    );
}

#[test]
fn embedded_coordination_needs_no_quorum_and_warns_beside_one() {
    let (config, warnings) = parse(&document("coordination: 'embedded',", ""), &[]).unwrap();
    assert_eq!(config.coordination, CoordinationConfig::Embedded);
    assert_eq!(warnings[0].path, "zk-quorum");
}

#[test]
fn tls_is_on_as_soon_as_it_is_spoken_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, "").unwrap();
    let tls = |redis: &str| {
        config(&document(redis, ""), &[]).clusters[0]
            .redis
            .tls
            .clone()
    };
    assert_eq!(tls("").map(|tls| tls.insecure), None);
    assert_eq!(
        tls("redis: {tls: true},").map(|tls| tls.insecure),
        Some(false)
    );
    assert_eq!(
        tls(&format!("redis: {{'tls-ca-file': {path:?}}},"))
            .unwrap()
            .ca_file,
        Some(path.clone())
    );
    assert_eq!(tls("redis: {'tls-ca-file': '/nowhere', tls: false},"), None);
    let text = document(
        &format!("redis: {{'tls-cert-file': {path:?}, 'tls-ca-file': '/nowhere'}},"),
        "",
    );
    let expected = [
        "cannot be read: No such file or directory (os error 2)",
        "is given without redis.tls-key-file",
    ];
    assert_eq!(
        problems(&text, &[])
            .iter()
            .map(|problem| problem.fault.as_str())
            .collect::<Vec<_>>(),
        expected
    );
    let (_, warnings) = parse(&document("redis: {'tls-insecure': true},", ""), &[]).unwrap();
    assert_eq!(warnings[0].path, "redis.tls-insecure");
}
