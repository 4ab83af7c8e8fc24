//! Checks whether keepers of another group look after a server, too (RK-12).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::findings::Subject;
use crate::adapters::peers::HttpPeers;
use crate::adapters::redis::RedisServers;
use crate::config::{Config, CoordinationConfig};
use crate::domain::group::{GroupAnswer, GroupToken, ProbeName};
use crate::domain::node::{ClusterName, NodeAddr};
use crate::domain::rivals::LeadsTo;
use crate::ports::peers::Peers as _;

/// The time limit for a keeper's answer about its group.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The most keepers of one group that are asked.
const MOST_ASKED: usize = 8;

const REMEDY: &str = "compare zk-quorum and zk-prefix of that keeper with these, and stop one of the two groups: while both \
                      are there nothing is failed over";

const ASTRAY_REMEDY: &str = "correct that keeper's rest-advertise, or stop it: CLIENT LIST shows where its connection comes from. While it \
                             cannot be asked, the two groups may undo each other's changes";

/// The own group, whose keepers are no finding.
pub(super) struct Own<'a> {
    /// The group at the configured place. `None` if there is none yet, or if ZooKeeper cannot be read.
    pub(super) group: Option<GroupToken>,
    /// The configured place, as keepers describe it.
    pub(super) place: String,
    pub(super) config: &'a Config,
}

impl Own<'_> {
    fn has(&self, name: &ProbeName) -> bool {
        match &self.config.coordination {
            CoordinationConfig::ZooKeeper { .. } => self.group.as_ref() == Some(&name.group),
            // With embedded coordination, the group is not stored anywhere.
            CoordinationConfig::Embedded => name.keeper == self.config.keeper_id,
        }
    }
}

/// Adds findings about keepers of other groups at this node. Each group is reported once, by the first of its keepers
/// that answers. Any client may take a keeper's name, so a name without an answer is only a warning.
pub(super) async fn look(
    redis: &RedisServers,
    own: &Own<'_>,
    (cluster, node): (&ClusterName, &NodeAddr),
    mut subject: Subject,
) -> Subject {
    let names = redis.keepers_at(cluster, node).await;
    let mut groups: BTreeMap<&GroupToken, BTreeSet<&ProbeName>> = BTreeMap::new();
    for name in names.iter().filter(|name| !own.has(name)) {
        groups.entry(&name.group).or_default().insert(name);
    }
    for keepers in groups.into_values() {
        let asked = keepers.into_iter().take(MOST_ASKED);
        let answers = join_all(asked.map(|name| async move { (name, ask(name, own).await) })).await;
        let answered = answers
            .iter()
            .find_map(|(name, answer)| Some((name, answer.as_ref().ok()?)));
        subject = match (answered, answers.first()) {
            // While ZooKeeper is out of reach, the own group is unknown.
            (Some((_, answer)), _) if own.group.is_none() && answer.place == own.place => continue,
            (Some((name, answer)), _) => {
                let who = who(name);
                match answer.clusters.iter().find(|it| it.names(node)) {
                    Some(theirs) => subject.problem(
                        format!(
                            "another group of keepers looks after it: {who} ({}), which calls the cluster {}",
                            answer.place, theirs.name
                        ),
                        REMEDY,
                    ),
                    None => subject.warning(format!("{who} ({}) probes it", answer.place), REMEDY),
                }
            }
            (None, Some((name, Err(found)))) => subject.warning(
                format!("a client bears the name of {}, and {found}", who(name)),
                ASTRAY_REMEDY,
            ),
            (None, _) => continue,
        };
    }
    subject
}

fn who(name: &ProbeName) -> String {
    format!(
        "keeper {} at {} of group {}",
        name.keeper, name.rest, name.group
    )
}

async fn ask(name: &ProbeName, own: &Own<'_>) -> Result<GroupAnswer, LeadsTo> {
    let asked = timeout(ANSWERS_WITHIN, HttpPeers::new().ask_group(&name.rest, None));
    let late = |_| Err(format!("no answer within {ANSWERS_WITHIN:?}"));
    let answer = asked.await.unwrap_or_else(late).map_err(LeadsTo::Nobody)?;
    if answer.is_of(name) {
        return Ok(answer);
    }
    // This program is no keeper, so there is no own process to compare with.
    Err(LeadsTo::of(&answer, own.group.as_ref(), None))
}
