//! `redis-keeper check --live`: inspects ZooKeeper and the Redis servers.

use std::fmt;

use futures::future::join_all;

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

/// The findings about one server, or about a matter of several servers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The name of the subject.
    pub(super) name: String,
    /// The findings, each with its remedy.
    pub(super) findings: Vec<Finding>,
}

/// A finding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) text: String,
    /// The remedy; empty if none is needed.
    pub(super) remedy: String,
}

// === impl Subject ===

impl Subject {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            findings: Vec::new(),
        }
    }

    pub(super) fn note(mut self, text: impl Into<String>) -> Self {
        self.add(Severity::Note, text, "");
        self
    }

    pub(super) fn warning(mut self, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.add(Severity::Warning, text, remedy);
        self
    }

    pub(super) fn problem(mut self, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.add(Severity::Error, text, remedy);
        self
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding {
            severity,
            text: text.into(),
            remedy: remedy.into(),
        });
    }

    /// Whether there are only notes.
    pub(super) fn is_ok(&self) -> bool {
        self.severity() == Severity::Note
    }

    fn severity(&self) -> Severity {
        self.findings
            .iter()
            .map(|finding| finding.severity)
            .max()
            .unwrap_or(Severity::Note)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.severity() {
            Severity::Note => "ok",
            severity => word(severity),
        };
        write!(f, "{state:<8} {}", self.name)?;
        for Finding {
            severity,
            text,
            remedy,
        } in &self.findings
        {
            match severity {
                Severity::Note => write!(f, "\n         {text}")?,
                severity => write!(f, "\n         {}: {text}", word(*severity))?,
            }
            if !remedy.is_empty() {
                write!(f, "\n           -> {remedy}")?;
            }
        }
        Ok(())
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "problem",
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_as_bad_as_the_worst_that_was_found() {
        let subject = Subject::new("demo a:1").note("Redis 7.0.15, primary");
        assert_eq!(
            subject.to_string(),
            "ok       demo a:1\n         Redis 7.0.15, primary"
        );
        let subject = subject
            .problem("masterauth is not set", "set it")
            .warning("keeps no data", "");
        assert_eq!(
            subject.to_string(),
            "problem  demo a:1\n         Redis 7.0.15, primary\n         problem: masterauth is not set\n           -> set it\n         \
             warning: keeps no data"
        );
    }
}
