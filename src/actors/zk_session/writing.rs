//! Guarded writes: one transaction that checks the latch node and the versions it was decided from (RK-4).

use std::rc::Rc;

use tokio::sync::Mutex;

use crate::actors::messages::WriteError;
use crate::domain::node::{ClusterName, Epoch};
use crate::domain::published::Published;
use crate::layout::paths;
use crate::layout::state::{Document, Generations};
use crate::ports::coordination::{CoordinationError, Session, Write};

/// `/generation` as it will be when all transactions sent have been executed, and its version; `None` when that must be
/// read. Transactions of one session are executed in the order of sending, so each is sent with the version that the
/// one before leaves behind, without waiting for it. A wrong prediction is refused by the version.
pub(super) type Counter = Rc<Mutex<Option<(Generations, i32)>>>;

/// A state to be written and what guards it.
pub(super) struct Guarded {
    pub(super) session: Rc<dyn Session>,
    pub(super) latch: String,
    pub(super) counter: Counter,
    pub(super) cluster: ClusterName,
    pub(super) state: Published,
    pub(super) version: Option<i32>,
    pub(super) raise_generation: bool,
    /// Another cluster whose state has to have this version.
    pub(super) beside: Option<(ClusterName, i32)>,
}

/// Why a guarded write was not confirmed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The latch node is gone: this keeper leads no more.
    Deposed,
    /// As told.
    Write(WriteError),
}

/// How often a transaction is sent anew because `/generation` had another version than predicted.
const ATTEMPTS: usize = 5;

/// The place of the write to `/generation` in the transaction.
const RAISE: usize = 1;

impl Guarded {
    /// Writes, and answers what was written and its version.
    pub(super) async fn write(self) -> Result<(Published, i32), Failure> {
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
                error => return Err(Failure::of(&error)),
            }
        }
        Err(Failure::Write(WriteError::NotDone(
            "/generation keeps changing".into(),
        )))
    }

    fn transaction(&self, raise: Option<Write>, state: &Published) -> Vec<Write> {
        let path = paths::cluster(&self.cluster);
        let data = state.encode();
        let check = standing(self.latch.clone());
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

    async fn read_generations(&self) -> Result<(Generations, i32), Failure> {
        let not_done = |reason: String| Failure::Write(WriteError::NotDone(reason));
        let node = self.session.get(paths::GENERATION).await;
        let node = node
            .map_err(|error| not_done(error.to_string()))?
            .ok_or_else(|| not_done("no node /generation".into()))?;
        let generations = Generations::decode(&node.data)
            .map_err(|error| not_done(format!("/generation {error}")))?;
        Ok((generations, node.version))
    }
}

impl Failure {
    /// What became of a transaction that begins with the check of the latch node.
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

/// The latch node stands: its owner leads.
fn standing(latch: String) -> Write {
    Write::Check {
        path: latch,
        version: None,
    }
}

/// Checks that the latch node stands and that the cluster's state has this version, in ZooKeeper's order of writes.
pub(super) async fn check(
    session: Rc<dyn Session>,
    latch: String,
    cluster: ClusterName,
    version: Option<i32>,
) -> Result<(), Failure> {
    let path = paths::cluster(&cluster);
    let checks = vec![standing(latch), Write::Check { path, version }];
    let checked = session.multi(checks).await;
    checked.map_err(|error| Failure::of(&error))
}

/// The newest epoch raised by then, if the latch node stands: the check is a transaction, so that the read behind it sees all
/// that was committed before this was asked.
pub(super) async fn newest_epoch(
    session: Rc<dyn Session>,
    latch: String,
) -> Result<Epoch, Failure> {
    let stands = session.multi(vec![standing(latch)]);
    let read = session.get(paths::EPOCH);
    stands.await.map_err(|error| Failure::of(&error))?;
    let not_read = |why: String| Failure::Write(WriteError::NotDone(why));
    let node = read.await.map_err(|error| not_read(error.to_string()))?;
    let node = node.ok_or_else(|| not_read(format!("no node {}", paths::EPOCH)))?;
    Epoch::decode(&node.data).map_err(|error| not_read(format!("{} {error}", paths::EPOCH)))
}

/// Raises `/epoch` in the first guarded write of a leadership.
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
    session.multi(vec![standing(latch), raise]).await?;
    Ok(epoch)
}
