//! Bounded loss (RK-9): a primary that is cut off from half of its data nodes or more stops taking writes by itself.
//! Its `min-replicas-to-write` demands that many replicas.
//!
//! The code is level-triggered like every plan. The former setting is published before the setting is changed, and
//! removed after it is restored. So each leader finds there what is still to be done.

use std::collections::BTreeMap;

use super::super::facts::{MinReplicas, NodeFacts};
use super::super::node::{Moment, NodeAddr};
use super::super::observed::Topology;
use super::super::policy::{Policy, WriteSafety};
use super::super::published::Published;
use super::{Action, Hold, Plan, Situation};

/// The next steps for the settings of a cluster whose primary is well.
pub(super) struct Safety {
    /// The former settings to publish before any command.
    pub(super) former: BTreeMap<NodeAddr, MinReplicas>,
    /// The command to send once these are published.
    pub(super) command: Option<Action>,
    pub(super) holds: Vec<Hold>,
    pub(super) again: Option<Moment>,
}

/// The settings that a primary must have; `None` if keepers leave the settings alone.
pub(super) fn demanded(topology: &Topology<'_>, policy: &Policy) -> Option<MinReplicas> {
    let WriteSafety::Majority { max_lag } = policy.write_safety else {
        return None;
    };
    // Half of all nodes: a replica on the primary's side of a cut does not keep the primary writable while the rest
    // is a majority.
    let to_write = u32::try_from(topology.data_nodes() / 2).unwrap_or(u32::MAX);
    (to_write > 0).then_some(MinReplicas { to_write, max_lag })
}

/// Brings the settings of `primary` to the demanded ones, and the settings of all other nodes back to their former
/// ones. `facts` are the primary's.
pub(super) fn keep(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Safety {
    let mut safety = Safety {
        former: published.former_min_replicas.clone(),
        command: None,
        holds: Vec::new(),
        again: None,
    };
    let demanded = demanded(situation.topology, situation.policy);
    if let Some(demanded) = demanded
        && let Some(seen) = safety.seen(situation, primary)
        && seen != demanded
        && safety.may_demand(primary, facts, seen, demanded)
    {
        safety.former.entry(primary.clone()).or_insert(seen);
        safety.command(situation, primary, demanded);
    }
    for (node, former) in &published.former_min_replicas {
        let facts = situation.observed.online(node);
        // A node that is still a primary keeps refusing writes until it is made a replica.
        let to_restore = if node == primary {
            demanded.is_none()
        } else {
            facts.is_some_and(|facts| !facts.is_primary())
        };
        if !to_restore {
            continue;
        }
        match safety.seen(situation, node) {
            Some(seen) if seen == *former => {
                safety.former.remove(node);
            }
            Some(_) => safety.command(situation, node, *former),
            None => {}
        }
    }
    safety
}

/// Puts the former settings of a candidate back that keepers changed while it was the primary last. Otherwise it would
/// refuse every write from its promotion on, for as long as too few other nodes are online. A failed command does not
/// hold up the promotion.
pub(super) fn put_back(
    situation: &Situation<'_>,
    published: &Published,
    candidate: &NodeAddr,
) -> Option<Plan> {
    let former = *published.former_min_replicas.get(candidate)?;
    let observation = &situation.observed.nodes.get(candidate)?.observation;
    let seen = observation.min_replicas.as_ref()?.as_ref().ok()?;
    let failed = situation.observed.commands.settings.contains_key(candidate);
    let commandable = situation.through(candidate).is_none();
    (*seen != former && commandable && !failed).then(|| {
        Plan::act(Action::SetMinReplicas {
            node: candidate.clone(),
            values: former,
        })
    })
}

impl Safety {
    /// The node's present settings, if known; otherwise adds a hold that says why not.
    fn seen(&mut self, situation: &Situation<'_>, node: &NodeAddr) -> Option<MinReplicas> {
        let observation = &situation.observed.nodes.get(node)?.observation;
        let why = match &observation.min_replicas {
            Some(Ok(seen)) => return Some(*seen),
            Some(Err(why)) => format!("CONFIG GET is answered with `{why}`"),
            None => "it was not read yet".to_owned(),
        };
        self.holds.push(Hold::MinReplicasOutOfReach {
            node: node.clone(),
            why,
        });
        None
    }

    /// Whether the primary may be told to demand this many replicas. A stricter demand waits until enough replicas
    /// are online, so that the demand itself does not stop the writes. Otherwise it would do so in two cases:
    /// - after a failover, before the other nodes follow;
    /// - while replicas are missing, and an operator has lowered the setting for that.
    fn may_demand(
        &mut self,
        primary: &NodeAddr,
        facts: &NodeFacts,
        seen: MinReplicas,
        demanded: MinReplicas,
    ) -> bool {
        let online = facts.online_replicas();
        let met = usize::try_from(demanded.demanded()).is_ok_and(|least| online >= least);
        let may = met || demanded.demanded() <= seen.demanded();
        if !may {
            self.holds.push(Hold::TooFewReplicas {
                node: primary.clone(),
                demanded: demanded.to_write,
                online,
            });
        }
        may
    }

    /// Sets the command if there is none yet. A command that failed lately waits, with a hold.
    fn command(&mut self, situation: &Situation<'_>, node: &NodeAddr, values: MinReplicas) {
        let failures = &situation.observed.commands.settings;
        if let Some(failure) = failures
            .get(node)
            .filter(|it| situation.now < it.retry_at(false))
        {
            let retry = failure.retry_at(false);
            self.again = Some(self.again.map_or(retry, |again| again.min(retry)));
            self.holds.push(Hold::MinReplicasOutOfReach {
                node: node.clone(),
                why: format!("CONFIG SET failed and is tried again soon: {}", failure.why),
            });
        } else {
            self.command.get_or_insert_with(|| Action::SetMinReplicas {
                node: node.clone(),
                values,
            });
        }
    }
}
