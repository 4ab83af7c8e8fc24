//! One probe: on the connection that is there, and on a new one beside it while the first owes its answer (RK-1).
//!
//! - A node that is silent on both is silent.
//! - A node that answers on the new connection alone is alive, and its old connection is dropped.
//! - While a node answers within half of the probe timeout, no second connection is opened.

use std::cell::RefCell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::fresh::{FreshConnections, PATIENCE};
use crate::domain::facts::DownReason;
use crate::domain::liveness::Via;
use crate::ports::redis::{Alive, Depth, ProbeConnection, ProbeFailure, RedisNode};

/// How many times as long as its last answer took a node's new connection may be silent before it makes way for others:
/// its set-up takes one round trip, two more with TLS, and its answer another.
const ROUND_TRIPS: u32 = 8;

/// A connection that is kept from probe to probe.
pub(super) struct Established {
    pub(super) connection: Box<dyn ProbeConnection>,
    /// Something was answered on it.
    pub(super) answered: bool,
}

pub(super) type Connection = Option<Established>;

/// How a probe ended.
pub(super) type Outcome = Result<Alive, NoAnswer>;

/// Why a probe has no answer.
pub(super) enum NoAnswer {
    Failed(ProbeFailure, Via),
    /// Not within its time.
    Silent(Silence),
}

/// What a silent probe says of the node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// A new connection was not answered either.
    Complete,
    /// No new connection was tried, for this reason of this host's own if there is one.
    OldConnectionOnly(Option<String>),
}

/// A probe that has ended.
pub(super) struct Probed {
    /// What the next probe is sent on.
    pub(super) connection: Connection,
    pub(super) outcome: Outcome,
    /// What was asked on the connection that is left.
    pub(super) depth: Depth,
    /// The old connection was silent, and a new one was answered.
    pub(super) replaced: bool,
    /// How long it took, before all else, until an address was known.
    pub(super) located: Duration,
}

/// A probe to be sent.
pub(super) struct Probe {
    pub(super) node: Rc<dyn RedisNode>,
    pub(super) depth: Depth,
    /// How long it may take, its connection included.
    pub(super) limit: Duration,
    /// How a new connection is tried beside it, if one is.
    pub(super) beside: Option<Beside>,
}

/// A new connection beside the old one.
pub(super) struct Beside {
    pub(super) fresh: Rc<FreshConnections>,
    /// How long the old one may owe its answer before.
    pub(super) after: Duration,
    /// Everything is asked: another process may answer there.
    pub(super) depth: Depth,
    /// How long the node's last answer took.
    pub(super) usual: Duration,
}

/// How far a new connection has come.
enum Attempt {
    /// Too many others are tried.
    NoTurn,
    Since(Instant),
    Silent,
    Own(String),
}

/// A new connection, and what was answered on it.
type Found = (Established, Alive);

// === impl Probe ===

impl Probe {
    pub(super) async fn run(self, connection: Connection) -> Probed {
        match connection {
            Some(old) => self.on_old(old).await,
            None => self.on_new().await,
        }
    }

    async fn on_new(self) -> Probed {
        let mut connection = None;
        // Name resolution has a time of its own: what it takes is no silence of the node.
        let begun = Instant::now();
        if let Err(why) = self.node.locate().await {
            return self.ended(
                None,
                Err(NoAnswer::Failed(ProbeFailure::Own(why), Via::NewConnection)),
            );
        }
        let located = begun.elapsed();
        let answered = timeout(self.limit, async {
            let established = Established::open(&*self.node).await?;
            connection.insert(established).ask(self.depth).await
        });
        let outcome = match answered.await {
            Ok(Ok(alive)) => Ok(alive),
            Ok(Err(failure)) => {
                connection = None;
                Err(NoAnswer::Failed(failure, Via::NewConnection))
            }
            Err(_) => Err(NoAnswer::Silent(Silence::Complete)),
        };
        Probed {
            located,
            ..self.ended(connection, outcome)
        }
    }

    fn ended(&self, connection: Connection, outcome: Outcome) -> Probed {
        Probed {
            connection,
            outcome,
            depth: self.depth,
            replaced: false,
            located: Duration::ZERO,
        }
    }

    async fn on_old(self, mut old: Established) -> Probed {
        let deadline = Instant::now() + self.limit;
        let attempt = RefCell::new(Attempt::NoTurn);
        let mut found = None;
        let answered = {
            let mut asked = pin!(old.ask(self.depth));
            let head_start = self.beside.as_ref().map_or(self.limit, |it| it.after);
            match (timeout(head_start, &mut asked).await, &self.beside) {
                (Ok(answered), _) => Some(answered),
                (Err(_), None) => None,
                (Err(_), Some(beside)) => tokio::select! {
                    biased;
                    answered = &mut asked => Some(answered),
                    other = beside.found(&*self.node, &attempt) => {
                        found = Some(other);
                        None
                    }
                    () = sleep_until(deadline) => None,
                },
            }
        };
        let silent = || {
            let attempt = attempt.into_inner();
            let least = self.beside.as_ref().map_or(self.limit, Beside::patience);
            NoAnswer::Silent(attempt.silence(least.min(self.limit / 4)))
        };
        let replaced = found.is_some();
        let (connection, outcome) = match (answered, found) {
            (Some(Ok(alive)), _) => (Some(old), Ok(alive)),
            (Some(Err(failure)), _) => (None, Err(NoAnswer::Failed(failure, Via::OldConnection))),
            (None, Some((other, alive))) => (Some(other), Ok(alive)),
            (None, None) => (Some(old), Err(silent())),
        };
        let other = self.beside.as_ref().filter(|_| replaced);
        Probed {
            depth: other.map_or(self.depth, |beside| beside.depth),
            replaced,
            ..self.ended(connection, outcome)
        }
    }
}

// === impl Beside ===

impl Beside {
    fn patience(&self) -> Duration {
        PATIENCE.max(self.usual * ROUND_TRIPS)
    }

    /// Resolves only if a new connection is answered; `attempt` tells how far it has come.
    async fn found(&self, node: &dyn RedisNode, attempt: &RefCell<Attempt>) -> Found {
        let turn = self.fresh.turn().await;
        attempt.replace(Attempt::Since(Instant::now()));
        let answered = async {
            let mut other = Established::open(node).await?;
            let alive = other.ask(self.depth).await?;
            Ok((other, alive))
        };
        let failed = tokio::select! {
            biased;
            answered = answered => match answered {
                Ok(found) => return found,
                Err(ProbeFailure::Evidence(..)) => Attempt::Silent,
                Err(ProbeFailure::Own(why)) => Attempt::Own(why),
            },
            () = turn.is_wanted(self.patience()) => Attempt::Silent,
        };
        attempt.replace(failed);
        drop(turn);
        pending().await
    }
}

// === impl Attempt ===

impl Attempt {
    /// What it means that the deadline has come. One that had its turn in the last moment was not given the time that an
    /// answer takes.
    fn silence(self, least: Duration) -> Silence {
        match self {
            Self::Silent => Silence::Complete,
            Self::Since(begun) if begun.elapsed() >= least => Silence::Complete,
            Self::Since(_) | Self::NoTurn => Silence::OldConnectionOnly(None),
            Self::Own(why) => Silence::OldConnectionOnly(Some(why)),
        }
    }
}

// === impl Established ===

impl Established {
    async fn open(node: &dyn RedisNode) -> Result<Self, ProbeFailure> {
        let connection = node.connect().await.map_err(unheard)?;
        Ok(Self {
            connection,
            answered: false,
        })
    }

    /// A late answer came.
    pub(super) fn heard(self) -> Self {
        Self {
            answered: true,
            ..self
        }
    }

    async fn ask(&mut self, depth: Depth) -> Result<Alive, ProbeFailure> {
        let answered = self.connection.probe(depth).await;
        self.answered |= answered.is_ok();
        if self.answered {
            answered
        } else {
            answered.map_err(unheard)
        }
    }
}

/// A connection that is accepted and closed before anything is answered on it is silence: a relay in front of the node
/// does so, whatever became of the node.
fn unheard(failure: ProbeFailure) -> ProbeFailure {
    match failure {
        ProbeFailure::Evidence(DownReason::Closed, _) => ProbeFailure::Evidence(
            DownReason::Unanswered,
            "connection closed before its first answer".to_owned(),
        ),
        failure => failure,
    }
}
