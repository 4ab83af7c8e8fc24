//! A keeper's first steps on every connection: check that the prefix belongs to this program, then take its id.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;

use crate::domain::group::GroupToken;
use crate::domain::identity::KeeperProcess;
use crate::domain::keepers::generations::Generations;
use crate::domain::keepers::record::{KeeperRecord, SharedSettings};
use crate::domain::lease::outlasting;
use crate::domain::node::{Epoch, KeeperId};
use crate::domain::settings::FileSettings;
use crate::layout::paths;
use crate::layout::state::{Document, FormatMark};
use crate::ports::coordination::{CoordinationError, CreateKind, Node, Session};

/// Why a keeper cannot join.
#[derive(Debug)]
pub(super) enum JoinError {
    /// Another try does not help.
    Refused(String),
    /// Another try may help.
    Coordination(CoordinationError),
}

impl From<CoordinationError> for JoinError {
    fn from(error: CoordinationError) -> Self {
        Self::Coordination(error)
    }
}

/// The keeper that joins.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Its process.
    pub(super) me: KeeperProcess,
    pub(super) record: KeeperRecord,
    /// The settings of the keeper's file.
    pub(super) file: FileSettings,
    pub(super) heartbeat: Duration,
    /// The token for the group, if it has none yet.
    pub(super) group: GroupToken,
}

/// The result of joining.
#[derive(Debug)]
pub(super) struct Joined {
    /// The version of its heartbeat node.
    pub(super) version: i32,
    /// The token of the group.
    pub(super) group: GroupToken,
}

impl Identity {
    fn settings(&self) -> SharedSettings {
        self.record.settings()
    }
}

/// Prepares the prefix, registers the keeper, and checks that its settings are those of the others. Waits while a
/// leftover of an earlier run holds the id.
pub(super) async fn join(session: &dyn Session, who: &Identity) -> Result<Joined, JoinError> {
    prepare(session, who).await?;
    let group = group_below(session).await?;
    let version = register(session, who).await?;
    agree(session, who).await?;
    publish_file(session, who).await?;
    Ok(Joined { version, group })
}

/// The token of the group below this prefix.
async fn group_below(session: &dyn Session) -> Result<GroupToken, JoinError> {
    let node = session.get(paths::GROUP).await?;
    let node = node.ok_or_else(|| CoordinationError::NoNode(paths::GROUP.into()))?;
    GroupToken::decode(&node.data).map_err(|error| {
        let path = paths::GROUP;
        JoinError::Refused(format!("{path} below zk-prefix {error}: delete that node"))
    })
}

async fn prepare(session: &dyn Session, who: &Identity) -> Result<(), JoinError> {
    let children = match examine(session).await? {
        Ok(children) => children,
        Err(stranger) => return Err(JoinError::Refused(stranger)),
    };
    let skeleton = [
        (paths::FORMAT, FormatMark.encode()),
        (paths::SETTINGS, who.settings().encode()),
        (paths::GROUP, who.group.encode()),
        (paths::EPOCH, Epoch(0).encode()),
        (paths::GENERATION, Generations::default().encode()),
        (paths::LEADER, Vec::new()),
        (paths::KEEPERS, Vec::new()),
        (paths::FAILSAFE_MEMBERS, Vec::new()),
        (paths::FILES, Vec::new()),
        (paths::CLUSTERS, Vec::new()),
    ];
    let created = skeleton
        .into_iter()
        .filter(|(path, _)| !children.contains(&path[1..]))
        .map(|(path, data)| {
            let created = session.create(path, &data, CreateKind::Persistent);
            async {
                match created.await {
                    Ok(_) | Err(CoordinationError::NodeExists(_)) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        });
    try_join_all(created).await?;
    Ok(())
}

/// Compares this keeper's settings with the shared ones. The shared settings may be changed under two conditions:
/// - every keeper online has the settings of this keeper;
/// - the leases and consents of all keepers that were there before are out.
///
/// The comparison comes after the registration. So of two keepers that join at once, at least one sees the other.
async fn agree(session: &dyn Session, who: &Identity) -> Result<(), JoinError> {
    let own = who.settings();
    loop {
        let Some(node) = session.get(paths::SETTINGS).await? else {
            return Err(CoordinationError::NoNode(paths::SETTINGS.into()).into());
        };
        let shared = SharedSettings::decode(&node.data);
        let shared = shared.map_err(|error| {
            JoinError::Refused(format!("the settings that all keepers share: {error}"))
        })?;
        if shared == own {
            return Ok(());
        }
        let others = configured_otherwise(session, who).await?;
        if !others.is_empty() {
            return Err(JoinError::Refused(format!(
                "{} for the other keepers (online: {}): it must be the same in all; to change it, stop all keepers first",
                own.differences(&shared),
                others.join(", ")
            )));
        }
        let consent = shared.failsafe.map_or(Duration::ZERO, |it| it.consent);
        tokio::time::sleep(outlasting(shared.lease.max(consent))).await;
        match session
            .set(paths::SETTINGS, &own.encode(), Some(node.version))
            .await
        {
            Ok(_) => {
                tracing::info!(from = ?shared, to = ?own, "changed the settings of all keepers");
            }
            Err(CoordinationError::BadVersion(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes the settings of the file. The node ends with the session; the settings do not change within one.
async fn publish_file(session: &dyn Session, who: &Identity) -> Result<(), CoordinationError> {
    let (path, data) = (paths::file(&who.me.id), who.file.encode());
    match session.create(&path, &data, CreateKind::Ephemeral).await {
        Ok(_) | Err(CoordinationError::NodeExists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The keepers online that have other settings than this keeper.
async fn configured_otherwise(
    session: &dyn Session,
    who: &Identity,
) -> Result<Vec<String>, CoordinationError> {
    let mut names = session.children(paths::KEEPERS).await?.names;
    names.sort();
    let reads = names.into_iter().map(|name| {
        let read = session.get(&paths::keeper(&KeeperId::new(&*name)));
        async move { Ok((name, read.await?)) }
    });
    let read: Vec<(String, Option<Node>)> = try_join_all(reads).await?;
    let otherwise = |node: &Node| {
        KeeperRecord::decode(&node.data).is_ok_and(|record| record.settings() != who.settings())
    };
    Ok(read
        .into_iter()
        .filter(|(_, node)| node.as_ref().is_some_and(otherwise))
        .map(|(name, _)| name)
        .collect())
}

/// The names below the prefix, if it is empty or belongs to this program. Otherwise, in words, what is there instead.
async fn examine(
    session: &dyn Session,
) -> Result<Result<BTreeSet<String>, String>, CoordinationError> {
    // The order of the reads matters: every node of this program below the prefix was created after the format.
    let (children, latches, format) = (
        session.children(paths::ROOT),
        session.children(paths::LEADER),
        session.get(paths::FORMAT),
    );
    let (mut children, latches) = (children.await?.names, latches.await?.names);
    // ZooKeeper's own node.
    children.retain(|name| name != "zookeeper");
    let Some(format) = format.await? else {
        let free = children.is_empty();
        return Ok(if free {
            Ok(BTreeSet::new())
        } else {
            Err(foreign(children))
        });
    };
    if let Err(error) = FormatMark::decode(&format.data) {
        return Ok(Err(format!("the state below zk-prefix {error}")));
    }
    let foreign_latches = latches
        .into_iter()
        .filter(|name| paths::latch_name(name).is_none())
        .map(|name| format!("leader/{name}"));
    let strangers: Vec<String> = children
        .iter()
        .filter(|name| *name == "initialize-barrier")
        .cloned()
        .chain(foreign_latches)
        .collect();
    if strangers.is_empty() {
        Ok(Ok(children.into_iter().collect()))
    } else {
        Ok(Err(foreign(strangers)))
    }
}

/// Why no keeper of this build can join below the prefix of `session`: another program or format is there. `None` if
/// it can.
pub async fn stranger_below(session: &dyn Session) -> Result<Option<String>, CoordinationError> {
    Ok(examine(session).await?.err())
}

fn foreign(mut names: Vec<String>) -> String {
    names.sort();
    names.truncate(5);
    format!(
        "zk-prefix holds nodes of another program ({}), perhaps of the older redis-keeper: stop it and remove them, or \
         choose another zk-prefix",
        names.join(", ")
    )
}

async fn register(session: &dyn Session, who: &Identity) -> Result<i32, JoinError> {
    let path = paths::keeper(&who.me.id);
    let mut contest = IdContest::default();
    loop {
        match session
            .create(&path, &who.record.encode(), CreateKind::Ephemeral)
            .await
        {
            Ok(_) => return Ok(0),
            Err(CoordinationError::NodeExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(holder) = session.get(&path).await? else {
            continue;
        };
        if holder.owner == session.id() {
            return Ok(holder.version);
        }
        let named = KeeperRecord::decode(&holder.data).map_or_else(
            |_| "another program".to_owned(),
            |record| format!("{} at {}", record.process, record.rest),
        );
        if contest.is_lost((holder.created, holder.version)) {
            return Err(JoinError::Refused(format!(
                "keeper-id {} is held by {named}: give each keeper an id of its own",
                who.me.id
            )));
        }
        if contest.just_begun() {
            tracing::info!(keeper = %who.me.id, holder = named, "waiting for an earlier run's session to end");
        }
        tokio::time::sleep(who.heartbeat).await;
    }
}

/// Tells a living holder of an id apart from the leftover of a run that has ended: only a living one goes on writing.
///
/// A single change may have been on its way when its writer died. So three changes are needed ([`IdContest::LIVING`]).
#[derive(Debug, Default)]
struct IdContest {
    seen: Option<(i64, i32)>,
    observed: u32,
    changes: u32,
}

impl IdContest {
    const LIVING: u32 = 3;

    fn is_lost(&mut self, holder: (i64, i32)) -> bool {
        self.observed += 1;
        self.changes += u32::from(self.seen.is_some_and(|seen| seen != holder));
        self.seen = Some(holder);
        self.changes >= Self::LIVING
    }

    fn just_begun(&self) -> bool {
        self.observed == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_holder_that_goes_on_writing_wins_its_id() {
        let mut leftover = IdContest::default();
        assert!(![(1, 7), (1, 8), (1, 8), (1, 8), (1, 8)].map(|seen| leftover.is_lost(seen))[4]);
        let mut living = IdContest::default();
        assert!([(1, 7), (1, 8), (1, 8), (1, 9), (1, 11)].map(|seen| living.is_lost(seen))[4]);
    }
}
