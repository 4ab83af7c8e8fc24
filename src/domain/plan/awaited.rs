//! A replica that may hold more of the data than all that could take over now (RK-6).

use super::super::election::{Election, Refusal, Standard, merit, priority};
use super::super::lineage::held;
use super::super::published::{Intent, Published, Step};
use super::{Case, Hold, Plan};

/// A replica that would be chosen for what was last read of it does not answer at the moment: it is waited for, rather than what it
/// alone holds be lost. One that hangs is held down by a majority within the mark-down time; one that is merely slow answers. So is
/// one that failed a command a moment ago, as one that stands still does.
pub(super) fn may_hold_more(
    case: &Case<'_>,
    published: &Published,
    intent: &Intent,
    election: &Election,
) -> Option<Plan> {
    let (observed, lineage) = (case.observed, &published.lineage);
    let (begun, patience) = (observed.published_at?, observed.limits.mark_down);
    let best = election.ranking.first()?;
    // One that somebody promoted by hand may show nothing.
    let ours = held(observed.online(best)?, lineage).unwrap_or((usize::MAX, 0));
    let rank = |addr, facts| {
        let standard = Standard::of(case.policy);
        merit(observed, (addr, facts), lineage, case.policy, standard)
    };
    let best_rank = rank(best, observed.online(best)?);
    let silent = election
        .refusals
        .iter()
        .filter(|(_, refusal)| refusal.may_pass() || matches!(refusal, Refusal::FailedLately(_)));
    let mut silent = silent.filter_map(|(addr, why)| Some((addr, observed.nodes.get(addr)?, why)));
    let (addr, doubt, until, theirs) = silent.find_map(|(addr, node, refusal)| {
        let (doubt, until) = match refusal {
            // It has its mark-down time once more: it is left alone in between.
            Refusal::FailedLately(why) => (why.clone(), begun.after(2 * patience)),
            _ => (node.sighting.trouble_in_words(), begun.after(patience)),
        };
        let last = node
            .last_known()
            .filter(|_| node.sighting.unproven.is_none())?;
        let theirs = held(last, lineage).filter(|theirs| has_more(*theirs, ours))?;
        let chosen = rank(addr, last) < best_rank && priority(addr, last, case.policy) > 0;
        chosen.then_some((addr, doubt, until, theirs))
    })?;
    let waits = intent.step == Step::Withdrawn && case.now < until;
    waits.then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::MayHoldMore {
            node: addr.clone(),
            doubt,
            best: best.clone(),
            bytes: (theirs.0 == ours.0).then(|| theirs.1 - ours.1),
        })
    })
}

/// Whether the first has more of the lineage than the second: a generation and its extent each.
fn has_more(theirs: (usize, u64), ours: (usize, u64)) -> bool {
    theirs.0 < ours.0 || theirs.0 == ours.0 && theirs.1 > ours.1
}
