//! Whether keepers of another group look after a server, too (RK-12).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::live::Subject;
use crate::adapters::peers::HttpPeers;
use crate::adapters::redis::RedisServers;
use crate::config::{Config, CoordinationConfig};
use crate::domain::group::{GroupAnswer, GroupToken, ProbeName};
use crate::domain::node::{ClusterName, NodeAddr};
use crate::ports::peers::Peers as _;

/// How long a keeper may take to say which group it belongs to.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

const REMEDY: &str = "compare zk-quorum and zk-prefix of that keeper with these, and stop one of the two groups: while both \
                      are there nothing is failed over";

/// Whose keepers are no others.
pub(super) struct Own<'a> {
    /// The group that meets at the configured place, if there is one yet, and that can be read.
    pub(super) group: Option<GroupToken>,
    /// That place, as keepers describe it.
    pub(super) place: String,
    pub(super) config: &'a Config,
}

impl Own<'_> {
    fn has(&self, name: &ProbeName) -> bool {
        match &self.config.coordination {
            CoordinationConfig::ZooKeeper { .. } => self.group.as_ref() == Some(&name.group),
            // Its group is nowhere to be read.
            CoordinationConfig::Embedded => name.keeper == self.config.keeper_id,
        }
    }
}

/// Adds what keepers of other groups do at this node. A name that no keeper answers to may be any client's.
pub(super) async fn look(
    redis: &RedisServers,
    own: &Own<'_>,
    (cluster, node): (&ClusterName, &NodeAddr),
    mut subject: Subject,
) -> Subject {
    let names = redis.keepers_at(cluster, node).await;
    let mut told = BTreeSet::new();
    for name in names.into_iter().filter(|name| !own.has(name)) {
        if !told.insert(name.group.clone()) {
            continue;
        }
        let ProbeName {
            group,
            keeper,
            rest,
        } = &name;
        let who = format!("keeper {keeper} at {rest} of group {group}");
        subject = match ask(&name).await {
            // While ZooKeeper is away, which group is the own one is nowhere to be read.
            Ok(answer) if own.group.is_none() && answer.place == own.place => continue,
            Ok(answer) => match answer.clusters.iter().find(|it| it.names(node)) {
                Some(theirs) => subject.problem(
                    format!(
                        "another group of keepers looks after it: {who} ({}), which calls the cluster {}",
                        answer.place, theirs.name
                    ),
                    REMEDY,
                ),
                None => subject.warning(format!("{who} ({}) probes it", answer.place), REMEDY),
            },
            Err(error) => subject.warning(
                format!("a client bears the name of {who}, which does not answer: {error}"),
                "find that client in CLIENT LIST",
            ),
        };
    }
    subject
}

async fn ask(name: &ProbeName) -> Result<GroupAnswer, String> {
    let asked = timeout(ANSWERS_WITHIN, HttpPeers::new().ask_group(&name.rest, None));
    let late = |_| Err(format!("no answer within {ANSWERS_WITHIN:?}"));
    let answer = asked.await.unwrap_or_else(late)?;
    let honest = answer.is_of(name);
    honest
        .then_some(answer)
        .ok_or_else(|| "another keeper answers there".to_owned())
}
