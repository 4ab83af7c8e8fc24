//! Why a node was chosen to take over, and why no other node was.

use std::collections::BTreeSet;
use std::fmt;

use super::super::election::{Election, Ineligibility, elect, priority};
use super::super::facts::NodeFacts;
use super::super::lineage::held;
use super::super::node::{Moment, NodeAddr};
use super::super::observed::{Observed, Topology, not_considered_in_words};
use super::super::policy::{Criterion, Policy};

/// The reasons, to be displayed in words: `has most data, priority 100; C not: 120 bytes behind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    merit: &'static str,
    /// How many bytes the node lacks of the withdrawn primary's data, as these were last read.
    lacks: Option<u64>,
    priority: u32,
    others: Vec<(NodeAddr, String)>,
    /// Published nodes that this keeper's file lacks.
    not_considered: BTreeSet<NodeAddr>,
}

/// Why `chosen` is to take over, by an election held now; `None` if the node does not answer.
pub fn choice(
    chosen: &NodeAddr,
    observed: &Observed,
    policy: &Policy,
    now: Moment,
) -> Option<Choice> {
    let observed = &*observed.through_others();
    let published = observed.published.as_ref()?;
    let intent = published.intent.as_ref();
    let replaced = intent.and_then(|intent| intent.old.as_ref());
    let lineage = &published.lineage;
    let Election {
        ranking, refusals, ..
    } = elect(&Topology::of(observed), policy, lineage, replaced, now);
    let contest = Contest {
        chosen: (chosen, observed.online(chosen)?),
        lineage,
        policy,
    };
    let rivals = ranking.iter().filter(|it| *it != chosen);
    let rivals: Vec<_> = rivals
        .filter_map(|addr| Some((addr, observed.online(addr)?)))
        .collect();
    let refused = refusals.iter().filter(|(addr, refusal)| {
        *addr != chosen && Some(*addr) != replaced && **refusal != Ineligibility::Replaced
    });
    let refused = refused.map(|(addr, refusal)| (addr.clone(), format!("it {refusal}")));
    let beaten = rivals
        .iter()
        .map(|(addr, facts)| ((*addr).clone(), contest.why_not(addr, facts)));
    Some(Choice {
        merit: contest.merit(&rivals),
        lacks: None,
        priority: priority(chosen, contest.chosen.1, policy),
        others: beaten.chain(refused).collect(),
        not_considered: observed.not_considered(replaced),
    })
}

struct Contest<'a> {
    chosen: (&'a NodeAddr, &'a NodeFacts),
    lineage: &'a [String],
    policy: &'a Policy,
}

impl Contest<'_> {
    /// The node's data: how many promotions back their history lies, and how many bytes of that history the node has.
    fn data(&self, facts: &NodeFacts) -> (usize, u64) {
        held(facts, self.lineage).unwrap_or((usize::MAX, facts.offset))
    }

    fn merit(&self, rivals: &[(&NodeAddr, &NodeFacts)]) -> &'static str {
        let (history, bytes) = self.data(self.chosen.1);
        let mut others = rivals.iter().map(|(_, facts)| self.data(facts));
        if rivals.is_empty() {
            "is the only one that may take over"
        } else if others
            .clone()
            .all(|it| it.0 > history || it.0 == history && it.1 < bytes)
        {
            "has most data"
        } else if others.all(|it| it.0 > history || it.0 == history && it.1 <= bytes) {
            "has as much data as any"
        } else {
            "comes first by election-order"
        }
    }

    /// The first comparison that the other node loses.
    fn why_not(&self, addr: &NodeAddr, facts: &NodeFacts) -> String {
        let (chosen, best) = self.chosen;
        let ((history, bytes), (its_history, its_bytes)) = (self.data(best), self.data(facts));
        if its_history > history {
            return "its data are of an older history".to_owned();
        }
        for criterion in self.policy.election_order.criteria() {
            let its_priority = priority(addr, facts, self.policy);
            let lost = match criterion {
                Criterion::Offset if its_bytes < bytes => {
                    Some(format!("{} bytes behind", bytes - its_bytes))
                }
                Criterion::Priority if its_priority > priority(chosen, best, self.policy) => {
                    Some(format!("priority {its_priority}"))
                }
                Criterion::Uptime if facts.uptime < best.uptime => Some("started later".to_owned()),
                _ => None,
            };
            if let Some(lost) = lost {
                return lost;
            }
        }
        "alike, and its name comes later".to_owned()
    }
}

impl Choice {
    /// The same choice, with the bytes that the node lacks, if known.
    #[must_use]
    pub fn lacking(self, lacks: Option<u64>) -> Self {
        Self { lacks, ..self }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.merit)?;
        if let Some(bytes) = self.lacks {
            write!(f, " (lacks {bytes} bytes)")?;
        }
        write!(f, ", priority {}", self.priority)?;
        for (other, why) in &self.others {
            write!(f, "; {other} not: {why}")?;
        }
        f.write_str(&not_considered_in_words(&self.not_considered))
    }
}
