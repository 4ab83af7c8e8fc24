//! Sets the behaviour of the fake.

use std::net::SocketAddr;
use std::time::Duration;

use redis_keeper::actors::cluster_api::Reason;
use redis_keeper::actors::messages::{NotSwitched, Switched};
use redis_keeper::domain::node::{Moment, NodeAddr};

use super::Fake;

impl Fake {
    /// Another keeper leads, and listens at `rest`.
    pub(crate) fn led_from(mut self, rest: SocketAddr) -> Self {
        self.leader = Some(rest);
        self
    }

    /// This keeper has the id `id`.
    pub(crate) fn called(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    /// A switchover has this result.
    pub(crate) fn switching(mut self, outcome: Result<Switched, NotSwitched>) -> Self {
        self.switched = outcome;
        self
    }

    /// A switchover takes this long.
    pub(crate) fn switching_after(mut self, takes: Duration) -> Self {
        self.switching_takes = takes;
        self
    }

    /// The event loop handles nothing.
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

    /// Another node is the primary.
    pub(crate) fn with_primary(mut self, primary: NodeAddr) -> Self {
        self.primary = Some(primary);
        self
    }

    /// The actors take questions and never answer.
    pub(crate) fn hung() -> Self {
        Self {
            hung: true,
            ..Self::healthy()
        }
    }

    /// Answers hold until `deadline`.
    pub(crate) fn until(mut self, deadline: Moment) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The actor is down for this many attempts.
    pub(crate) fn down_for(mut self, attempts: usize) -> Self {
        self.down_for = attempts.into();
        self
    }
}
