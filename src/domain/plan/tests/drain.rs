//! The wait for HAProxies that may send clients to a silent primary, before another node is promoted (RK-10).

use std::time::Duration;

use super::builder::{Cluster, KEEPERS, NOW, addr, cluster};
use crate::domain::drain::{Drain, Proxy};
use crate::domain::facts::NodeFacts;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::observed::Observed;
use crate::domain::plan::{Hold, StateChange};
use crate::domain::published::Step;

const DRAIN: Duration = Duration::from_millis(1_200);

/// `a` is silent and withdrawn. All keepers acknowledged this long ago. A HAProxy says UP.
fn silent(ms_ago: u64) -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let mut cluster = cluster.down("a").withdrawn("a");
    cluster.observed.withdrawal.drain = Some(Drain {
        since: ago(ms_ago),
        last_lease: None,
        untold: [].into(),
        up: [proxy()].into(),
        more: false,
    });
    cluster
}

fn ago(ms: u64) -> Moment {
    Moment(NOW.0.saturating_sub(Duration::from_millis(ms)))
}

fn proxy() -> Proxy {
    Proxy {
        name: "lb1".to_owned(),
        backend: "cache".to_owned(),
        address: None,
    }
}

impl Cluster {
    pub(super) fn observing(mut self, change: impl FnOnce(&mut Observed)) -> Self {
        change(&mut self.observed);
        self
    }

    fn draining(self, change: impl FnOnce(&mut Drain)) -> Self {
        self.observing(|observed| change(observed.withdrawal.drain.as_mut().unwrap()))
    }

    /// `a` answers again.
    fn answering(self, change: impl FnOnce(&mut NodeFacts)) -> Self {
        self.votes("a", 0, 0).observation("a", |a| {
            a.answering = true;
            change(a.facts.as_mut().unwrap());
        })
    }

    fn assert_waits(&self, ms: u64) {
        let plan = self.plan();
        assert_eq!(plan.action, None);
        assert!(
            matches!(plan.holds[..], [Hold::Draining { .. }]),
            "{plan:?}"
        );
        assert_eq!(plan.again, Some(NOW.after(Duration::from_millis(ms))));
    }

    fn assert_promotes(&self) {
        self.plan().assert_promotes("b");
    }
}

#[test]
fn nobody_takes_over_while_a_haproxy_may_send_clients_to_the_silent_primary() {
    let plan = silent(200).plan();
    plan.assert_holds(&Hold::Draining {
        node: addr("a"),
        up: [proxy()].into(),
        untold: [].into(),
        until: NOW.after(Duration::from_secs(1)),
        drain: DRAIN,
    });
    assert_eq!(
        plan.to_string(),
        "a:6379 may still have clients that write: waiting for another 1.0 s (drain-seconds 1.2); \
         or until HAProxy says DOWN: lb1/cache"
    );
    silent(1_199).assert_waits(1);
    silent(1_200).assert_promotes();
}

#[test]
fn as_soon_as_every_haproxy_says_down_the_successor_is_promoted() {
    let down = silent(200).draining(|drain| drain.up.clear());
    down.assert_promotes();
}

#[test]
fn where_nobody_may_have_clients_yet_a_keeper_that_has_not_told_and_a_crowd_are_waited_for() {
    let untold = |drain: &mut Drain| {
        drain.up.clear();
        drain.untold.insert(KeeperId::new("keeper-2"));
    };
    let cluster = silent(200).draining(untold);
    cluster.assert_waits(1_000);
    let words = cluster.plan().to_string();
    assert!(words.ends_with("not told yet what HAProxy says by: keeper-2"));
    let overflowed = |drain: &mut Drain| (drain.up, drain.more) = ([].into(), true);
    silent(200).draining(overflowed).assert_waits(1_000);
}

#[test]
fn haproxies_of_a_silent_keeper_have_the_time_from_the_end_of_its_lease() {
    let lease_out = |ms: u64| {
        silent(0).draining(move |drain| {
            (drain.up, drain.last_lease) = ([].into(), Some(ago(ms)));
        })
    };
    lease_out(500).assert_waits(700);
    lease_out(1_200).assert_promotes();
}

#[test]
fn a_primary_whose_process_is_gone_has_no_clients_and_one_that_refuses_all_keepers_may() {
    let gone = silent(0).observing(|observed| observed.withdrawal.old_gone = true);
    gone.assert_promotes();
    let refuses = silent(0).observing(|observed| {
        let old = observed.nodes.get_mut(&addr("a")).unwrap();
        old.verdict.refused = KEEPERS;
    });
    refuses.assert_waits(1_200);
}

#[test]
fn an_old_primary_that_the_leader_does_not_probe_may_have_clients() {
    let unlisted = silent(0).observing(|observed| {
        observed.nodes.remove(&addr("a"));
    });
    unlisted.assert_waits(1_200);
}

#[test]
fn a_primary_that_answers_but_lost_its_data_is_replaced_at_once() {
    let reborn = silent(0).answering(|a| {
        (a.run_id, a.replication_id) = ("new".to_owned(), "new".to_owned());
        (a.keys, a.offset) = (0, 0);
    });
    reborn.assert_promotes();
}

#[test]
fn zero_switches_it_off() {
    let off = silent(0).policy(|policy| policy.drain = Duration::ZERO);
    off.assert_promotes();
}

#[test]
fn what_was_begun_is_past_it() {
    let cluster = silent(0);
    let begun = cluster.promoting("a", "b");
    begun.assert_promotes();
    begun
        .promoted("b")
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn a_successor_that_others_promoted_is_published_no_sooner() {
    let promoted = silent(0).promoted("b");
    promoted.assert_waits(1_200);
    let waited = silent(1_200).promoted("b").plan();
    waited.assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn the_old_primary_that_returns_whole_is_published_at_once() {
    let back = silent(0).answering(|_| {});
    back.plan().assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn an_old_primary_that_some_see_serve_while_a_majority_finds_it_unfit_may_have_clients() {
    let unfit = |change: fn(&mut NodeFacts)| silent(0).answering(change).votes("a", 1, 1);
    unfit(|_| {}).assert_waits(1_200);
    unfit(|a| a.loading = true).assert_promotes();
    unfit(|a| a.run_id = "new".to_owned()).assert_promotes();
}

#[test]
fn a_switchover_that_was_interrupted_before_writes_were_held_up_waits_like_any_other_change() {
    let begun = |switchover: bool| {
        let cluster = silent(0).answering(|_| {}).votes("a", 1, 1);
        cluster.observing(|observed| {
            let intent = observed.published.as_mut().unwrap().intent.as_mut();
            let intent = intent.unwrap();
            intent.switchover = switchover.then(|| addr("b"));
            (intent.candidate, intent.step) = (Some(addr("b")), Step::Promoting);
        })
    };
    begun(true).assert_waits(1_200);
    begun(false).assert_promotes();
    // The writes were paused before.
    let promoted = begun(true).promoted("b").plan();
    promoted.assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn leases_come_first_and_a_missing_successor_is_told_instead() {
    let leased = silent(0).unacknowledged("keeper-2").plan();
    assert!(matches!(leased.holds[..], [Hold::Unacknowledged(_)]));
    let alone = silent(0).down("b").plan();
    assert!(matches!(alone.holds[..], [Hold::NoneEligible { .. }]));
    assert_eq!(alone.again, None);
}

#[test]
fn the_time_that_is_left_makes_no_other_reason_of_it() {
    let hold = |ms_ago| silent(ms_ago).plan().holds.remove(0);
    assert_ne!(hold(100), hold(300));
    assert!(hold(100).same_as(&hold(300)));
}
