//! A replica that may hold more of the data than every node that could take over now (RK-6).

use super::super::election::{Election, Ineligibility, Ranking, merit, priority};
use super::super::lineage::held;
use super::super::published::{Intent, Published, Step};
use super::super::unproven::Unproven;
use super::{Hold, Plan, Situation};

/// The hold while a better replica, by its last facts, does not answer or has just failed a command. The leader waits
/// rather than lose data that only this replica holds.
/// - A replica that hangs is held down by a majority within the mark-down time.
/// - A replica that is only slow answers before that.
/// - A replica that failed a command may hang, too. The leader waits for it for twice the mark-down time at most.
pub(super) fn may_hold_more(
    situation: &Situation<'_>,
    published: &Published,
    intent: &Intent,
    election: &Election,
) -> Option<Plan> {
    let (observed, lineage) = (situation.observed, &published.lineage);
    let (begun, patience) = (observed.published_at?, observed.limits.mark_down);
    let best = election.ranking.first()?;
    // A node that somebody promoted by hand may hold nothing of the lineage.
    let ours = held(observed.online(best)?, lineage).unwrap_or((usize::MAX, 0));
    let rank = |addr, facts| {
        let standard = Ranking::of(situation.policy);
        merit(observed, (addr, facts), lineage, situation.policy, standard)
    };
    let best_rank = rank(best, observed.online(best)?);
    let silent = election.refusals.iter().filter(|(_, refusal)| {
        refusal.may_pass() || matches!(refusal, Ineligibility::FailedLately(_))
    });
    let mut silent = silent.filter_map(|(addr, why)| Some((addr, observed.nodes.get(addr)?, why)));
    let (addr, why_undecided, until, theirs) = silent.find_map(|(addr, node, refusal)| {
        let (why_undecided, until) = match refusal {
            // After the failed command the replica is left alone for a while. So it gets the mark-down time once
            // more.
            Ineligibility::FailedLately(why) => (why.clone(), begun.after(2 * patience)),
            _ => (node.observation.trouble_in_words(), begun.after(patience)),
        };
        // A process that ended does not come back with what it had in memory alone.
        let ended = |it: &Unproven| it.refused.is_some();
        let last = node
            .last_known()
            .filter(|_| !node.observation.unproven.as_ref().is_some_and(ended))?;
        let theirs = held(last, lineage).filter(|theirs| has_more(*theirs, ours))?;
        let chosen = rank(addr, last) < best_rank && priority(addr, last, situation.policy) > 0;
        chosen.then_some((addr, why_undecided, until, theirs))
    })?;
    let waits = intent.step == Step::Withdrawn && situation.now < until;
    waits.then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::MayHoldMore {
            node: addr.clone(),
            why_undecided,
            best: best.clone(),
            bytes: (theirs.0 == ours.0).then(|| theirs.1 - ours.1),
        })
    })
}

/// Whether the first holds more of the lineage than the second. Each is a pair: promotions back, and bytes of that
/// history.
fn has_more(theirs: (usize, u64), ours: (usize, u64)) -> bool {
    theirs.0 < ours.0 || theirs.0 == ours.0 && theirs.1 > ours.1
}
