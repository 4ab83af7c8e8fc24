//! How the fake is to behave.

use std::net::SocketAddr;
use std::time::Duration;

use redis_keeper::actors::cluster_api::Reason;
use redis_keeper::actors::messages::{NotSwitched, Switched};
use redis_keeper::domain::node::{Moment, NodeAddr};

use super::Fake;

impl Fake {
    /// Another keeper leads, and listens there.
    pub(crate) fn led_from(mut self, rest: SocketAddr) -> Self {
        self.leader = Some(rest);
        self
    }

    /// This keeper is called so.
    pub(crate) fn called(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    /// A switchover comes to this.
    pub(crate) fn switching(mut self, outcome: Result<Switched, NotSwitched>) -> Self {
        self.switched = outcome;
        self
    }

    /// A switchover takes so long.
    pub(crate) fn switching_after(mut self, takes: Duration) -> Self {
        self.switching_takes = takes;
        self
    }

    /// The event loop takes nothing.
    pub(crate) fn blocked() -> Self {
        Self {
            blocked: true,
            ..Self::healthy()
        }
    }

    /// A failover is under way.
    pub(crate) fn without_primary() -> Self {
        Self {
            primary: None,
            ..Self::saying(Reason::NoPrimary)
        }
    }

    /// The primary is elsewhere.
    pub(crate) fn with_primary(mut self, primary: NodeAddr) -> Self {
        self.primary = Some(primary);
        self
    }

    /// Actors take questions and never answer.
    pub(crate) fn hung() -> Self {
        Self {
            hung: true,
            ..Self::healthy()
        }
    }

    /// Answers hold until then.
    pub(crate) fn until(mut self, deadline: Moment) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The actor is down for so many attempts.
    pub(crate) fn down_for(mut self, attempts: usize) -> Self {
        self.down_for = attempts.into();
        self
    }
}
