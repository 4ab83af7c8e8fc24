//! Guarded writes: one transaction checks the latch node, and the versions from which the write was decided (RK-4).

use std::rc::Rc;

use tokio::sync::Mutex;

use crate::actors::messages::WriteError;
use crate::domain::keepers::generations::Generations;
use crate::domain::node::{ClusterName, Epoch};
use crate::domain::published::Published;
use crate::layout::paths;
use crate::layout::state::Document;
use crate::ports::coordination::{CoordinationError, Session, Write};

/// `/generation` and its version, as they will be when all transactions that were sent have been executed. `None` if
/// they must be read.
///
/// `ZooKeeper` executes the transactions of one session in the order of sending. So each transaction is sent with the
/// version that the one before leaves behind, without waiting for its answer. A wrong prediction is refused by the
/// version.
///
/// Example: the version is 3. The first transaction is sent with version 3, and the next one at once with version 4.
///
/// Source: <https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html#ch_zkGuarantees>.
pub(super) type Counter = Rc<Mutex<Option<(Generations, i32)>>>;

/// A state to be written, and what guards it.
pub(super) struct Guarded {
    pub(super) session: Rc<dyn Session>,
    pub(super) latch: String,
    pub(super) counter: Counter,
    pub(super) cluster: ClusterName,
    pub(super) state: Published,
    pub(super) version: Option<i32>,
    pub(super) raise_generation: bool,
    /// Another cluster, whose state must have this version.
    pub(super) beside: Option<(ClusterName, i32)>,
}

/// Why a guarded write was not confirmed.
#[derive(Debug)]
pub(super) enum GuardError {
    /// The latch node is gone: this keeper does not lead any more.
    Deposed,
    /// The write failed for this reason.
    Write(WriteError),
}

/// How often a transaction is sent at most if `/generation` has another version than predicted.
const ATTEMPTS: usize = 5;

/// The place of the write to `/generation` in the transaction.
const RAISE: usize = 1;

impl Guarded {
    /// Makes the write. Returns the written state and its version.
    pub(super) async fn write(self) -> Result<(Published, i32), GuardError> {
        for _ in 0..ATTEMPTS {
            let (reply, state) = if self.raise_generation {
                let mut counter = self.counter.lock().await;
                let (generations, version) = match counter.take() {
                    Some(predicted) => predicted,
                    None => self.read_generations().await?,
                };
                let raised = generations.raised(&self.cluster, self.state.generation);
                let raise = Write::Set {
                    path: paths::GENERATION.into(),
                    data: raised.encode(),
                    version: Some(version),
                };
                let state = Published {
                    generation: raised.generation,
                    ..self.state.clone()
                };
                let reply = self.session.multi(self.transaction(Some(raise), &state));
                *counter = Some((raised, version + 1));
                (reply, state)
            } else {
                let state = self.state.clone();
                (self.session.multi(self.transaction(None, &state)), state)
            };
            let Err(error) = reply.await else {
                return Ok((state, self.version.map_or(0, |version| version + 1)));
            };
            if self.raise_generation {
                *self.counter.lock().await = None;
            }
            match error {
                CoordinationError::MultiRefused(RAISE, _) if self.raise_generation => {}
                error => return Err(GuardError::of(&error)),
            }
        }
        Err(GuardError::Write(WriteError::NotDone(
            "/generation keeps changing".into(),
        )))
    }

    fn transaction(&self, raise: Option<Write>, state: &Published) -> Vec<Write> {
        let path = paths::cluster(&self.cluster);
        let data = state.encode();
        let check = still_exists(self.latch.clone());
        let write = match self.version {
            None => Write::Create { path, data },
            version => Write::Set {
                path,
                data,
                version,
            },
        };
        let beside = self.beside.as_ref();
        let beside = beside.map(|(cluster, version)| Write::Check {
            path: paths::cluster(cluster),
            version: Some(*version),
        });
        [Some(check), raise, Some(write), beside]
            .into_iter()
            .flatten()
            .collect()
    }

    async fn read_generations(&self) -> Result<(Generations, i32), GuardError> {
        let not_done = |reason: String| GuardError::Write(WriteError::NotDone(reason));
        let node = self.session.get(paths::GENERATION).await;
        let node = node
            .map_err(|error| not_done(error.to_string()))?
            .ok_or_else(|| not_done("no node /generation".into()))?;
        let generations = Generations::decode(&node.data)
            .map_err(|error| not_done(format!("/generation {error}")))?;
        Ok((generations, node.version))
    }
}

impl GuardError {
    /// The meaning of an error of a transaction that begins with the check of the latch node.
    fn of(error: &CoordinationError) -> Self {
        match error {
            CoordinationError::MultiRefused(0, _) => Self::Deposed,
            CoordinationError::Unknown(_) | CoordinationError::Expired => {
                Self::Write(WriteError::Unknown(error.to_string()))
            }
            _ => Self::Write(WriteError::NotDone(error.to_string())),
        }
    }
}

/// Checks that the latch node exists: its owner leads.
fn still_exists(latch: String) -> Write {
    Write::Check {
        path: latch,
        version: None,
    }
}

/// Checks that the latch node exists and that the cluster's state has this version, in ZooKeeper's order of writes.
pub(super) async fn check(
    session: Rc<dyn Session>,
    latch: String,
    cluster: ClusterName,
    version: Option<i32>,
) -> Result<(), GuardError> {
    let path = paths::cluster(&cluster);
    let checks = vec![still_exists(latch), Write::Check { path, version }];
    let checked = session.multi(checks).await;
    checked.map_err(|error| GuardError::of(&error))
}

/// The newest epoch, if the latch node exists. The check is a transaction. So the read behind it sees everything that
/// was committed before this call.
pub(super) async fn newest_epoch(
    session: Rc<dyn Session>,
    latch: String,
) -> Result<Epoch, GuardError> {
    let stands = session.multi(vec![still_exists(latch)]);
    let read = session.get(paths::EPOCH);
    stands.await.map_err(|error| GuardError::of(&error))?;
    let not_read = |why: String| GuardError::Write(WriteError::NotDone(why));
    let node = read.await.map_err(|error| not_read(error.to_string()))?;
    let node = node.ok_or_else(|| not_read(format!("no node {}", paths::EPOCH)))?;
    Epoch::decode(&node.data).map_err(|error| not_read(format!("{} {error}", paths::EPOCH)))
}

/// Raises `/epoch`, in the first guarded write of a leadership.
pub(super) async fn raise_epoch(
    session: Rc<dyn Session>,
    latch: String,
) -> Result<Epoch, CoordinationError> {
    let node = session
        .get(paths::EPOCH)
        .await?
        .ok_or_else(|| CoordinationError::NoNode(paths::EPOCH.into()))?;
    let last = Epoch::decode(&node.data)
        .map_err(|error| CoordinationError::Refused(format!("{} {error}", paths::EPOCH)))?;
    let epoch = Epoch(last.0 + 1);
    let raise = Write::Set {
        path: paths::EPOCH.into(),
        data: epoch.encode(),
        version: Some(node.version),
    };
    session.multi(vec![still_exists(latch), raise]).await?;
    Ok(epoch)
}
