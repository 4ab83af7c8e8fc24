//! Counts the commands that servers have run.

use std::collections::BTreeMap;

use super::redis::Redis;

/// Commands that change nothing:
///
/// - a keeper's probes;
/// - the traffic of replication;
/// - the greeting of the tests' own client, for servers that know it (Redis 7.2, Valkey).
const HARMLESS: [&str; 16] = [
    // Before 7.0, servers do not tell subcommands apart.
    "client",
    "config",
    "pubsub",
    "info",
    "ping",
    "pubsub|numsub",
    "replconf",
    "client|setinfo",
    "client|setname",
    "client|list",
    // The rights of the keeper's user.
    "acl",
    "acl|dryrun",
    "acl|whoami",
    "command",
    "command|info",
    // The `min-replicas` settings.
    "config|get",
];

/// How many times servers had run each command; subcommands are counted apart (`config|rewrite`).
pub struct Calls<'a>(Vec<(&'a Redis, BTreeMap<String, u64>)>);

// === impl Calls ===

impl<'a> Calls<'a> {
    /// Counts from now on.
    pub async fn since_now(nodes: &[&'a Redis]) -> Self {
        let mut calls = Vec::new();
        for redis in nodes {
            calls.push((*redis, count(redis).await));
        }
        Self(calls)
    }

    /// Asserts that no server has run a command that may change something, not even one that failed.
    pub async fn assert_harmless(&self) {
        for (redis, before) in &self.0 {
            let mut run = count(redis).await;
            run.retain(|command, calls| {
                *calls > before.get(command).copied().unwrap_or(0)
                    && !HARMLESS.contains(&command.as_str())
            });
            assert!(run.is_empty(), "{} was told {run:?}", redis.at());
        }
    }
}

async fn count(redis: &Redis) -> BTreeMap<String, u64> {
    let statistics = redis.info("commandstats").await.expect("statistics");
    // `cmdstat_get:calls=1,usec=2,usec_per_call=2.00,rejected_calls=0,failed_calls=0`
    let total = |figures: &str| {
        let counted = |figure: &str| {
            let (name, figure) = figure.split_once('=')?;
            let counts = ["calls", "rejected_calls"].contains(&name);
            counts.then(|| figure.parse::<u64>().expect("a count"))
        };
        figures.split(',').filter_map(counted).sum()
    };
    let named = |(key, figures): (&String, &String)| {
        Some((key.strip_prefix("cmdstat_")?.to_owned(), total(figures)))
    };
    statistics.iter().filter_map(named).collect()
}
