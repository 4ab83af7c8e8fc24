//! Other groups of keepers at this group's servers (RK-12): from names met in `CLIENT LIST` to groups that are known,
//! because they were asked.
//!
//! A name is only a reason to ask. A group is a rival once one of its keepers has named itself, and the node at which
//! it was met. The group stays a rival for [`FORGOTTEN_AFTER`] after its last answer, and for
//! [`ONCE_FORGOTTEN_AFTER`] after its only one. The work is bounded, whatever names clients take.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::group::{GroupAnswer, GroupToken, OtherGroup, ProbeName};
use super::node::{KeeperId, Moment, NodeAddr};
use super::timing::groups::{
    ASKED_EVERY, FIRST_RETRY, FORGOTTEN_AFTER, LAST_RETRY, NAME_FORGOTTEN_AFTER,
    ONCE_FORGOTTEN_AFTER, ROUND_EVERY, TWICE_AFTER,
};

pub use astray::{Astray, LeadsTo};

mod astray;

/// How many names are remembered.
pub const NAMES_REMEMBERED: usize = 64;

/// How many keepers are asked at once.
pub const ASKED_AT_ONCE: usize = 4;

/// How many names that do not lead to their keepers are reported.
const ASTRAY_SHOWN: usize = 8;

/// After this many failures in a row a name is reported as leading to no keeper: the keeper may just be starting.
const NOBODY_AFTER: u32 = 2;

/// The knowledge that all clusters get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownGroups {
    /// Groups that manage the same servers.
    pub rivals: Vec<Rival>,
    /// Names that do not lead to their keepers.
    pub astray: Vec<Astray>,
}

/// The knowledge of keepers of other groups.
#[derive(Debug, Clone, Default)]
pub struct Rivals {
    own: Option<(GroupToken, KeeperId)>,
    met: BTreeMap<ProbeName, Met>,
    groups: BTreeMap<GroupToken, Group>,
    /// How often names were met. If they are too many to remember, each time other ones come first.
    turn: usize,
    /// When keepers were asked last.
    round: Option<Moment>,
}

/// A name that was met.
#[derive(Debug, Clone)]
struct Met {
    last: Moment,
    /// The nodes that have a connection with this name.
    nodes: BTreeSet<NodeAddr>,
    ask_at: Moment,
    asking: bool,
    /// The first question to its keeper has ended, by an answer or a failure.
    asked: bool,
    /// Failures in a row.
    failures: u32,
    /// The process that answered last, if it was not the keeper with this name.
    leads_to: Option<LeadsTo>,
}

/// A group of which a keeper has answered.
#[derive(Debug, Clone)]
struct Group {
    first: Moment,
    last: Moment,
    /// The group has answered twice.
    twice: bool,
    rival: Rival,
}

/// A group that is known to manage the same servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// The last answer of the group.
    pub answer: GroupAnswer,
    /// Where the keeper that gave the answer is reached.
    pub rest: NodeAddr,
    /// The nodes of this group at which keepers of the other group were met.
    pub nodes: BTreeSet<NodeAddr>,
    /// Until when the group is a rival without another answer.
    pub until: Moment,
}

// === impl Rivals ===

impl Rivals {
    /// Goes on from what was known before: the `known` groups stay rivals until they are forgotten.
    pub fn resumed(known: &[Rival], now: Moment) -> Self {
        let mut rivals = Self::default();
        for rival in known.iter().filter(|rival| now < rival.until) {
            let last = Moment(rival.until.0.saturating_sub(FORGOTTEN_AFTER));
            let name = ProbeName {
                group: rival.answer.group.clone(),
                keeper: rival.answer.keeper.clone(),
                rest: rival.rest.clone(),
            };
            rivals
                .met
                .insert(name, Met::new(now, rival.nodes.iter().cloned()));
            let group = Group {
                first: last,
                last,
                twice: true,
                rival: rival.clone(),
            };
            rivals.groups.insert(rival.answer.group.clone(), group);
        }
        rivals
    }

    /// Sets the name of this keeper, `me`, and its own group, which is no rival.
    pub fn own_is(&mut self, own: GroupToken, me: KeeperId) {
        self.met.retain(|name, _| name.group != own);
        self.groups.remove(&own);
        self.own = Some((own, me));
    }

    /// Records that connections with these names were met at `node`.
    pub fn met(
        &mut self,
        node: &NodeAddr,
        names: impl IntoIterator<Item = ProbeName>,
        now: Moment,
    ) {
        // Until this keeper knows its own group, it could take a keeper of that group for another group's.
        let Some((own, _)) = self.own.clone() else {
            return;
        };
        let forgotten = |met: &Met| now.since(met.last) >= NAME_FORGOTTEN_AFTER && !met.asking;
        self.met.retain(|_, met| !forgotten(met));
        let others = names.into_iter().filter(|name| name.group != own);
        let mut others: Vec<_> = others.collect();
        for (name, met) in &mut self.met {
            if !others.contains(name) {
                met.nodes.remove(node);
            }
        }
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(others.len()).unwrap_or_default();
        others.rotate_left(first);
        for name in others {
            if let Some(met) = self.met.get_mut(&name) {
                if met.nodes.is_empty() && !met.asking {
                    // The name was gone. A keeper that was restarted is asked at once.
                    *met = Met::new(now, []);
                }
                met.last = now;
                met.nodes.insert(node.clone());
            } else if self.met.len() < NAMES_REMEMBERED || self.make_room() {
                self.met.insert(name, Met::new(now, [node.clone()]));
            }
        }
    }

    /// Forgets one name behind which no keeper was found. Returns whether there was one.
    fn make_room(&mut self) -> bool {
        let mut useless = self.met.iter().filter(|(name, met)| {
            met.failures > 0 && !met.asking && !self.groups.contains_key(&name.group)
        });
        let name = useless.next().map(|(name, _)| name.clone());
        name.and_then(|name| self.met.remove(&name)).is_some()
    }

    /// The keepers to ask now, each with a node at which it was met. The outcome of each goes to
    /// [`answered`](Self::answered).
    pub fn due(&mut self, now: Moment) -> Vec<(ProbeName, Option<NodeAddr>)> {
        if self.next_round(now) > now {
            return Vec::new();
        }
        let asking = self.met.values().filter(|met| met.asking).count();
        let due: Vec<_> = self
            .met
            .iter()
            .filter(|(name, met)| self.asks(name, met) && met.ask_at <= now)
            .map(|(name, _)| name.clone())
            .take(ASKED_AT_ONCE.saturating_sub(asking))
            .collect();
        if !due.is_empty() {
            self.round = Some(now);
        }
        due.into_iter()
            .filter_map(|name| {
                let met = self.met.get_mut(&name)?;
                met.asking = true;
                Some((name, met.nodes.first().cloned()))
            })
            .collect()
    }

    fn next_round(&self, now: Moment) -> Moment {
        self.round.map_or(now, |round| round.after(ROUND_EVERY))
    }

    /// Of a group, only the keeper that has answered is asked. The others are asked once that keeper answers no more.
    fn asks(&self, name: &ProbeName, met: &Met) -> bool {
        !met.asking && !self.another_answers(name)
    }

    fn another_answers(&self, name: &ProbeName) -> bool {
        let group = self.groups.get(&name.group);
        group.is_some_and(|group| {
            let by = &group.rival;
            let answers = |met: &Met| met.failures == 0;
            let same = (&by.answer.keeper, &by.rest) == (&name.keeper, &name.rest);
            let answerer = ProbeName {
                group: name.group.clone(),
                keeper: by.answer.keeper.clone(),
                rest: by.rest.clone(),
            };
            !same && self.met.get(&answerer).is_some_and(answers)
        })
    }

    /// Whether the first question to a keeper that was met is still open. Changes wait for its end.
    pub fn asks_first(&self) -> bool {
        let mut met = self.met.iter();
        met.any(|(name, met)| !met.asked && !self.another_answers(name))
    }

    /// Makes the next round due now, since a change waits for keepers that have not been asked yet.
    pub fn hurry(&mut self) {
        self.round = None;
    }

    /// Records a keeper's answer, or why it gave none.
    pub fn answered(&mut self, name: &ProbeName, answer: Result<GroupAnswer, String>, now: Moment) {
        let Some(met) = self.met.get_mut(name) else {
            return;
        };
        (met.asking, met.asked) = (false, true);
        let answer = match answer {
            Ok(answer) if answer.is_of(name) => Ok(answer),
            Ok(answer) => {
                let (own, me) = self.own.as_ref().map(|(own, me)| (own, me)).unzip();
                Err(LeadsTo::of(&answer, own, me))
            }
            Err(why) => Err(LeadsTo::Nobody(why)),
        };
        met.leads_to = answer.as_ref().err().cloned();
        let Ok(answer) = answer else {
            let wait = FIRST_RETRY * 2_u32.saturating_pow(met.failures.min(10));
            met.failures = met.failures.saturating_add(1);
            met.ask_at = now.after(wait.min(LAST_RETRY));
            let moved = matches!(met.leads_to, Some(LeadsTo::Myself | LeadsTo::OwnGroup(_)));
            if moved && let Some(group) = self.groups.get_mut(&name.group) {
                group.shorten(name, now);
            }
            return;
        };
        met.failures = 0;
        met.ask_at = now.after(ASKED_EVERY);
        let nodes = met.nodes.clone();
        let rest = name.rest.clone();
        let before = self.groups.remove(&name.group);
        let before = before.filter(|group| now.since(group.last) < FORGOTTEN_AFTER);
        let first = before.as_ref().map_or(now, |group| group.first);
        let known = before.as_ref().is_some_and(|group| group.twice);
        let mut met_at = before.map(|group| group.rival.nodes).unwrap_or_default();
        met_at.extend(nodes);
        let twice = known || now.since(first) >= TWICE_AFTER;
        let counts_for = if twice {
            FORGOTTEN_AFTER
        } else {
            ONCE_FORGOTTEN_AFTER
        };
        let group = Group {
            first,
            last: now,
            twice,
            rival: Rival {
                answer,
                rest,
                nodes: met_at,
                until: now.after(counts_for),
            },
        };
        self.groups.insert(name.group.clone(), group);
    }

    /// The groups that are rivals at `now`.
    pub fn known(&self, now: Moment) -> Vec<Rival> {
        let known = self.groups.values();
        known
            .filter(|group| now < group.rival.until)
            .map(|group| group.rival.clone())
            .collect()
    }

    /// The knowledge that all clusters get now.
    pub fn known_groups(&self, now: Moment) -> KnownGroups {
        KnownGroups {
            rivals: self.known(now),
            astray: self.astray(now),
        }
    }

    /// Names that do not lead to their keepers. A name is left out once another keeper has made its group known.
    fn astray(&self, now: Moment) -> Vec<Astray> {
        let known = |group: &GroupToken| {
            let group = self.groups.get(group);
            group.is_some_and(|group| now < group.rival.until)
        };
        let met = self.met.iter().filter(|(name, met)| {
            let told = match met.leads_to {
                Some(LeadsTo::Nobody(_)) => met.failures >= NOBODY_AFTER,
                Some(_) => true,
                None => false,
            };
            told && !met.nodes.is_empty() && !known(&name.group)
        });
        let astray = met.filter_map(|(name, met)| {
            Some(Astray {
                leads_to: met.leads_to.clone()?,
                name: name.clone(),
                nodes: met.nodes.clone(),
            })
        });
        let mut astray: Vec<_> = astray.collect();
        astray.sort();
        astray.truncate(ASTRAY_SHOWN);
        astray
    }

    /// When something is due next though nothing is heard: a keeper to be asked, or a rival to be forgotten.
    pub fn next(&self, now: Moment) -> Option<Moment> {
        let asked = self.met.iter().filter(|(name, met)| self.asks(name, met));
        let round = self.next_round(now);
        let asked = asked.map(|(_, met)| met.ask_at.max(round));
        let groups = self.groups.values();
        let ends = groups.map(|group| group.rival.until).filter(|at| *at > now);
        asked.chain(ends).min()
    }
}

// === impl Group ===

impl Group {
    /// Shortens the hold: the keeper that answered for the group takes part in this group now, as after a corrected
    /// `zk-prefix`. Meanwhile the other keepers of that group are asked.
    fn shorten(&mut self, name: &ProbeName, now: Moment) {
        let Rival { answer, rest, .. } = &self.rival;
        if (&answer.keeper, rest) == (&name.keeper, &name.rest) {
            self.rival.until = self.rival.until.min(now.after(ONCE_FORGOTTEN_AFTER));
        }
    }
}

// === impl Met ===

impl Met {
    fn new(now: Moment, nodes: impl IntoIterator<Item = NodeAddr>) -> Self {
        Self {
            last: now,
            nodes: nodes.into_iter().collect(),
            ask_at: now,
            asking: false,
            asked: false,
            failures: 0,
            leads_to: None,
        }
    }
}

/// The `rivals` that manage the cluster of these `nodes`: each was met at one of the nodes, and names it.
pub fn of_cluster<'a>(
    rivals: &[Rival],
    nodes: &(impl Iterator<Item = (&'a NodeAddr, &'a BTreeSet<IpAddr>)> + Clone),
    now: Moment,
) -> Vec<OtherGroup> {
    let looks_after = |rival: &Rival| {
        let clusters = rival.answer.clusters.iter();
        let cluster = clusters.filter(|cluster| !cluster.paused).find(|cluster| {
            let mut met = nodes
                .clone()
                .filter(|(addr, _)| rival.nodes.contains(*addr));
            met.any(|(addr, addresses)| cluster.has(addr, addresses))
        })?;
        Some(OtherGroup {
            group: rival.answer.group.clone(),
            keeper: rival.answer.keeper.clone(),
            rest: rival.rest.clone(),
            place: rival.answer.place.clone(),
            cluster: cluster.name.clone(),
            primary: cluster.primary_among(nodes.clone()),
        })
    };
    let standing = rivals.iter().filter(|rival| now < rival.until);
    standing.filter_map(looks_after).collect()
}

/// The names in `astray` that were met at some of these `nodes`, with these nodes alone.
pub fn astray_at<'a>(
    astray: &[Astray],
    nodes: &(impl Iterator<Item = &'a NodeAddr> + Clone),
) -> Vec<Astray> {
    let here = |it: &Astray| Astray {
        nodes: nodes
            .clone()
            .filter(|addr| it.nodes.contains(*addr))
            .cloned()
            .collect(),
        ..it.clone()
    };
    let here = astray.iter().map(here);
    here.filter(|it| !it.nodes.is_empty()).collect()
}

#[cfg(test)]
mod tests;
