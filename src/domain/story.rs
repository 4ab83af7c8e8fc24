//! The events of a cluster, as one keeper sees them. The log is made of these events.
//!
//! Each event comes once, with the figures that this keeper has measured. Unknown figures are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::choice::{Choice, choice};
pub use self::foresight::{Foreseen, Foresight};
pub use self::holds::{HoldNews, HoldsTold, Weight};
pub use self::obstacles::{News as ObstacleNews, Obstacles};
pub use self::outside::{OutsideStream, OutsideStreamKind, OutsideStreams};
pub use self::silence::{SilenceStory, reason};
use super::drain::Proxy;
use super::facts::Link;
use super::liveness::DownReason;
use super::node::{Generation, KeeperId, Moment, NodeAddr};
use super::observed::{Observed, ObservedNode, Topology};
use super::plan::{Action, Hold, Plan};
use super::published::Published;
use change::PrimaryChange;

mod change;
mod choice;
mod foresight;
mod holds;
mod obstacles;
mod outside;
mod silence;

/// An event in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A node has not answered this keeper for a while, and the keepers do not hold it down yet.
    Silent {
        /// The node.
        node: NodeAddr,
        /// The node is the published primary.
        is_primary: bool,
        /// How long the node has been silent, and what follows.
        silence: SilenceStory,
    },
    /// This keeper votes the node down.
    VotedDown {
        /// The node.
        node: NodeAddr,
        /// The reason of the vote.
        reason: DownReason,
    },
    /// This keeper takes its vote against the node back, though it still has no answer.
    VoteWithdrawn {
        /// The node.
        node: NodeAddr,
    },
    /// A node answers again, after an event of its silence or of the vote against it.
    Answers {
        /// The node.
        node: NodeAddr,
        /// For how long the node did not answer. `None` if it answered all the time, for example while it was
        /// loading.
        after: Option<Duration>,
    },
    /// Another keeper has withdrawn the primary.
    Withdrawn {
        /// The primary, if one was published.
        node: Option<NodeAddr>,
        /// The keeper that withdrew it, if the state says so.
        by: Option<KeeperId>,
        /// The generation of the withdrawal.
        generation: Generation,
        /// Why it was withdrawn.
        reason: String,
        /// The withdrawal begins a switchover.
        switchover: bool,
    },
    /// Another keeper has published a primary, or this keeper has read for the first time which primary is published.
    Published {
        /// The primary.
        primary: NodeAddr,
        /// The keeper that published it, if the state says so.
        by: Option<KeeperId>,
        /// The generation of the publication.
        generation: Generation,
    },
    /// Another keeper has published the withdrawn primary again: the change of primary is called off.
    CalledOff {
        /// The primary.
        primary: NodeAddr,
        /// The change was a switchover.
        switchover: bool,
        /// The generation of the publication.
        generation: Generation,
    },
    /// The change of primary that this keeper led is complete.
    Done(Done),
    /// HAProxies still send clients to the withdrawn primary.
    Draining {
        /// The primary that was withdrawn.
        node: NodeAddr,
        /// The HAProxies.
        proxies: BTreeSet<Proxy>,
        /// How long the leader waits for them at most.
        left: Duration,
    },
    /// A node follows the published primary, and its link is up, after a change of primary or an absence of the node.
    Follows {
        /// The node.
        node: NodeAddr,
        /// The primary.
        primary: NodeAddr,
        /// The node was down or silent before.
        is_back: bool,
    },
}

/// A change of primary that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The primary before, if there was one.
    pub from: Option<NodeAddr>,
    /// The new primary.
    pub to: NodeAddr,
    /// The change was a switchover.
    pub switchover: bool,
    /// The generation in which the new primary was published.
    pub generation: Generation,
    /// For how long no node was writable: from the old primary's last writable moment that this keeper knows, to the
    /// publication. `None` if not known.
    pub not_writable: Option<Duration>,
    /// How many bytes the new primary lacked of the old one's data, as these were last read; `None` if not known.
    pub lacked: Option<u64>,
    /// The new primary has the old one's address, but is another process than the withdrawn one.
    pub another_process: bool,
}

/// The events so far of one node.
#[derive(Debug, Default)]
struct NodeStory {
    /// Since when the node does not answer.
    silent_since: Option<Moment>,
    /// Whether the silence has had its event.
    silent: bool,
    vote: Option<DownReason>,
    /// An event is due when the node follows the primary: the node was absent, or the primary has changed.
    awaited: bool,
    absent: bool,
}

/// The state behind the events: earlier observations, and the events that they led to.
#[derive(Debug, Default)]
pub struct Story {
    nodes: BTreeMap<NodeAddr, NodeStory>,
    generation: Option<Generation>,
    primary: Option<NodeAddr>,
    change: Option<PrimaryChange>,
    /// The withdrawal for which HAProxies were named in an event.
    drained: Option<Generation>,
    again: Option<Moment>,
}

/// The input of one look.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The cluster.
    pub observed: &'a Observed,
    /// The plan for the cluster.
    pub plan: &'a Plan,
    /// This keeper leads.
    pub leads: bool,
    /// The time.
    pub now: Moment,
}

impl Story {
    /// When to look again even if nothing happens meanwhile.
    pub fn again(&self) -> Option<Moment> {
        self.again
    }

    /// How many bytes the candidate lacks of the withdrawn primary's data, as these were last read; `None` if not
    /// known.
    pub fn lacks(&self, candidate: &NodeAddr) -> Option<u64> {
        let (node, bytes) = self.change.as_ref()?.lacks.as_ref()?;
        (node == candidate).then_some(*bytes)
    }

    /// The events since the last look.
    pub fn look(&mut self, view: View<'_>) -> Vec<Event> {
        self.again = None;
        let mut events = Vec::new();
        let nodes = &view.observed.nodes;
        if self.nodes.len() != nodes.len() {
            self.nodes = nodes
                .keys()
                .map(|addr| (addr.clone(), NodeStory::default()))
                .collect();
        }
        for (addr, node) in nodes {
            self.look_at_node(view, addr, node, &mut events);
        }
        if let Some(published) = &view.observed.published {
            self.look_at_published(view, published, &mut events);
        }
        self.look_at_plan(view, &mut events);
        if let Some(primary) = self.primary.clone() {
            self.look_at_followers(view.observed, &primary, &mut events);
        }
        events
    }

    // === nodes ===

    fn look_at_node(
        &mut self,
        view: View<'_>,
        addr: &NodeAddr,
        node: &ObservedNode,
        events: &mut Vec<Event>,
    ) {
        let Some(told) = self.nodes.get_mut(addr) else {
            return;
        };
        let (observation, now) = (&node.observation, view.now);
        let vote = view.observed.vote(addr, now);
        let voted = std::mem::replace(&mut told.vote, vote);
        if observation.answering {
            let since = told.silent_since.take();
            let silent = std::mem::take(&mut told.silent);
            if silent || voted.is_some() && vote.is_none() {
                let back = observation.answering_since.zip(since);
                events.push(Event::Answers {
                    node: addr.clone(),
                    after: back.map(|(at, since)| at.since(since)),
                });
            }
        } else if observation.probed {
            let seen = observation.last_alive;
            let since = *told.silent_since.get_or_insert(seen.unwrap_or(now));
            let due = since.after(silence::patience(view.observed.limits));
            let is_news = !told.silent && vote.is_none() && !node.verdict.unfit_as_primary();
            if is_news && now < due {
                self.again = self.again.into_iter().chain([due]).min();
            } else if is_news {
                told.silent = true;
                let published = view.observed.published.as_ref();
                let mark_down = seen.map(|_| view.observed.limits.mark_down);
                events.push(Event::Silent {
                    node: addr.clone(),
                    is_primary: published.is_some_and(|it| it.primary.as_ref() == Some(addr)),
                    silence: SilenceStory::of(node, now.since(since), mark_down),
                });
            }
            if voted.is_some() && vote.is_none() {
                events.push(Event::VoteWithdrawn { node: addr.clone() });
            }
        }
        if let (None, Some(reason)) = (voted, vote) {
            events.push(Event::VotedDown {
                node: addr.clone(),
                reason,
            });
        }
        if told.silent || vote.is_some() || node.verdict.unfit_as_primary() {
            told.awaited = true;
            told.absent = true;
        }
    }

    fn look_at_followers(
        &mut self,
        observed: &Observed,
        primary: &NodeAddr,
        events: &mut Vec<Event>,
    ) {
        let topology = Topology::of(observed);
        for (addr, told) in self.nodes.iter_mut().filter(|(_, told)| told.awaited) {
            let Some(facts) = observed.online(addr) else {
                continue;
            };
            let linked = facts.upstream().is_some_and(|it| it.link == Link::Up);
            let follows = linked && topology.follows(addr, primary);
            if follows {
                events.push(Event::Follows {
                    node: addr.clone(),
                    primary: primary.clone(),
                    is_back: told.absent,
                });
            }
            if follows || addr == primary {
                (told.awaited, told.absent) = (false, false);
            }
        }
    }

    // === the published state ===

    fn look_at_published(
        &mut self,
        view: View<'_>,
        published: &Published,
        events: &mut Vec<Event>,
    ) {
        let before = self.generation.replace(published.generation);
        if before == self.generation {
            return;
        }
        let by = published.by.clone();
        let generation = published.generation;
        if let Some(primary) = &published.primary {
            let change = self.change.take();
            let former = self.primary.replace(primary.clone());
            if before.is_some() && former.as_ref() != Some(primary) {
                for (addr, told) in &mut self.nodes {
                    told.awaited |= addr != primary;
                }
            }
            match change {
                Some(change) if view.leads => {
                    events.push(Event::Done(change.done(primary, generation, view)));
                }
                _ if view.leads => {}
                change => {
                    events.push(Event::Published {
                        primary: primary.clone(),
                        by,
                        generation,
                    });
                    let called_off = change.filter(|change| change.is_called_off(published));
                    events.extend(called_off.map(|change| Event::CalledOff {
                        primary: primary.clone(),
                        switchover: change.switchover,
                        generation,
                    }));
                }
            }
        } else if let Some(intent) = &published.intent {
            // This keeper has measured nothing from before its first look.
            let measured = before.map(|_| view.observed);
            self.change = Some(PrimaryChange::begun(intent, measured, view.now));
            if !view.leads {
                events.push(Event::Withdrawn {
                    node: intent.old.clone(),
                    by,
                    generation,
                    reason: intent.reason.clone(),
                    switchover: intent.switchover.is_some(),
                });
            }
        }
    }

    // === the leader's plan ===

    fn look_at_plan(&mut self, view: View<'_>, events: &mut Vec<Event>) {
        if !view.leads {
            return;
        }
        if let (Some(change), Some(Action::Promote { node, .. })) =
            (&mut self.change, &view.plan.action)
        {
            change.chosen(node, view.observed);
        }
        for hold in &view.plan.holds {
            let Hold::Draining {
                node, up, until, ..
            } = hold
            else {
                continue;
            };
            if !up.is_empty() && self.drained != self.generation {
                self.drained = self.generation;
                events.push(Event::Draining {
                    node: node.clone(),
                    proxies: up.clone(),
                    left: until.since(view.now),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
