//! Any text as a configuration gives a configuration or a report, and never a panic.

use std::collections::BTreeMap;

use proptest::prelude::*;
use redis_keeper::config::ConfigError;

use super::{COMPAT, config, parse};

const KEYS: &[&str] = &[
    "keeper-id",
    "coordination",
    "zk-quorum",
    "zk-prefix",
    "zk-auth",
    "rest-host",
    "rest-port",
    "http-workers",
    "admin-operations",
    "log-format",
    "log-level",
    "tick-seconds",
    "max-lag-bytes",
    "settle-unrelated",
    "redis",
    "clusters",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1.5",
    "1e300",
    "NaN",
    "Infinity",
    "0xffffffffffffffffffff",
    "''",
    "'x'",
    "'a b'",
    "'='",
    "'\\u0000'",
    "'digest:a:'",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "{a: 1}",
];

/// The text of a correct document, and the values it was made from.
fn right_documents() -> impl Strategy<Value = String> {
    let seconds = (1..2_000_u32).prop_map(|millis| f64::from(millis) / 1000.0);
    let node = (0..=3_u8, prop::option::of(0..1000_u32));
    let cluster = (
        prop::collection::vec(node, 1..5),
        seconds.clone(),
        prop::option::of(any::<bool>()),
    );
    let clusters = prop::collection::vec(cluster, 1..5);
    (clusters, seconds, any::<bool>(), 1..=65_535_u16, prop::option::of(any::<u64>())).prop_map(
        |(clusters, tick, embedded, port, lag)| {
            let mut entries = BTreeMap::from([
                ("tick-seconds", serde_json::json!(tick)),
                ("seconds-mark-down", serde_json::json!(20)),
                ("rest-port", serde_json::json!(port)),
                ("max-lag-bytes", serde_json::json!(lag)),
            ]);
            let meeting = if embedded { ("coordination", "embedded".into()) } else { ("zk-quorum", vec!["[::1]:1"].into()) };
            entries.insert(meeting.0, meeting.1);
            let clusters: Vec<_> = clusters.into_iter().enumerate().map(|(c, (nodes, tick, settle))| {
                let nodes: Vec<_> = nodes.into_iter().enumerate().map(|(n, (form, priority))| {
                    let host = [format!("10.0.{c}.{n}"), format!("host-{c}-{n}"), format!("fd00::{c}:{n}"), format!("[fd00::{c}:{n}]")];
                    serde_json::json!({"host": host[usize::from(form)], "port": 6379, "priority": priority})
                }).collect();
                serde_json::json!({"name": format!("c{c}"), "nodes": nodes, "tick-seconds": tick, "settle-unrelated": settle})
            }).collect();
            entries.insert("clusters", clusters.into());
            serde_json::to_string_pretty(&entries).unwrap()
        },
    )
}

proptest! {
    #[test]
    fn a_right_document_means_the_same_as_its_effective_configuration(text in right_documents()) {
        let first = config(&text, &[]);
        let again = config(&first.effective(), &[]);
        prop_assert_eq!(first, again);
    }

    #[test]
    fn any_bytes_are_a_configuration_or_a_report(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(parse(&text, &[]).is_err());
    }

    #[test]
    fn a_damaged_document_is_a_configuration_or_a_report(
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        put in "[\\[\\]{}:,\"'/*0-9a-z\\\\ \n.-]{0,6}|null|NaN|-Infinity|1e999|\"\"|[1,{}]|é",
    ) {
        let characters: Vec<_> = COMPAT.chars().collect();
        let start = at.index(characters.len());
        let end = (start + length).min(characters.len());
        let [before, after] = [&characters[..start], &characters[end..]].map(String::from_iter);
        let text = format!("{before}{put}{after}");
        if let Err(error) = parse(&text, &[]) {
            prop_assert!(error.to_string().contains("keeper.conf"), "{error}");
        }
    }

    #[test]
    fn any_variable_is_taken_or_told(
        name in "(CLUSTERS__(CLUSTER_1|X)__)?(REST_PORT|ZK_QUORUM|NODES|TICK_SECONDS|REDIS_TLS|CLUSTERS|[A-Z_]{0,8})",
        text in "\\PC{0,12}|NaN|inf|-1|\\[.{0,5}\\]",
    ) {
        let variable = format!("REDIS_KEEPER_{name}");
        if let Err(error) = parse(COMPAT, &[(&variable, &text)]) {
            prop_assert!(error.to_string().contains(&variable), "{error}");
        }
    }

    #[test]
    fn any_value_of_any_key_is_taken_or_told_at_its_path(
        key in prop::sample::select(KEYS),
        value in prop::sample::select(VALUES),
    ) {
        let clusters = "coordination: 'embedded', clusters: [{name: 'c', nodes: [{host: 'a', port: 1}]}],";
        let rest = if ["clusters", "coordination"].contains(&key) { "" } else { clusters };
        let text = format!("{{{rest} '{key}': {value}}}");
        if let Err(ConfigError::Invalid { problems, .. }) = parse(&text, &[]) {
            let related = ["clusters", "zk-quorum"];
            for problem in problems {
                prop_assert!(problem.path.starts_with(key) || related.contains(&problem.path.as_str()), "{problem:?}");
            }
        }
    }
}
