//! HAProxies that may still send clients to a withdrawn primary (RK-10): what the leader asks and gathers about them,
//! and what this keeper reports.

use std::collections::BTreeSet;

use crate::actors::messages::SharedState;
use crate::domain::drain::{Drain, ProxyReport};
use crate::domain::node::{Generation, KeeperId, Moment, NodeAddr};
use crate::domain::observation::ConnectionState;
use crate::domain::observed::Observed;
use crate::domain::report::{KeeperReport, ProcessEnd};
use crate::domain::verdict::gone;

/// A withdrawal that is published now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Withdrawal<'a> {
    /// The primary that was withdrawn.
    pub(super) old: &'a NodeAddr,
    pub(super) generation: Generation,
}

/// The moment since when no keeper calls the primary of a withdrawal writable, as this keeper found while it led.
///
/// The moment stays valid without the leadership: no keeper calls that primary writable again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acknowledged {
    pub(super) generation: Generation,
    pub(super) since: Moment,
}

/// The withdrawal about whose HAProxies another keeper, the leader, asks.
pub(super) fn requested_withdrawal<'a>(
    observed: &'a Observed,
    shared: &SharedState,
    me: &KeeperId,
) -> Option<Withdrawal<'a>> {
    let mut others = shared.reports.iter().filter(|(keeper, _)| *keeper != me);
    let withdrawn = withdrawn(observed)?;
    let asks = others.any(|(_, report)| report.drains == Some(withdrawn.generation));
    asks.then_some(withdrawn)
}

/// The withdrawal that is published now.
pub(super) fn withdrawn(observed: &Observed) -> Option<Withdrawal<'_>> {
    let published = observed.published.as_ref()?;
    let old = published.intent.as_ref()?.old.as_ref()?;
    Some(Withdrawal {
        old,
        generation: published.generation,
    })
}

/// Combines what all keepers have heard of HAProxies; `own` is what this keeper has heard.
///
/// Example: keeper 2 heard lb1 and lb2 UP, keeper 3 heard lb1 DOWN. Then only lb2 is still waited for.
pub(super) fn gathered(
    Acknowledged { generation, since }: Acknowledged,
    shared: &SharedState,
    me: &KeeperId,
    own: Option<&ProxyReport>,
) -> Drain {
    let told = |keeper: &KeeperId| {
        let heard = shared.reports.get(keeper)?.heard.as_ref();
        heard.filter(|heard| heard.generation == generation)
    };
    let others = shared.reports.keys().filter(|keeper| *keeper != me);
    let all: Vec<&ProxyReport> = others.filter_map(told).chain(own).collect();
    let silent = &shared.unacknowledged.expired_silently;
    let untold = shared
        .keepers
        .iter()
        .filter(|keeper| *keeper != me && !silent.contains_key(*keeper) && told(keeper).is_none())
        // A keeper without this cluster in its file has called none of the nodes writable.
        .filter(|keeper| {
            shared
                .reports
                .get(*keeper)
                .is_none_or(|report| !report.absent)
        });
    let down: BTreeSet<_> = all.iter().flat_map(|heard| &heard.down).collect();
    let up = all.iter().flat_map(|heard| &heard.up);
    // A silent keeper cannot be asked. Its last report names the HAProxies that asked it, while its session lives.
    let followed = |keeper: &KeeperId| {
        let report = shared.reports.get(keeper);
        let followed = |it: &KeeperReport| {
            !it.overflowed && it.recent_proxies.iter().all(|proxy| down.contains(proxy))
        };
        shared.keepers.contains(keeper) && report.is_none_or(followed)
    };
    let unknown = silent.iter().filter(|(keeper, _)| !followed(keeper));
    let last_lease = unknown.map(|(_, out)| *out).max();
    Drain {
        since,
        last_lease: last_lease.max(shared.unacknowledged.last_lease),
        untold: untold.cloned().collect(),
        up: up.filter(|proxy| !down.contains(proxy)).cloned().collect(),
        more: all.iter().any(|heard| heard.more),
    }
}

/// This keeper's proof that the withdrawn primary refuses connections. Both must hold:
/// - the primary refused a probe that was sent after the withdrawal;
/// - no connection of this keeper to the primary is open.
pub(super) fn refused_since(observed: &Observed) -> Option<ProcessEnd> {
    let Withdrawal { old, generation } = withdrawn(observed)?;
    let observation = &observed.nodes.get(old)?.observation;
    let refused = observation.refused && observation.probe_sent >= observed.published_at?;
    let process = observation.process.as_ref();
    let open = process.is_some_and(|process| process.state == ConnectionState::Open);
    (refused && !open).then(|| ProcessEnd {
        generation,
        closed: process.map(|process| process.run_id.clone()),
    })
}

/// Whether the process of the withdrawn primary is gone, by the findings of all voters, this keeper included.
pub(super) fn old_gone(observed: &Observed, shared: &SharedState, me: &KeeperId) -> bool {
    let Some(Withdrawal { old, generation }) = withdrawn(observed) else {
        return false;
    };
    let published = observed.published.as_ref();
    let Some(run_id) = published.and_then(|published| published.process()) else {
        return false;
    };
    let Some(own) = refused_since(observed) else {
        return false;
    };
    let (keepers, reports) = (&shared.keepers, &shared.reports);
    gone((old, run_id), generation, keepers, reports, (me, &own))
}

/// The primary, published or withdrawn, if it refuses this keeper while another keeper already votes it down.
///
/// The report names the refusal before this keeper's own vote is due. So the leader sees early that the process is
/// gone, and does not wait for clients of that process.
pub(super) fn refused_early(
    observed: &Observed,
    shared: Option<&SharedState>,
) -> BTreeSet<NodeAddr> {
    let primary = observed.published.as_ref().and_then(|published| {
        let old = || published.intent.as_ref()?.old.as_ref();
        published.primary.as_ref().or_else(old)
    });
    let early = primary.zip(shared).filter(|(primary, shared)| {
        let observation = observed.nodes.get(*primary).map(|node| &node.observation);
        let refused = observation.is_some_and(|seen| seen.refused && seen.vote.is_none());
        let mut reports = shared.reports.values();
        refused && reports.any(|report| report.votes.contains_key(*primary))
    });
    early
        .into_iter()
        .map(|(primary, _)| primary.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::drain::Proxy;
    use crate::domain::lease::Unacknowledged;

    const N: Generation = Generation(4);
    const SINCE: Moment = Moment(Duration::from_secs(5));

    fn proxies<const COUNT: usize>(names: [&str; COUNT]) -> BTreeSet<Proxy> {
        let proxies = names.map(|name| Proxy {
            name: name.to_owned(),
            backend: "cache".to_owned(),
            address: None,
        });
        proxies.into()
    }

    fn heard<const UP: usize, const DOWN: usize>(
        up: [&str; UP],
        down: [&str; DOWN],
    ) -> ProxyReport {
        ProxyReport {
            generation: N,
            up: proxies(up),
            down: proxies(down),
            more: false,
        }
    }

    fn shared<const COUNT: usize>(told: [(&str, Option<ProxyReport>); COUNT]) -> SharedState {
        let reports = told.into_iter().map(|(keeper, heard)| {
            let report = KeeperReport {
                heard,
                ..KeeperReport::default()
            };
            (KeeperId::new(keeper), report)
        });
        SharedState {
            reports: reports.collect(),
            keepers: ["me", "2", "3"].map(KeeperId::new).into(),
            ..SharedState::default()
        }
    }

    fn gather(shared: &SharedState, own: &ProxyReport) -> Drain {
        let acknowledged = Acknowledged {
            generation: N,
            since: SINCE,
        };
        gathered(acknowledged, shared, &KeeperId::new("me"), Some(own))
    }

    #[test]
    fn a_haproxy_is_up_until_it_has_told_one_keeper_that_it_is_down() {
        let shared = shared([
            ("2", Some(heard(["lb1", "lb2"], []))),
            ("3", Some(heard([], ["lb1"]))),
        ]);
        let drain = gather(&shared, &heard(["lb1", "lb3"], []));
        assert_eq!(drain.up, proxies(["lb2", "lb3"]));
        assert_eq!((drain.untold, drain.since), (BTreeSet::new(), SINCE));
    }

    #[test]
    fn whoever_has_told_nothing_or_of_another_withdrawal_is_waited_for() {
        let old = ProxyReport {
            generation: Generation(2),
            ..heard(["lb1"], [])
        };
        let shared = shared([("2", Some(old)), ("3", None)]);
        let drain = gather(&shared, &heard([], []));
        assert_eq!(drain.untold, ["2", "3"].map(KeeperId::new).into());
        assert!(drain.up.is_empty());
    }

    #[test]
    fn a_silent_keeper_is_not_waited_for_but_haproxies_that_asked_it_have_their_time_from_the_end_of_its_lease()
     {
        let ended = Moment(Duration::from_secs(4));
        let mut shared = shared([("2", Some(heard([], [])))]);
        shared.unacknowledged = Unacknowledged {
            expired_silently: [(KeeperId::new("3"), ended)].into(),
            ..Unacknowledged::default()
        };
        let waits = |shared: &SharedState| {
            let drain = gather(shared, &heard([], ["lb1"]));
            assert!(drain.untold.is_empty() && drain.up.is_empty());
            drain.last_lease
        };
        assert_eq!(waits(&shared), None, "it was online, and told of nobody");
        let told = |recent_proxies, overflowed| KeeperReport {
            recent_proxies: proxies(recent_proxies),
            overflowed,
            ..KeeperReport::default()
        };
        let silent = || KeeperId::new("3");
        shared.reports.insert(silent(), told(["lb1"], false));
        assert_eq!(waits(&shared), None, "all who asked it say DOWN");
        shared.reports.insert(silent(), told(["lb2"], false));
        assert_eq!(waits(&shared), Some(ended), "lb2 has not said so");
        shared.reports.insert(silent(), told(["lb1"], true));
        assert_eq!(waits(&shared), Some(ended), "there were more");
        shared.reports.remove(&silent());
        shared.keepers.remove(&silent());
        assert_eq!(waits(&shared), Some(ended), "its session is over");
    }

    #[test]
    fn one_crowd_is_enough() {
        let overflowed = ProxyReport {
            more: true,
            ..heard([], [])
        };
        let shared = shared([("2", Some(overflowed)), ("3", Some(heard([], [])))]);
        assert!(gather(&shared, &heard([], [])).more);
    }
}
