//! Whether keepers of another group look after a server, too (RK-12).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::live::Subject;
use crate::adapters::peers::HttpPeers;
use crate::adapters::redis::RedisServers;
use crate::config::{Config, CoordinationConfig};
use crate::domain::group::{GroupAnswer, GroupToken, ProbeName};
use crate::domain::node::{ClusterName, NodeAddr};
use crate::domain::rivals::LeadsTo;
use crate::ports::peers::Peers as _;

/// How long a keeper may take to say which group it belongs to.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// So many keepers of one group are asked at most.
const MOST_ASKED: usize = 8;

const REMEDY: &str = "compare zk-quorum and zk-prefix of that keeper with these, and stop one of the two groups: while both \
                      are there nothing is failed over";

const ASTRAY_REMEDY: &str = "correct that keeper's rest-advertise, or stop it: CLIENT LIST shows where its connection comes from. While it \
                             cannot be asked, the two groups may undo each other's changes";

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

/// Adds what keepers of other groups do at this node. Each group is told once, by the first of its keepers that answers. A
/// name that no keeper answers to may be any client's.
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
            // While ZooKeeper is away, which group is the own one is nowhere to be read.
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
    // Nobody who asks is a keeper here.
    Err(LeadsTo::of(&answer, own.group.as_ref(), None))
}
