//! One probe: on the present connection, and on a new one beside it while the first owes its answer (RK-1).
//! - A node that is silent on both connections is silent.
//! - A node that answers only on the new connection is alive, and its old connection is dropped.
//! - While a node answers within half of the probe timeout, no second connection is opened.

use std::cell::RefCell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::fresh_connections::{FreshConnections, LEAST_TURN};

use crate::domain::liveness::{DownReason, Via};
use crate::ports::redis::{Alive, Depth, ProbeConnection, ProbeFailure, RedisNode};

/// After how many times the node's last answer time a silent new connection makes way for others. The set-up takes
/// one round trip, or three with TLS. The answer takes another one.
const ROUND_TRIPS: u32 = 8;

/// A connection that is kept from probe to probe.
pub(super) struct Established {
    pub(super) connection: Box<dyn ProbeConnection>,
    /// Whether anything was answered on the connection.
    pub(super) answered: bool,
}

pub(super) type Connection = Option<Established>;

/// The outcome of a probe.
pub(super) type ProbeResult = Result<Alive, NoAnswer>;

/// Why a probe has no answer.
pub(super) enum NoAnswer {
    Failed(ProbeFailure, Via),
    /// There was no answer within the probe's time.
    Silent(Silence),
}

/// The meaning of a silent probe for the node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// A new connection was silent, too.
    Complete,
    /// No new connection was tried, or not for long enough for an answer. The reason is given if it lies in this
    /// host.
    OldConnectionOnly(Option<String>),
}

/// A probe that has ended.
pub(super) struct Probed {
    /// The connection for the next probe.
    pub(super) connection: Connection,
    pub(super) outcome: ProbeResult,
    /// How much was asked on the connection that is left.
    pub(super) depth: Depth,
    /// Whether the old connection was silent, and a new one was answered.
    pub(super) replaced: bool,
    /// How long it took, before the probe itself, to resolve the node's name.
    pub(super) located: Duration,
}

/// A probe to be sent.
pub(super) struct Probe {
    pub(super) node: Rc<dyn RedisNode>,
    pub(super) depth: Depth,
    /// How long the probe may take, its connection included.
    pub(super) limit: Duration,
    /// How a new connection is tried beside the old one, if at all.
    pub(super) second: Option<SecondConnection>,
}

/// A new connection beside the old one.
pub(super) struct SecondConnection {
    pub(super) fresh: Rc<FreshConnections>,
    /// How long the old connection may owe its answer before the new one is tried.
    pub(super) after: Duration,
    /// How much is asked on the new connection: everything, for another process may answer there.
    pub(super) depth: Depth,
    /// How long the node's last answer took.
    pub(super) usual: Duration,
}

/// The progress of a new connection.
enum Attempt {
    /// Too many new connections to other nodes are being tried.
    NoTurn,
    Since(Instant),
    Silent,
    Own(String),
}

/// A new connection, and the answer on it.
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
        // Resolving the name has a time of its own: a slow resolver is no silence of the node.
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

    fn ended(&self, connection: Connection, outcome: ProbeResult) -> Probed {
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
            let head_start = self.second.as_ref().map_or(self.limit, |it| it.after);
            match (timeout(head_start, &mut asked).await, &self.second) {
                (Ok(answered), _) => Some(answered),
                (Err(_), None) => None,
                (Err(_), Some(second)) => tokio::select! {
                    biased;
                    answered = &mut asked => Some(answered),
                    other = second.found(&*self.node, &attempt) => {
                        found = Some(other);
                        None
                    }
                    () = sleep_until(deadline) => None,
                },
            }
        };
        let silent = || {
            let attempt = attempt.into_inner();
            let least = self
                .second
                .as_ref()
                .map_or(self.limit, SecondConnection::patience);
            NoAnswer::Silent(attempt.silence(least.min(self.limit / 4)))
        };
        let replaced = found.is_some();
        let (connection, outcome) = match (answered, found) {
            (Some(Ok(alive)), _) => (Some(old), Ok(alive)),
            (Some(Err(failure)), _) => (None, Err(NoAnswer::Failed(failure, Via::OldConnection))),
            (None, Some((other, alive))) => (Some(other), Ok(alive)),
            (None, None) => (Some(old), Err(silent())),
        };
        let other = self.second.as_ref().filter(|_| replaced);
        Probed {
            depth: other.map_or(self.depth, |second| second.depth),
            replaced,
            ..self.ended(connection, outcome)
        }
    }
}

// === impl SecondConnection ===

impl SecondConnection {
    fn patience(&self) -> Duration {
        LEAST_TURN.max(self.usual * ROUND_TRIPS)
    }

    /// Resolves only if a new connection is answered; `attempt` has the progress.
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
            () = turn.is_contended(self.patience()) => Attempt::Silent,
        };
        attempt.replace(failed);
        drop(turn);
        pending().await
    }
}

// === impl Attempt ===

impl Attempt {
    /// The meaning of a passed deadline. A new connection that got its turn only a moment ago had no time for an
    /// answer. Then only the old connection counts as silent.
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

    /// Notes that a late answer came.
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

/// Turns a connection that was closed before its first answer into silence. A relay in front of the node closes
/// connections in this way, whether the node lives or not.
fn unheard(failure: ProbeFailure) -> ProbeFailure {
    match failure {
        ProbeFailure::Evidence(DownReason::Closed, _) => ProbeFailure::Evidence(
            DownReason::Unanswered,
            "connection closed before its first answer".to_owned(),
        ),
        failure => failure,
    }
}
