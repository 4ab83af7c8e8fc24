//! Carries out a switchover, and ends the pause of writes after it.

use std::time::Duration;

use futures::future::join;

use super::super::switch::{hand_over, longest_pause};
use super::{Decided, Driver, log_notes};
use crate::actors::messages::Leadership;
use crate::domain::command_history::{CommandOutcome, RoleCommand};
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::plan::{Action, StateChange};
use crate::ports::redis::{CommandConnection, CommandError, Remember};

/// A server whose writes are held up: since when, until when at most, and for which successor.
///
/// Each of the two servers has a connection. The writes were held up on that of the first one.
pub(super) struct Paused {
    node: NodeAddr,
    connection: Box<dyn CommandConnection>,
    since: Moment,
    until: Moment,
    pub(super) successor: NodeAddr,
    to_successor: Box<dyn CommandConnection>,
}

impl Driver {
    /// Whether a server's writes are held up by this run.
    pub(super) fn holds_up_writes(&self) -> bool {
        let now = self.links.clock.now();
        let paused = self.paused.borrow();
        paused.as_ref().is_some_and(|paused| now < paused.until)
    }

    /// Switches over in the order that RK-4 demands, with a connection to each of the two servers.
    ///
    /// The writes of `from` stay held up afterwards: see [`let_write`](Self::let_write).
    pub(super) async fn switch(&self, first: &Decided, from: NodeAddr, to: NodeAddr) {
        let leadership = &first.leadership;
        let opened = join(self.open(first, &from), self.open(first, &to)).await;
        let (mut old, mut new) = match opened {
            (Ok(old), Ok(new)) => (old, new),
            (Err(error), _) => {
                return self
                    .not_switched(leadership, format!("{from}: {error}"))
                    .await;
            }
            (_, Err(error)) => {
                return self
                    .not_switched(leadership, format!("{to}: {error}"))
                    .await;
            }
        };
        let Some(second) = self.decide().await else {
            return;
        };
        let Action::Switch {
            from: old_again,
            to: new_again,
            state,
            drain,
        } = second.action.clone()
        else {
            return;
        };
        let same = (&old_again, &new_again) == (&from, &to);
        if !same || !second.confirms(first, &[&from, &to]) {
            return;
        }
        let reason = state.intent.as_ref().map(|intent| intent.reason.as_str());
        tracing::info!(epoch = %leadership.epoch, %from, %to, reason, "switching over");
        let leads = leadership.clone();
        let written = self.write(leads, second.version, state, false).await;
        if written.is_none() {
            return;
        }
        let since = self.links.clock.now();
        let pause = longest_pause(drain);
        let clock = &*self.links.clock;
        let result = hand_over((&from, &mut *old), (&to, &mut *new), pause, clock).await;
        self.paused.replace(Some(Paused {
            node: from,
            connection: old,
            since,
            until: since.after(pause),
            successor: to.clone(),
            to_successor: new,
        }));
        match result {
            Ok(notes) => {
                tracing::info!(epoch = %leadership.epoch, node = %to, "promoted");
                log_notes(leadership, &to, notes);
                self.record(CommandOutcome::Switched(to)).await;
            }
            Err(why) => self.not_switched(leadership, why).await,
        }
    }

    async fn not_switched(&self, leadership: &Leadership, why: String) {
        tracing::warn!(epoch = %leadership.epoch, why, "switchover failed");
        self.record(CommandOutcome::NotSwitched(why)).await;
    }

    /// Ends the pause once `primary` is published by this `change`, in this `version`:
    /// 1. The server whose writes are held up is made to follow `primary`, unless it is `primary` itself.
    /// 2. The pause ends, and the server's clients go on. If the server could not be made to follow, the pause ends
    ///    by itself.
    /// 3. The servers write their new roles to their configuration files.
    ///
    /// The publication was made after the connection was opened. So the publication is the guard of the command
    /// (RK-4).
    pub(super) async fn let_write(
        &self,
        decided: &Decided,
        version: i32,
        primary: &NodeAddr,
        change: StateChange,
    ) {
        let mut paused = match self.paused.take() {
            Some(paused) if paused.node != *primary => paused,
            own => {
                let ended = match own {
                    Some(mut own) => self.unpause(&mut own).await,
                    None => false,
                };
                if change == StateChange::Resume && !ended {
                    self.resume(decided, version, primary).await;
                }
                return;
            }
        };
        let leadership = &decided.leadership;
        let followed = paused.connection.follow(primary, Remember::Later).await;
        let follows = followed.is_ok();
        if follows {
            self.unpause(&mut paused).await;
        }
        self.commanded(
            leadership,
            paused.node.clone(),
            RoleCommand::Repointing,
            followed,
        )
        .await;
        let mut moved = vec![(&paused.successor, &mut paused.to_successor)];
        if follows {
            moved.push((&paused.node, &mut paused.connection));
        }
        for (node, connection) in moved {
            log_notes(leadership, node, connection.rewrite().await);
        }
    }

    /// Ends the pause. Answers whether it has ended.
    async fn unpause(&self, paused: &mut Paused) -> bool {
        let ended = paused.connection.unpause().await;
        let held_up = self.links.clock.now().since(paused.since);
        log_unpaused(&paused.node, &ended, Some(held_up));
        ended.is_ok()
    }

    /// Ends a pause for which this run has no connection. The pause is that of another leader, of a run of this
    /// leader that was restarted, or of a connection that is gone.
    async fn resume(&self, decided: &Decided, version: i32, node: &NodeAddr) {
        let leadership = &decided.leadership;
        let ended = match self.open(decided, node).await {
            Ok(_) if !self.guarded(leadership, Some(version)).await => return,
            Ok(mut connection) => connection.unpause().await,
            Err(error) => Err(error),
        };
        log_unpaused(node, &ended, None);
    }
}

fn log_unpaused(node: &NodeAddr, ended: &Result<(), CommandError>, held_up: Option<Duration>) {
    match ended {
        Ok(()) => {
            let held_up = held_up.map(tracing::field::debug);
            tracing::info!(%node, held_up, "its writes are no longer held up");
        }
        Err(error) => {
            tracing::warn!(%node, %error, "writes are held up until the pause ends by itself");
        }
    }
}
