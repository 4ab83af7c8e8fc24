//! The private messages of the session to itself: each is the end of something under way on a connection.

use std::time::Duration;

use super::membership::{JoinError, Joined};
use super::subject::{Reading, Subject};
use crate::actors::messages::Leadership;
use crate::domain::node::{ClusterName, Generation, KeeperId, Moment};
use crate::ports::coordination::{Children, CoordinationError, Fired, Node, Watch};

pub(super) type Reply<T> = Result<T, CoordinationError>;

/// The pause before a failed request is sent again on a connection that is up.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// The end of something under way on one connection.
pub(super) enum Event {
    Joined(Result<Joined, JoinError>),
    Rejoin,
    Generation(Reply<Option<Node>>),
    Read(Subject, Reply<(Reading, Watch)>),
    Changed(Subject),
    /// The watch on the node of a keeper has fired; the node belonged to this session.
    KeeperFired(KeeperId, i64, Fired),
    Surveyed(Survey),
    Fetch(ClusterName),
    Fetched(ClusterName, u64, Reply<Option<Node>>),
    Subtree(ClusterName, u64),
    Heartbeat {
        sent: Moment,
        written: Reply<i32>,
        read: Reply<Option<Node>>,
    },
    ChangesRead(Reply<Option<Node>>),
    Silence,
    Deposed(Reply<()>),
    Amended(Reply<()>),
    LatchWritten(Reply<()>),
    Raised(Reply<Leadership>),
    CampaignAgain,
    /// `ZooKeeper` has lost data, as this shows.
    SetBack(String),
    /// A node that all keepers need is gone.
    Begin,
    /// `/generation`, from a read that was sent when this one was known.
    GenerationRechecked(Generation, Reply<Option<Node>>),
    Reported(ClusterName, u64, Reply<()>),
    Converge(ClusterName, u64),
}

/// The result of a survey: what ZooKeeper says of keepers that seem silent (RK-2).
pub(super) struct Survey {
    /// The withdrawal that was known to be committed before the survey.
    pub(super) generation: Generation,
    pub(super) online: Reply<Children>,
    pub(super) registered: Reply<Children>,
    pub(super) keepers: Vec<(KeeperId, Reply<Option<Node>>)>,
}
