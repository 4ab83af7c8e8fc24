//! Tests of when votes, figures and names count.

use std::time::Duration;

use super::*;
use crate::actors::cluster_api::{NodeRef, Question, Reason, RunCheck};
use crate::domain::lease::Lease;
use crate::domain::liveness::DownReason;
use crate::domain::published::Published;
use crate::domain::report::KeeperReport;

fn node() -> NodeAddr {
    NodeAddr::new("a", 1)
}

fn state() -> State {
    state_of(node())
}

fn state_of(node: NodeAddr) -> State {
    let settings = ClusterSettings {
        name: ClusterName::new("cache"),
        keeper: KeeperId::new("me"),
        policy: Arc::default(),
        read_lease: Duration::ZERO,
        limits: Limits {
            mark_down: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(1),
            busy: None,
        },
    };
    State::new(settings, [node], Moment::default())
}

/// A state in which these keepers are online, and `me` votes the node down.
fn voted<const COUNT: usize>(keepers: [&str; COUNT], relisting: bool) -> SharedState {
    let report = KeeperReport {
        votes: [(node(), DownReason::Refused)].into(),
        ..KeeperReport::default()
    };
    SharedState {
        reports: [(KeeperId::new("me"), report)].into(),
        keepers: keepers.map(KeeperId::new).into(),
        relisting,
        ..SharedState::default()
    }
}

#[test]
fn a_vote_counts_for_nothing_until_it_is_known_of_whom_it_is_to_be_a_majority() {
    let mut state = state();
    let mut down = |shared: SharedState| {
        state.shared(&shared.into(), Moment::default());
        state.reconsider(Moment::default());
        state.observed.nodes[&node()].verdict.down()
    };
    assert!(!down(voted(["me"], true)), "another one may have come");
    assert!(!down(voted(["me", "other"], false)));
    assert!(down(voted(["me"], false)));
    assert!(down(voted(["me"], true)), "what was counted stands");
    assert!(!down(voted(["me", "other"], false)));
}

#[test]
fn figures_for_display_are_taken_in_and_what_matters_is_left_to_be_told() {
    let mut state = state();
    let later = Moment(Duration::from_secs(9));
    let seen = |order, refused| NodeObservation {
        order: (Moment::default(), order),
        refused,
        ..NodeObservation::unknown(later)
    };
    state.measured(&node(), seen(2, false));
    assert_eq!(state.observed.nodes[&node()].observation.at, later);
    state.measured(&node(), seen(3, true));
    assert!(!state.observed.nodes[&node()].observation.refused);
    state.node_observed(&node(), seen(3, true));
    assert!(state.observed.nodes[&node()].observation.refused);
}

#[test]
fn votes_from_before_an_outage_take_no_published_primary_from_its_clients_while_they_are_counted_again()
 {
    let mut state = state();
    let lease = Lease::Earned(Moment::default().after(Duration::from_secs(1)));
    let mut writable = |relisting| {
        let published = Published {
            primary: Some(node()),
            ..Published::default()
        };
        let shared = SharedState {
            published: Some(published),
            ..voted(["me"], relisting)
        };
        state.shared(&shared.into(), Moment::default());
        state.reconsider(Moment::default());
        let view = state.node_view(&node(), lease, Moment::default());
        view.expect("a node of the file").writable
    };
    let refused = Reason::RefusedByMajority {
        refused: 1,
        keepers: 1,
    };
    assert_eq!(writable(false), refused);
    assert_eq!(writable(true), Reason::Primary);
    assert_eq!(writable(false), refused);
}

#[test]
fn a_node_that_the_file_lacks_is_no_firm_no_before_this_keeper_is_up_to_date() {
    let mut state = state();
    let node = NodeRef {
        server_name: Some("b:1".to_owned()),
        address: None,
        leads_to: None,
    };
    let ask = RunCheck {
        question: Question::Writable,
        node: Arc::new(node),
        proxy_check: None,
    };
    let lease = Lease::Earned(Moment::default().after(Duration::from_secs(1)));
    let now = Moment::default();
    assert_eq!(state.answer(&ask, lease, now).reason, Reason::NoState);
    state.shared(&voted(["me"], false).into(), now);
    let answer = |lease| state.answer(&ask, lease, now).reason;
    assert_eq!(answer(lease), Reason::NoSuchNode);
    assert_eq!(answer(Lease::default()), Reason::NoLease);
}

#[test]
fn only_keepers_that_probe_the_node_confirm_a_withdrawal() {
    let mut state = state();
    let lacks = KeeperReport {
        unprobed: [node()].into(),
        ..KeeperReport::default()
    };
    let absent = KeeperReport {
        absent: true,
        ..KeeperReport::default()
    };
    let mut shared = voted(["me", "other", "lacks", "absent"], false);
    shared.published = Some(Published {
        primary: Some(node()),
        ..Published::default()
    });
    for (keeper, report) in [("lacks", lacks), ("absent", absent)] {
        shared.reports.insert(KeeperId::new(keeper), report);
    }
    state.shared(&shared.into(), Moment::default());
    assert_eq!(state.poll_result(1).voters, 2);
}

#[test]
fn a_keeper_says_that_its_file_lacks_a_node_only_once_its_name_is_known_to_be_none_of_its_own() {
    let mut state = state_of(NodeAddr::new("10.0.0.1", 1));
    let named = |host: &str, port| {
        let report = KeeperReport {
            votes: [(NodeAddr::new(host, port), DownReason::Refused)].into(),
            ..KeeperReport::default()
        };
        SharedState {
            reports: [(KeeperId::new("other"), report)].into(),
            keepers: ["me", "other"].map(KeeperId::new).into(),
            ..SharedState::default()
        }
    };
    let mut lacks = |host: &str, port, resolved: Option<&str>| {
        state.shared(&named(host, port).into(), Moment::default());
        if let Some(ip) = resolved {
            let addresses = [ip.parse().expect("an address")].into();
            state.resolved(host.to_owned(), addresses);
        }
        !state.report(Moment::default()).unprobed.is_empty()
    };
    assert!(!lacks("redis-1", 1, None), "it may be 10.0.0.1");
    assert!(!lacks("redis-1", 1, Some("10.0.0.1")), "it is");
    assert!(lacks("redis-2", 1, Some("10.0.0.2")));
    assert!(lacks("redis-3", 2, None), "another port is another node");
    assert!(lacks("10.0.0.4", 1, None));
    // The own node's name does not resolve: it is not known yet which node it is.
    let mut state = state_of(NodeAddr::new("nowhere", 1));
    state.shared(&named("10.0.0.4", 1).into(), Moment::default());
    assert!(state.report(Moment::default()).unprobed.is_empty(), "yet");
    let observation = &mut state
        .observed
        .nodes
        .values_mut()
        .next()
        .expect("one")
        .observation;
    observation.probed = true;
    assert!(!state.report(Moment::default()).unprobed.is_empty());
}

#[test]
fn a_node_whose_name_was_never_resolved_is_unread() {
    let unread = |node: NodeAddr, change: fn(&mut NodeObservation)| {
        let mut state = state_of(node.clone());
        change(
            &mut state
                .observed
                .nodes
                .get_mut(&node)
                .expect("listed")
                .observation,
        );
        !state.report(Moment::default()).unread.is_empty()
    };
    let named = || NodeAddr::new("redis-1", 1);
    let tried = |observation: &mut NodeObservation| observation.probed = true;
    assert!(unread(named(), tried));
    assert!(!unread(named(), |_| {}), "not tried yet");
    assert!(!unread(NodeAddr::new("10.0.0.1", 1), tried), "an address");
    let found = |observation: &mut NodeObservation| {
        observation.probed = true;
        observation.addresses = ["10.0.0.1".parse().expect("an address")].into();
    };
    assert!(!unread(named(), found), "its address is known");
}
