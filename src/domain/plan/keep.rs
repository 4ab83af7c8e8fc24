//! A primary is published: the leader replaces it if it is down, and otherwise keeps the other nodes following it.

use super::super::facts::{Link, Mode, NodeFacts, Upstream};
use super::super::hindrance::HindranceKind;
use super::super::lineage::promotions_back;
use super::super::liveness::DownReason;
use super::super::node::{Moment, NodeAddr};
use super::super::observed::{Observed, ObservedNode};
use super::super::policy::ChainedReplicas;
use super::super::published::Published;
use super::confirmation::{note_flapping, unconfirmed};
use super::stranger::{self, Stranger};
use super::{
    Action, Hold, Plan, Situation, StateChange, breaker, by_hand, hindrance, publishing, rebirth,
    shutdown, switchover, withdrawing, write_safety,
};

pub(super) fn keep(situation: &Situation<'_>, published: &Published, primary: &NodeAddr) -> Plan {
    note_flapping(
        situation,
        primary,
        keep_or_replace(situation, published, primary),
    )
}

fn keep_or_replace(situation: &Situation<'_>, published: &Published, primary: &NodeAddr) -> Plan {
    let observed = situation.observed;
    let Some(node) = observed.nodes.get(primary) else {
        let voters = observed.unlisted.get(primary).map_or(0, |it| it.voters);
        return Plan::hold(Hold::NotInFile {
            node: primary.clone(),
            voters,
        });
    };
    if node.verdict.unfit_as_primary() {
        let seen = observed.impostor_in_words(situation.now);
        let busy = node.observation.vote == Some(DownReason::Busy);
        let busy = busy.then(|| "it has answered nothing but BUSY for busy-seconds".to_owned());
        let why = seen.or(busy);
        let why = why.unwrap_or_else(|| "a majority of the keepers holds it down".to_owned());
        let (successor, plan) = withdrawal(situation, published, primary, &why);
        let Some(successor) = successor else {
            return plan;
        };
        let held = cooling_down(situation, published, primary)
            .or_else(|| unconfirmed(situation, primary, &successor));
        return held.unwrap_or_else(|| for_good(situation, plan, successor));
    }
    let Some(facts) = node.answering() else {
        return Plan::hold(Hold::Undecided(vec![node.why_undecided(primary)]));
    };
    if node.live().is_some() && facts.loading {
        return Plan::hold(Hold::PrimaryLoading(primary.clone()));
    }
    if let Some(plan) = breaker::turn(situation, published) {
        return plan;
    }
    let held = breaker::hold(situation, published);
    let demoted = facts
        .upstream()
        .and_then(|_| situation.topology.upstream_of(primary));
    let unfit = if let Some(other) = situation.topology.aliases().get(primary) {
        format!("its name leads to {other}")
    } else if let Some((what, otherwise)) = no_primary(primary, node, facts, demoted) {
        match impostor(situation, published, (primary, node, facts), otherwise) {
            Ok(()) => format!("another process answers there, and it is {what}"),
            Err(left) => return *left,
        }
    } else if let Some(other) = demoted {
        if let Some(held) = held.and_then(|held| breaker::hold_of_demoted(situation, held)) {
            return held;
        }
        format!("it was made a replica of {other} from outside")
    } else if published.is_stranger(facts) {
        match stranger::judge(situation, published, primary) {
            Stranger::Stays(plan) => return *plan,
            Stranger::Fails(_) if node.through().is_some() => return not_read_here(primary, node),
            Stranger::Fails(heir) if facts.keys == 0 => less_data(&heir),
            Stranger::Fails(heir) => format!(
                "another process answers there, with data of another history, while {heir} holds the cluster's"
            ),
        }
    } else if let Some(whole) = rebirth::holder_of_more(situation, published, primary, facts) {
        if node.through().is_some() {
            return not_read_here(primary, node);
        }
        less_data(&whole)
    } else if let Some(held) = rebirth::awaiting_holder(situation, published, primary, facts) {
        return held;
    } else if let Some(held) = by_hand::both_went_on(situation, published, primary, facts) {
        return held;
    } else if let Some(requested) = &observed.requested {
        return match held {
            Some(held) => held.refusing_a_switchover(situation.now),
            None => switchover::begin(situation, published, primary, facts, requested),
        };
    } else if let Some(plan) =
        shutdown::turn(situation, published, primary, facts).filter(|_| held.is_none())
    {
        return plan;
    } else if let Some(held) = held {
        let plan = settle(situation, published, primary, facts);
        return breaker::left_of(situation, plan, held);
    } else {
        let plan = settle(situation, published, primary, facts);
        return hindrance::see_to(situation, published, primary, facts, plan);
    };
    if observed
        .published_at
        .is_some_and(|published| node.observation.at < published)
    {
        // The answer may be from before the primary's promotion.
        let silent = "it has not answered since it was published".to_owned();
        return Plan::hold(Hold::Undecided(vec![(primary.clone(), silent)]));
    }
    let (successor, plan) = withdrawal(situation, published, primary, &unfit);
    // A keeper's own host may lead it to another process. So other keepers are asked before the withdrawal.
    let replaced = published.is_replaced_by(facts);
    let asked = successor.filter(|_| replaced);
    let held = asked.and_then(|successor| unconfirmed(situation, primary, &successor));
    held.unwrap_or(plan)
}

/// The reason why the node at the published address can be no primary, whatever its data, if so. With the reason
/// comes the hold for the case that the node is left alone.
fn no_primary(
    primary: &NodeAddr,
    node: &ObservedNode,
    facts: &NodeFacts,
    demoted: Option<&NodeAddr>,
) -> Option<(String, Hold)> {
    if facts.mode != Mode::Standalone {
        let hold = Hold::Undecided(vec![node.why_undecided(primary)]);
        return Some(("no plain Redis server".to_owned(), hold));
    }
    let outside = &facts.upstream().filter(|_| demoted.is_none())?.primary;
    let hold = Hold::ReplicatesFromOutside {
        node: primary.clone(),
        primary: outside.clone(),
    };
    Some((format!("a replica of {outside}"), hold))
}

/// Decides whether such a node is to be replaced. `Ok` if both hold: it is another process than the published one,
/// and another node holds the cluster's newest data (RK-7). `Err` has the plan otherwise: the node is left alone, and
/// never accepted.
fn impostor(
    situation: &Situation<'_>,
    published: &Published,
    (primary, node, facts): (&NodeAddr, &ObservedNode, &NodeFacts),
    otherwise: Hold,
) -> Result<(), Box<Plan>> {
    if !published.is_replaced_by(facts) {
        return Err(Box::new(Plan::hold(otherwise)));
    }
    match stranger::judge(situation, published, primary) {
        Stranger::Fails(_) if node.through().is_none() => Ok(()),
        Stranger::Fails(_) => Err(Box::new(not_read_here(primary, node))),
        Stranger::Stays(mut plan) => {
            plan.action = None;
            plan.holds.insert(0, otherwise);
            Err(plan)
        }
    }
}

fn less_data(holder: &NodeAddr) -> String {
    format!("it came back with less data than {holder} holds")
}

/// The hold for a primary that only another keeper reads. Its facts may be older than the facts of the other nodes.
/// The primary's new history is not noted before that is settled. Otherwise nothing would show any more that it has
/// lost data.
fn not_read_here(primary: &NodeAddr, node: &ObservedNode) -> Plan {
    Plan::hold(Hold::Undecided(vec![node.why_undecided(primary)]))
}

/// The best successor, and the withdrawal of the primary in its favour. Without a successor, or if the change would
/// wait for silent keepers, the hold: the primary stays published, and serves again once it is back.
fn withdrawal(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    why: &str,
) -> (Option<NodeAddr>, Plan) {
    let state = withdrawing(
        situation,
        published,
        Some(primary),
        format!("{primary}: {why}"),
    );
    // A primary that is up, and was demoted from outside, may be chosen again.
    let replaced = Some(primary).filter(|primary| !situation.demoted(primary));
    let election = situation.elect(&state.lineage, replaced);
    let Some(successor) = election.ranking.into_iter().next() else {
        let held = Plan::hold(Hold::NoneEligible {
            replaced: Some(primary.clone()),
            refusals: election.refusals,
        });
        return (None, held);
    };
    if let Some((hold, until)) = situation.silent_keepers(false) {
        // Without a withdrawal the primary serves again once it is back. After one, another process there would not.
        let held = Plan {
            again: Some(until),
            ..Plan::hold(hold)
        };
        return (None, held);
    }
    (Some(successor), Plan::write(StateChange::Withdraw, state))
}

/// Adds the successor to the withdrawal of a primary that flaps. Otherwise the primary would be back before another
/// node is promoted, and be published again.
fn for_good(situation: &Situation<'_>, mut plan: Plan, successor: NodeAddr) -> Plan {
    let observed = situation.observed;
    if let Some(Action::Write { state, .. }) = &mut plan.action
        && let Some(intent) = &mut state.intent
        && observed
            .confirmation
            .answers_too_often(observed.limits, situation.now)
    {
        intent.candidate = Some(successor);
        intent.reason += ", again and again";
    }
    plan
}

impl Situation<'_> {
    /// Keepers for which a change of primary waits beyond their leases, if there are any. With the hold comes the
    /// moment at which the first of them is out.
    pub(super) fn silent_keepers(&self, withdrawn: bool) -> Option<(Hold, Moment)> {
        let going_on = self.observed.withdrawal.unacknowledged.going_on.iter();
        let going_on = going_on.filter(|(_, until)| self.now < **until);
        let until = going_on
            .clone()
            .map(|(keeper, until)| (keeper.clone(), *until))
            .collect();
        let first = going_on.map(|(_, until)| *until).min()?;
        Some((Hold::SilentKeepers { until, withdrawn }, first))
    }
}

/// The hold for a `primary` that is down, but was promoted by a failover only a moment ago. Two failovers in a row
/// hint at a fault that no successor cures, and each costs writes. The leader does not hold in these cases:
/// - No node has followed the primary yet, so its failover is not complete.
/// - The primary was demoted from outside.
/// - Another node was promoted by hand.
fn cooling_down(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
) -> Option<Plan> {
    let (observed, cooldown) = (situation.observed, situation.policy.failover_cooldown);
    let facts = observed.nodes.get(primary)?.observation.facts.as_ref();
    let demoted = facts.is_some_and(|facts| !facts.is_primary());
    let by_hand = situation.members().any(|(addr, facts)| {
        let ours = promotions_back(facts, &published.lineage).is_some()
            || observed.promoted_by_hand(addr, facts);
        addr != primary && facts.is_primary() && ours
    });
    let last_failover = observed.last_failover.as_ref()?;
    let end = last_failover.at.after(cooldown);
    let complete = last_failover.primary == *primary && last_failover.followed;
    (complete && !demoted && !by_hand && situation.now < end).then(|| Plan {
        again: Some(end),
        ..Plan::hold(Hold::CoolingDown {
            node: primary.clone(),
            replaced: last_failover.replaced.clone(),
            generation: last_failover.generation,
            until: end,
            cooldown,
        })
    })
}

/// The plan for a primary that is well: repoint every node that does not follow it, then note changes in the
/// published state.
fn settle(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Plan {
    let mut holds = Vec::new();
    let (mut rivals, mut astray) = (Vec::new(), Vec::new());
    let mut syncing = 0;
    for (addr, other) in situation.members().filter(|(addr, _)| *addr != primary) {
        if situation.observed.is_astray_by_itself(addr) {
            holds.push(Hold::FollowsAnother {
                node: addr.clone(),
                primary: primary.clone(),
            });
            continue;
        }
        if in_place(situation, addr, primary) {
            syncing += usize::from(other.upstream().is_some_and(|upstream| upstream.syncing));
            let unlinked = |upstream: &Upstream| upstream.link != Link::Up && !upstream.syncing;
            if other.upstream().is_some_and(unlinked) {
                holds.push(Hold::NotLinked(addr.clone()));
            }
            continue;
        }
        if !ours(situation, published, facts, (addr, other)) {
            holds.push(Hold::Unrelated {
                kept: primary.clone(),
                other: addr.clone(),
            });
            continue;
        }
        if is_busy(situation.observed, addr) {
            // The node refuses every command, and is repointed as soon as its script ends.
            continue;
        }
        match situation.observed.failed_lately(addr, situation.now) {
            Some(failure) => holds.push(Hold::FailedLately {
                node: addr.clone(),
                why: failure.why.clone(),
            }),
            None if other.is_primary() => rivals.push(addr.clone()),
            None => astray.push(addr.clone()),
        }
    }
    let waiting = astray.split_off(
        astray
            .len()
            .min(situation.policy.parallel_syncs.saturating_sub(syncing)),
    );
    // Another primary may take writes that it is going to lose. So `parallel-syncs` does not delay it.
    rivals.append(&mut astray);
    let astray = rivals;
    if !waiting.is_empty() && astray.is_empty() {
        holds.push(Hold::ReplicasWaiting(waiting));
    }
    let mut state = publishing(situation, published, primary);
    // No node copies a history before the history is noted. Otherwise a node that alone held the history later would
    // not count as the cluster's.
    let unnoted = state.run_id != published.run_id || state.lineage != published.lineage;
    let mut again = None;
    let action = if astray.is_empty() || unnoted {
        let safety = write_safety::keep(situation, published, primary, facts);
        state.former_min_replicas = safety.former;
        holds.extend(safety.holds);
        again = safety.again;
        let note = (state != *published).then_some(Action::Write {
            state,
            change: if rebirth::has_lost_data(situation, published, facts) {
                StateChange::Accept
            } else {
                StateChange::Note
            },
        });
        note.or(safety.command)
    } else {
        let through = |addr: &NodeAddr| Some((addr.clone(), situation.through(addr)?.clone()));
        Some(Action::Follow {
            through: astray.iter().filter_map(through).collect(),
            nodes: astray,
            primary: primary.clone(),
        })
    };
    Plan {
        action,
        holds,
        again,
    }
}

/// Whether a node that does not follow the primary may be made its replica. Only data that were written past the
/// keepers, or copied from elsewhere, may be lost. The node's process and data decide, never its address.
///
/// A replica has the data of the server to which it is linked. A server from outside, or an unrelated node, makes
/// these data another's. Any other replica has no data of its own.
fn ours(
    situation: &Situation<'_>,
    published: &Published,
    facts: &NodeFacts,
    (addr, other): (&NodeAddr, &NodeFacts),
) -> bool {
    let observed = situation.observed;
    let anothers = |upstream: &Upstream| {
        let root = situation
            .topology
            .root_of(addr)
            .filter(|_| situation.topology.named_by(addr).is_some());
        let root = root.and_then(|root| Some((root, observed.online(root)?)));
        let unrelated = |root: (&NodeAddr, &NodeFacts)| {
            root.1.is_primary() && !ours(situation, published, facts, root)
        };
        upstream.link == Link::Up
            && (situation.topology.named_by(addr).is_none() || root.is_some_and(unrelated))
    };
    let replica = other.upstream().is_some_and(|upstream| !anothers(upstream));
    replica
        || other.keys == 0
        || promotions_back(other, &published.lineage).is_some()
        || other.shares_history(facts)
        || published.comes_back(addr, other)
        || observed.witnesses.own.related.contains(addr, other)
        || situation.observed.was_replica(addr, other)
        || situation.policy.settle_unrelated
}

fn is_busy(observed: &Observed, addr: &NodeAddr) -> bool {
    let node = observed.nodes.get(addr);
    node.is_some_and(|node| node.observation.hindered(HindranceKind::Busy).is_some())
}

/// Whether the replica follows the primary, as `chained-replicas` has it.
fn in_place(situation: &Situation<'_>, addr: &NodeAddr, primary: &NodeAddr) -> bool {
    let observed = situation.observed;
    let through_another = || {
        let next = situation
            .topology
            .upstream_of(addr)
            .and_then(|next| observed.online(next));
        next.is_some() && situation.topology.root_of(addr) == Some(primary)
    };
    situation.topology.follows(addr, primary)
        || (situation.policy.chained_replicas == ChainedReplicas::Accept && through_another())
}
