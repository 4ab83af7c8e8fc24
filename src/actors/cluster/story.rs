//! The log of what happens in the cluster: constant messages, with fields for the rest.
//! - INFO is normal.
//! - WARN is to be looked at by an operator.
//! - ERROR needs an operator's action.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ClusterActor;
use crate::actors::cluster_api::Question;
use crate::domain::listed::listed;
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::plan::{Action, Hold, HoldKind};
use crate::domain::serving::Reason;
use crate::domain::story::{
    Choice, Done, Event, Foreseen, Foresight, HoldNews, HoldsTold, ObstacleNews, Obstacles,
    OutsideStream, OutsideStreamKind, OutsideStreams, Story, View, Weight, choice, reason,
};
use crate::domain::verdict::Verdict;

/// The events that were logged so far.
#[derive(Default)]
pub(super) struct Log {
    story: Story,
    holds: HoldsTold,
    obstacles: Obstacles,
    outside: OutsideStreams,
    foresight: Foresight,
    /// The kinds of holds at the last count.
    held: BTreeSet<HoldKind>,
    /// The published primary, while it has less data than a replica and stays published.
    behind: Option<NodeAddr>,
}

impl Log {
    /// When there may be more to log even if nothing happens.
    pub(super) fn again(&self) -> Option<Moment> {
        let times = [
            self.story.again(),
            self.holds.again(),
            self.obstacles.again(),
            self.outside.again(),
            self.foresight.again(),
        ];
        times.into_iter().flatten().min()
    }
}

impl ClusterActor {
    /// Logs what has happened since the last time.
    pub(super) fn log_story(&mut self, now: Moment) {
        let leads = self.state.leading().is_some();
        let view = View {
            observed: &self.state.observed,
            plan: self.state.plan(),
            leads,
            now,
        };
        for event in self.log.story.look(view) {
            if let Event::Silent { node, .. } = &event {
                self.silences(node).increment(1);
            }
            tell(&event);
        }
        self.count_holds();
        self.foresee(leads, now);
        for news in self.log.obstacles.look(&self.state.observed, now) {
            log_obstacle(&news, leads);
        }
        for stream in self.log.outside.look(&self.state.observed, now) {
            log_outside(&stream);
        }
        self.log_holds(leads, now);
        self.log_return(now);
    }

    fn log_holds(&mut self, leads: bool, now: Moment) {
        if !leads {
            self.log.holds.forget();
            return;
        }
        for news in self.log.holds.look(self.state.held(), now) {
            match news {
                HoldNews::Stands(Weight::Normal, why) => tracing::info!(why = %why.at(now), "held"),
                HoldNews::Stands(Weight::Lasting, why) => {
                    tracing::warn!(why = %why.at(now), "held");
                }
                HoldNews::Over(why) => tracing::info!(why = %why.at(now), "held no more"),
            }
        }
    }

    /// Logs that the published primary came back with less data than a replica holds, and how that ended if nobody
    /// replaced the primary. Without ZooKeeper no keeper can. Each keeper logs it: each one stops calling the node
    /// writable by itself.
    fn log_return(&mut self, now: Moment) {
        let published = self.state.published();
        let primary = published.and_then(|published| published.primary.clone());
        let lease = *self.links.lease.borrow();
        let reason = primary
            .as_ref()
            .map(|primary| self.state.reason(primary, Question::Writable, lease, now));
        match (&self.log.behind, primary, reason) {
            (None, Some(node), Some(Reason::CameBackBehind(holder))) => {
                tracing::warn!(
                    %node, %holder,
                    "the primary came back with less data than a replica holds: it is not called writable"
                );
                self.log.behind = Some(node);
            }
            (Some(behind), Some(node), Some(Reason::Primary)) if *behind == node => {
                tracing::warn!(
                    %node,
                    "the primary is called writable again: no replica that answers holds more than the primary came back with, so writes may be lost"
                );
                self.log.behind = None;
            }
            (Some(behind), node, _) if node.as_ref() != Some(behind) => self.log.behind = None,
            _ => {}
        }
    }

    /// Logs that no failover would follow if the primary died now, so that an operator can act before the failover is
    /// needed.
    ///
    /// Two kinds of keepers log nothing:
    /// - a keeper that does not lead, since it does not decide;
    /// - a keeper whose cluster has a single node, since no other node could take over.
    fn foresee(&mut self, leads: bool, now: Moment) {
        if !leads || self.state.observed.nodes.len() < 2 {
            self.log.foresight.forget();
            return;
        }
        let state = &self.state;
        let ask = || {
            let explanation = state.explanation(now);
            let possible = explanation.would_fail_over();
            possible.then_some(()).ok_or(explanation.sentence)
        };
        match self.log.foresight.look(now, ask) {
            Some(Foreseen::Impossible(why)) => {
                tracing::warn!(%why, "no failover would follow if the primary died now");
            }
            Some(Foreseen::Possible) => {
                tracing::info!("a failover would follow again if the primary died");
            }
            None => {}
        }
    }

    /// Creates the counters of silences at zero. A counter that first appears with the value 1 shows no increase in
    /// Prometheus.
    pub(super) fn count_silences(&self) {
        for node in self.links.monitors.keys() {
            self.silences(node).increment(0);
        }
    }

    fn silences(&self, node: &NodeAddr) -> metrics::Counter {
        metrics::counter!(
            "redis_keeper_node_silences_total",
            "cluster" => self.state.settings.name.to_string(), "node" => node.to_string()
        )
    }

    /// Counts each kind of hold that has begun. A hold that comes and goes never lasts long, but this counter shows
    /// it.
    fn count_holds(&mut self) {
        let held: BTreeSet<_> = self.state.held().iter().map(Hold::kind).collect();
        for kind in held.difference(&self.log.held) {
            metrics::counter!(
                "redis_keeper_cluster_holds_total",
                "cluster" => self.state.settings.name.to_string(), "reason" => kind.word()
            )
            .increment(1);
        }
        self.log.held = held;
    }

    /// Why the plan promotes the node that it promotes; `None` if the plan promotes no node.
    pub(super) fn choice(&self) -> Option<Choice> {
        let Some(Action::Promote { node, .. }) = &self.state.plan().action else {
            return None;
        };
        let (observed, policy) = (&self.state.observed, &self.state.settings.policy);
        let choice = choice(node, observed, policy, self.links.clock.now())?;
        Some(choice.lacking(self.log.story.lacks(node)))
    }
}

pub(super) fn log_verdict(node: &NodeAddr, verdict: Verdict) {
    let (votes, keepers) = (verdict.unreachable + verdict.loading, verdict.keepers);
    if verdict.unfit_as_primary() {
        tracing::warn!(%node, votes, keepers, "node is held down by a majority of the keepers");
    } else {
        tracing::info!(%node, votes, keepers, "node is no longer held down");
    }
}

/// The span in seconds, rounded to a millisecond.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000.0).round() / 1_000.0
}

fn tell(event: &Event) {
    match event {
        Event::Silent {
            node,
            is_primary: true,
            silence,
        } => tracing::warn!(%node, why = %silence, "the primary does not answer"),
        Event::Silent { node, silence, .. } => {
            tracing::info!(%node, why = %silence, "node does not answer");
        }
        Event::VotedDown { node, reason: why } => {
            tracing::info!(%node, why = reason(*why), "this keeper votes the node down");
        }
        Event::VoteWithdrawn { node } => {
            tracing::info!(%node, "this keeper votes the node down no more");
        }
        Event::Answers { node, after } => {
            let silent_seconds = after.map(seconds);
            tracing::info!(%node, silent_seconds, "node answers again");
        }
        Event::Withdrawn {
            node,
            by,
            generation,
            reason,
            switchover,
        } => {
            let node = node.as_ref().map(tracing::field::display);
            let by = by.as_ref().map(tracing::field::display);
            let generation = generation.0;
            if *switchover {
                tracing::info!(
                    node,
                    by,
                    generation,
                    reason,
                    "another keeper has withdrawn the primary"
                );
            } else {
                tracing::warn!(
                    node,
                    by,
                    generation,
                    reason,
                    "another keeper has withdrawn the primary"
                );
            }
        }
        Event::Published {
            primary,
            by,
            generation,
        } => {
            let by = by.as_ref().map(tracing::field::display);
            tracing::info!(%primary, by, generation = generation.0, "the primary is published");
        }
        Event::CalledOff {
            primary,
            switchover: true,
            generation,
        } => tracing::warn!(
            %primary, generation = generation.0,
            "switchover called off: the primary is the same as before"
        ),
        Event::CalledOff {
            primary,
            generation,
            ..
        } => tracing::info!(
            %primary, generation = generation.0,
            "failover called off: the primary is the same as before"
        ),
        Event::Done(done) => log_done(done),
        Event::Draining {
            node,
            proxies,
            left,
        } => {
            tracing::info!(
                %node, haproxies = listed(proxies), at_most_seconds = seconds(*left),
                "waiting for HAProxies to leave the old primary"
            );
        }
        Event::Follows {
            node,
            primary,
            is_back: true,
        } => tracing::info!(%node, %primary, "node is back and follows the primary"),
        Event::Follows { node, primary, .. } => {
            tracing::info!(%node, %primary, "node follows the primary");
        }
    }
}

fn log_done(done: &Done) {
    let Done {
        from,
        to,
        switchover,
        generation,
        not_writable,
        lacked,
        another_process,
    } = done;
    let generation = generation.0;
    let not_writable_seconds = not_writable.map(seconds);
    let (lacked_bytes, primary) = (*lacked, to);
    let called_off = from.as_ref() == Some(to);
    let from = from.as_ref().map(tracing::field::display);
    match (called_off, switchover) {
        (true, _) if *another_process => tracing::warn!(
            %primary, not_writable_seconds, generation,
            "nobody could take over: another process at the primary's address is the primary, and may lack data"
        ),
        (true, true) => tracing::warn!(
            %primary, not_writable_seconds, generation,
            "switchover called off: the primary is the same as before"
        ),
        (true, false) => tracing::info!(
            %primary, not_writable_seconds, generation,
            "failover called off: the primary is the same as before"
        ),
        (false, true) => tracing::info!(
            from, to = %primary, not_writable_seconds, lacked_bytes, generation,
            "switchover done"
        ),
        (false, false) if lacked.is_some_and(|bytes| bytes > 0) => tracing::warn!(
            from, to = %primary, not_writable_seconds, lacked_bytes, generation,
            "failover done"
        ),
        (false, false) => tracing::info!(
            from, to = %primary, not_writable_seconds, lacked_bytes, generation,
            "failover done"
        ),
    }
}

fn log_obstacle(news: &ObstacleNews, leads: bool) {
    match news {
        ObstacleNews::Obstructed(why) if why.all && leads => {
            tracing::error!(%why, "no failover is possible");
        }
        ObstacleNews::Obstructed(why) if why.all => {
            tracing::warn!(%why, "no failover would be possible if this keeper led");
        }
        ObstacleNews::Obstructed(why) => {
            tracing::warn!(%why, "nodes cannot be commanded: they are neither promoted nor repointed");
        }
        ObstacleNews::Clear => tracing::info!("all nodes can be commanded again"),
    }
}

fn log_outside(stream: &OutsideStream) {
    let OutsideStream { node, server, kind } = stream;
    match kind {
        OutsideStreamKind::Primary => tracing::warn!(
            %node, %server,
            "the published primary follows a server that is no node of this cluster"
        ),
        OutsideStreamKind::Replica => tracing::warn!(
            %node, %server,
            "a replica follows a server that is no node of this cluster"
        ),
        OutsideStreamKind::Misled => tracing::warn!(
            %node, %server,
            "a replica follows another server by the name or address of a node"
        ),
    }
}
