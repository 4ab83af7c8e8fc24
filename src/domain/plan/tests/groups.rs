//! Another group of keepers manages the same servers (RK-12).

use super::builder::{Cluster, addr, cluster};
use crate::domain::explain::explain;
use crate::domain::group::{GroupToken, OtherGroup, ProbeName};
use crate::domain::node::{ClusterName, KeeperId, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::plan::tests::builder::NOW;
use crate::domain::plan::{Hold, StateChange};
use crate::domain::rivals::{Astray, LeadsTo};
use crate::domain::serving::{Reason, Ruling, Serving};

/// Another group, which publishes this node.
fn other(primary: Option<&str>) -> OtherGroup {
    OtherGroup {
        group: GroupToken::drawn(2),
        keeper: KeeperId::new("x"),
        rest: NodeAddr::new("keeper-x", 46379),
        place: "zookeeper z:2181/typo".to_owned(),
        cluster: ClusterName::new("theirs"),
        primary: primary.map(addr),
    }
}

fn hold() -> Hold {
    Hold::OtherGroup(Box::new(other(Some("a"))))
}

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a")
}

trait Shared {
    /// The same cluster, managed by another group that publishes this node.
    fn shared(self, primary: Option<&str>) -> Self;

    /// The answer on `is-writable`.
    fn writable(&self, name: &str) -> Reason;
}

impl Shared for Cluster {
    fn shared(mut self, primary: Option<&str>) -> Self {
        self.observed.groups.managing = vec![other(primary)];
        self
    }

    fn writable(&self, name: &str) -> Reason {
        let addr = addr(name);
        let serving = Serving {
            observed: &self.observed,
            policy: &self.policy,
            votes_current: true,
            now: NOW,
        };
        serving.writable(&addr, &self.observed.nodes[&addr])
    }
}

#[test]
fn while_another_group_is_there_nothing_is_changed_whatever_there_would_be_to_do() {
    let orders = [
        ("a failover", trio().down("a")),
        (
            "a primary demoted from outside",
            trio().replica("a", "b").promoted("b"),
        ),
        ("a second primary", trio().promoted("b")),
        ("a promotion", trio().down("a").withdrawn("a")),
        (
            "one that was interrupted",
            trio().down("a").promoting("a", "b"),
        ),
        (
            "bookkeeping",
            cluster().primary("a").published("a").replica("b", "a"),
        ),
    ];
    for (what, cluster) in orders {
        assert!(cluster.plan().action.is_some(), "{what}");
        let plan = cluster.shared(Some("a")).plan();
        assert_eq!(plan.action, None, "{what}");
        assert_eq!(plan.holds.first(), Some(&hold()), "{what}");
        let words = plan.to_string();
        for named in ["keeper x", "keeper-x:46379", "z:2181/typo", "theirs"] {
            assert!(words.contains(named), "{words}");
        }
    }
}

#[test]
fn a_group_that_begins_publishes_what_the_other_does_and_nothing_else() {
    let begins = || cluster().primary("a").replica("b", "a");
    let plan = begins().shared(Some("a")).plan();
    assert_eq!(plan.holds.first(), Some(&hold()));
    plan.assert_writes(StateChange::Publish, Some("a"));
    for primary in [None, Some("b")] {
        assert_eq!(begins().shared(primary).plan().action, None);
    }
}

#[test]
fn a_change_that_was_begun_may_end_in_a_publication_and_in_no_command() {
    let returned = trio().withdrawn("a").shared(Some("a"));
    returned
        .plan()
        .assert_writes(StateChange::Publish, Some("a"));
    let promoted = trio().down("a").promoting("a", "b").promoted("b");
    promoted
        .shared(Some("b"))
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn an_operators_switchover_is_refused_with_the_name_of_the_other_group() {
    let mut cluster = trio().shared(Some("a"));
    let reason = String::new();
    cluster.observed.requested = Some(Requested { to: None, reason });
    let plan = cluster.plan();
    assert_eq!(plan.action, None);
    let refused = |hold: &Hold| matches!(hold, Hold::NoSwitchover(why) if why.contains("keeper x"));
    assert!(plan.holds.iter().any(refused), "{plan}");
}

#[test]
fn what_would_hold_a_failover_back_is_explained_beforehand() {
    let cluster = trio().shared(Some("a"));
    let explained = explain(&cluster.observed, &cluster.policy, NOW);
    assert_eq!(explained.held_by, [hold().to_string()]);
    assert_eq!(explained.next, Some(addr("b")));
    assert!(explained.now.contains("another group"), "{}", explained.now);
}

#[test]
fn two_groups_that_publish_the_same_primary_answer_as_one() {
    for theirs in [Some("a"), None] {
        let cluster = trio().shared(theirs);
        assert_eq!(cluster.writable("a"), Reason::Primary);
        assert_eq!(cluster.writable("b"), Reason::NotPrimary(addr("a")));
    }
}

#[test]
fn of_two_published_primaries_neither_is_writable_while_both_may_be() {
    // The split as this group sees it, and as the other group sees it.
    let split = || trio().promoted("b");
    let (here, there) = (
        split().shared(Some("b")),
        split().published("b").shared(Some("a")),
    );
    for (node, cluster) in [("a", &here), ("b", &here), ("a", &there), ("b", &there)] {
        assert_eq!(cluster.writable(node).ruling(), Ruling::Unknown, "{node}");
    }
    // A node that does not answer may be a primary, and so may a node that is unknown here.
    for theirs in ["b", "elsewhere"] {
        let unseen = trio().silent("b").shared(Some(theirs));
        assert_eq!(unseen.writable("a").ruling(), Ruling::Unknown, "{theirs}");
    }
    assert_eq!(here.writable("c"), Reason::NotPrimary(addr("a")));
}

#[test]
fn of_two_published_primaries_the_one_that_is_a_replica_is_no_obstacle() {
    let split = || trio().promoted("b").replica("a", "b").replica("c", "b");
    let (here, there) = (
        split().shared(Some("b")),
        split().published("b").shared(Some("a")),
    );
    assert_eq!(here.writable("a"), Reason::DemotedFromOutside);
    // This keeper cannot know, but a keeper of the other group does.
    assert_eq!(here.writable("b").ruling(), Ruling::Unknown);
    assert_eq!(there.writable("b"), Reason::Primary);
    assert_eq!(there.writable("a"), Reason::NotPrimary(addr("b")));
}

#[test]
fn a_name_that_leads_astray_is_told_and_holds_nothing() {
    let mut cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster = cluster.published("a");
    let astray = Astray {
        leads_to: LeadsTo::OwnGroup(KeeperId::new("k1")),
        name: ProbeName {
            group: GroupToken::drawn(9),
            keeper: KeeperId::new("x"),
            rest: addr("k1"),
        },
        nodes: [addr("a")].into(),
    };
    cluster.observed.groups.astray = vec![astray.clone()];
    let hold = Hold::Astray {
        first: Box::new(astray),
        more: 0,
    };
    let plan = cluster.plan();
    assert_eq!((&plan.action, &plan.holds[..]), (&None, &[hold][..]));
    let told = explain(&cluster.observed, &cluster.policy, NOW);
    assert!(
        told.now.contains("keeper k1 of this group answers there"),
        "{}",
        told.now
    );
    assert_eq!(told.held_by, [""; 0]);
    let plan = cluster.down("a").plan();
    assert!(plan.action.is_some(), "{plan}");
}
