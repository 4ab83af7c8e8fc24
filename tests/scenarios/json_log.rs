//! The JSON log: every line is JSON, no key comes twice, and each field has one type in all lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::trio::Trio;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// A line of the log. A line is refused if a key comes twice or a value is no plain value.
#[derive(Debug)]
struct Line(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strictly;

        impl<'de> Visitor<'de> for Strictly {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a flat object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if value.is_object() || value.is_array() || value.is_null() {
                        return Err(A::Error::custom(format!("{key} is not plain: {value}")));
                    }
                    if fields.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("{key} comes twice")));
                    }
                }
                Ok(Line(fields))
            }
        }

        deserializer.deserialize_map(Strictly)
    }
}

impl Line {
    fn tells(&self, what: &str) -> bool {
        let said = self.0.get("message").and_then(Value::as_str);
        said.is_some_and(|said| said.starts_with(what))
    }
}

/// All lines that `keeper` has logged, after these checks:
///
/// - Each line has the fields that every line has.
/// - A line that names a node, or that belongs to a failover, names the cluster.
fn told(keeper: &Keeper) -> Vec<Line> {
    let log = keeper.process().log();
    let read = |line: &str| {
        let read: Line =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for always in ["timestamp", "level", "target", "message"] {
            assert!(read.0.contains_key(always), "{always}: {line}");
        }
        let of_a_cluster = ["node", "votes", "candidate"];
        if of_a_cluster.iter().any(|it| read.0.contains_key(*it)) {
            assert_eq!(read.0.get("cluster"), Some(&"cache".into()), "{line}");
        }
        read
    };
    log.lines().map(read).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Number(_) => "a number",
        Value::Bool(_) => "a flag",
        Value::Null | Value::Array(_) | Value::Object(_) => "not plain",
    }
}

#[test]
fn a_key_that_comes_twice_is_noticed() {
    let error = serde_json::from_str::<Line>(r#"{"name":"orders","name":"cluster"}"#);
    let error = error.expect_err("twice").to_string();
    assert!(error.contains("name comes twice"), "{error}");
}

#[tokio::test]
async fn every_line_of_a_failover_is_json_without_a_key_twice_and_with_one_type_a_field() {
    let settings = Settings::new()
        .set("log-format", "json")
        .set("log-level", "redis_keeper=debug,info");
    let Trio { keepers, redis, .. } = &Trio::start("json_log", 3, settings).await;
    redis[0].kill();
    for keeper in keepers.iter() {
        keeper.wait_replaced("cache", &redis[0]).await;
    }
    redis[0].revive().await;
    let [first, second] = keepers[0].elected("cache", [&redis[1], &redis[2]]).await;
    keepers
        .wait_topology("cache", first, &[second, &redis[0]])
        .await;
    for keeper in keepers.iter() {
        keeper.process().terminate();
        keeper.process().wait_exit().await;
    }

    let lines: Vec<_> = keepers.iter().flat_map(told).collect();
    let mut kinds = BTreeMap::<&str, BTreeSet<&str>>::new();
    for Line(fields) in &lines {
        for (key, value) in fields {
            kinds.entry(key).or_default().insert(kind(value));
        }
    }
    for (key, kinds) in &kinds {
        assert_eq!(kinds.len(), 1, "{key}: {kinds:?}");
    }
    for (kind, keys) in [
        ("a number", &["epoch", "votes", "keepers", "clusters"][..]),
        (
            "text",
            &[
                "node",
                "cluster",
                "keeper",
                "primary",
                "candidate",
                "reason",
                "message",
            ],
        ),
    ] {
        for key in keys {
            assert_eq!(kinds.get(key), Some(&BTreeSet::from([kind])), "{key}");
        }
    }
    for deed in [
        "node is held down by a majority",
        "withdrawing the primary",
        "candidate chosen",
        "promoted",
        "publishing the primary",
        "made to follow the primary",
    ] {
        assert!(lines.iter().any(|line| line.tells(deed)), "{deed}");
    }
}

#[tokio::test]
async fn lines_name_their_cluster_whatever_the_level_of_the_log() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let settings = Settings::new()
        .set("log-format", "json")
        .set("log-level", "warn")
        .cluster("cache", [&primary, &first, &second]);
    let keeper = Keeper::alone(&net, &settings).await;
    keeper
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    primary.kill();
    keeper.wait_replaced("cache", &primary).await;
    keeper.process().terminate();
    keeper.process().wait_exit().await;

    let lines = told(&keeper);
    for deed in ["node is held down by a majority", "withdrawing the primary"] {
        let line = lines.iter().find(|line| line.tells(deed)).expect(deed);
        assert_eq!(line.0.get("cluster"), Some(&"cache".into()), "{line:?}");
    }
}
