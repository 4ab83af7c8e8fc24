//! `redis-keeper check --live`: inspects ZooKeeper and the Redis servers.

use futures::future::join_all;

use super::findings::Subject;
use super::groups::Own;
use super::{cluster, groups, zookeeper};
use crate::adapters::redis::RedisServers;
use crate::adapters::redis::inspect::{Demands, Severity};
use crate::adapters::resolver::Resolver;
use crate::cli::exit::Exit;
use crate::cli::{ports, run};
use crate::config::{ClusterConfig, Config};
use crate::domain::policy::WriteSafety;
use crate::ports::coordination::Coordination as _;

/// Inspects all servers of `config`, and prints the findings on standard error. A problem makes the exit code a
/// failure; a warning does not.
pub(in crate::cli) fn run(config: &Config) -> Exit {
    run::prepare();
    let subjects = actix::System::new().block_on(look(config));
    for subject in &subjects {
        eprintln!("{subject}");
    }
    let count = |severity| {
        subjects
            .iter()
            .filter(|subject| subject.severity() == severity)
            .count()
    };
    let (problems, warnings) = (count(Severity::Error), count(Severity::Warning));
    eprintln!(
        "looked at {}: {problems} with problems, {warnings} with warnings",
        subjects.len()
    );
    if problems > 0 {
        Exit::Failure
    } else {
        Exit::Success
    }
}

async fn look(config: &Config) -> Vec<Subject> {
    let mut place = String::new();
    let (mut subjects, group) = if let Some(ensemble) = ports::zookeeper(config) {
        place = ensemble.describe();
        zookeeper::look(&ensemble, config).await
    } else {
        let alone = Subject::new("coordination embedded").warning(
            "this keeper decides alone and forgets everything when it ends",
            "for anything but a trial, use ZooKeeper and three keepers",
        );
        (vec![alone], None)
    };
    let own = Own {
        group,
        place,
        config,
    };
    let redis = match ports::redis(config, &Resolver::default()) {
        Ok(redis) => redis,
        Err(error) => {
            let remedy = "correct the TLS settings of the cluster";
            subjects.push(Subject::new("Redis").problem(error.to_string(), remedy));
            return subjects;
        }
    };
    let mut together = cluster::look(&redis, config).await;
    for cluster in &config.clusters {
        subjects.extend(nodes(&redis, cluster, &own).await);
        subjects.extend(together.remove(&cluster.name).unwrap_or_default());
    }
    subjects
}

/// Inspects all nodes of one cluster at once.
async fn nodes(redis: &RedisServers, cluster: &ClusterConfig, own: &Own<'_>) -> Vec<Subject> {
    let looks = cluster.nodes.iter().map(|node| async {
        let mut subject = Subject::new(format!("{} {}", cluster.name, node.addr));
        let timing = &cluster.timing;
        let demands = Demands {
            write_safety: cluster.policy.write_safety != WriteSafety::None,
            answers_within: timing
                .mark_down
                .saturating_sub(timing.tick + timing.probe_timeout),
            data_nodes: cluster.nodes.len(),
        };
        let found = redis.inspect(&cluster.name, &node.addr, demands);
        for found in found.await {
            subject.add(found.severity, found.finding, found.remedy);
        }
        groups::look(redis, own, (&cluster.name, &node.addr), subject).await
    });
    join_all(looks).await
}
