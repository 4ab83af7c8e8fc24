//! Bounded loss (RK-9): the demand for replicas at the primary, and its restoration.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::builder::{Cluster, NOW, addr, cluster, history};
use super::model::{Model, UNTOUCHED};
use super::properties::{events, models};
use crate::domain::command_history::CommandFailure;
use crate::domain::facts::{MinReplicas, NodeFacts, Role};
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::observed::Topology;
use crate::domain::plan::{Action, Hold, StateChange};
use crate::domain::policy::WriteSafety;

const MAX_LAG: u32 = 2;

/// The demand for a primary in a cluster of three nodes.
const ONE: MinReplicas = MinReplicas {
    to_write: 1,
    max_lag: MAX_LAG,
};

/// `a` with replicas `b` and `c`, all linked. Every node has settings of its own.
fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster.published("a").linked("a", 2).majority();
    ["a", "b", "c"]
        .into_iter()
        .fold(cluster, |cluster, name| cluster.says(name, UNTOUCHED))
}

/// The same cluster, with the demanded settings at the primary.
fn armed() -> Cluster {
    trio().recorded("a", UNTOUCHED).says("a", ONE)
}

impl Cluster {
    fn majority(self) -> Self {
        self.policy(|policy| policy.write_safety = WriteSafety::Majority { max_lag: MAX_LAG })
    }

    fn off(self) -> Self {
        self.policy(|policy| policy.write_safety = WriteSafety::None)
    }

    fn linked(self, name: &str, online_replicas: usize) -> Self {
        self.with(name, |facts| {
            facts.role = Role::Primary { online_replicas };
        })
    }

    fn says(self, name: &str, values: MinReplicas) -> Self {
        self.observation(name, |observation| {
            observation.min_replicas = Some(Ok(values));
        })
    }

    fn recorded(mut self, name: &str, former: MinReplicas) -> Self {
        let state = self.observed.published.as_mut().unwrap();
        state.former_min_replicas.insert(addr(name), former);
        self
    }

    fn assert_sets(&self, name: &str, values: MinReplicas) {
        let node = addr(name);
        let plan = self.plan();
        assert_eq!(plan.action, Some(Action::SetMinReplicas { node, values }));
    }

    fn assert_recorded(&self, names: &[&str]) {
        let recorded = self.state().former_min_replicas.keys().cloned();
        let names: Vec<_> = names.iter().map(|name| addr(name)).collect();
        assert_eq!(recorded.collect::<Vec<_>>(), names);
    }
}

/// Otherwise a node that was the primary a moment ago would refuse every write, for the keepers' own demand.
#[test]
fn a_candidate_gets_its_former_setting_back_before_it_is_promoted() {
    let lost = || {
        let recorded = trio().recorded("b", UNTOUCHED).says("b", ONE);
        let lost = recorded.down("a").withdrawn("a");
        lost.with("c", |c| c.offset -= 100)
    };
    lost().assert_sets("b", UNTOUCHED);
    lost().says("b", UNTOUCHED).plan().assert_promotes("b");
    let mut refused = lost();
    let failure = CommandFailure {
        at: NOW,
        times: 1,
        why: "NOPERM".to_owned(),
        cuts: 0,
        through: BTreeSet::new(),
    };
    refused
        .observed
        .commands
        .settings
        .insert(addr("b"), failure);
    refused.plan().assert_promotes("b");
}

#[test]
fn without_write_safety_no_setting_is_touched_whatever_it_is() {
    trio().off().assert_settled();
    trio().off().says("a", ONE).assert_settled();
}

#[test]
fn the_former_setting_is_published_before_it_is_changed() {
    let cluster = trio().written(StateChange::Note);
    assert_eq!(
        cluster.state().former_min_replicas,
        [(addr("a"), UNTOUCHED)].into()
    );
    cluster.assert_sets("a", ONE);
    armed().assert_settled();
}

#[test]
fn a_primary_that_is_as_it_should_be_by_itself_is_left_so() {
    trio().says("a", ONE).assert_settled();
}

#[test]
fn half_of_the_data_nodes_is_demanded_rounded_down_and_further_names_do_not_count() {
    let demanded = |replicas: &[&str]| {
        let cluster = replicas
            .iter()
            .fold(cluster().primary("a"), |it, name| it.replica(name, "a"));
        let cluster = cluster
            .published("a")
            .linked("a", replicas.len())
            .majority();
        let cluster = cluster.says("a", UNTOUCHED).recorded("a", UNTOUCHED);
        match cluster.plan().action {
            Some(Action::SetMinReplicas { values, .. }) => values.to_write,
            Some(Action::Write { .. }) => 0,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(demanded(&[]), 0);
    assert_eq!(demanded(&["b"]), 1);
    assert_eq!(demanded(&["b", "c"]), 1);
    assert_eq!(demanded(&["b", "c", "d"]), 2);
    assert_eq!(demanded(&["b", "c", "d", "e"]), 2);

    let named_twice = trio().recorded("a", UNTOUCHED).replica("d", "a");
    let named_twice = named_twice.with("d", |d| d.run_id = "process of c".to_owned());
    named_twice.assert_sets("a", ONE);
}

#[test]
fn the_demand_follows_the_membership() {
    let five = armed().replica("d", "a").replica("e", "a").published("a");
    let five = five.recorded("a", UNTOUCHED).linked("a", 4);
    five.assert_sets(
        "a",
        MinReplicas {
            to_write: 2,
            max_lag: MAX_LAG,
        },
    );
    let stricter = MinReplicas {
        to_write: 2,
        max_lag: MAX_LAG,
    };
    armed()
        .linked("a", 0)
        .says("a", stricter)
        .assert_sets("a", ONE);
}

#[test]
fn nothing_is_demanded_of_a_primary_before_it_has_as_much() {
    let fresh = trio().linked("a", 0);
    fresh.plan().assert_holds(&Hold::TooFewReplicas {
        node: addr("a"),
        demanded: 1,
        online: 0,
    });
    fresh.assert_recorded(&[]);
    trio().linked("a", 1).written(StateChange::Note);
}

#[test]
fn a_primary_that_lost_its_replicas_goes_on_demanding_them() {
    armed().linked("a", 0).assert_settled();
}

#[test]
fn a_demand_that_an_operator_lowered_while_replicas_are_missing_is_left_until_they_are_back() {
    let lowered = armed().says("a", UNTOUCHED);
    let missing = lowered.linked("a", 0);
    assert_eq!(missing.plan().action, None);
    missing.linked("a", 1).assert_sets("a", ONE);
}

#[test]
fn a_lag_of_zero_turns_the_demand_off_and_is_not_left() {
    let off = MinReplicas {
        to_write: 1,
        max_lag: 0,
    };
    armed().says("a", off).assert_sets("a", ONE);
    let missing = armed().says("a", off).linked("a", 0).plan();
    assert_eq!(missing.action, None);
}

#[test]
fn a_demoted_primary_gets_back_what_it_had_and_then_it_is_forgotten() {
    let failed_over = cluster().primary("b").replica("a", "b").replica("c", "b");
    let failed_over = failed_over.published("b").linked("b", 2).majority();
    let failed_over = failed_over.says("a", ONE).recorded("a", UNTOUCHED);
    let failed_over = failed_over.says("b", ONE).recorded("b", UNTOUCHED);
    failed_over.assert_sets("a", UNTOUCHED);
    let restored = failed_over.says("a", UNTOUCHED).written(StateChange::Note);
    restored.assert_recorded(&["b"]);
    restored.assert_settled();
}

#[test]
fn a_former_primary_is_made_a_replica_before_anything_is_restored() {
    let back = cluster().primary("b").primary("a").replica("c", "b");
    let back = back.published("b").linked("b", 1).majority();
    let back = back.says("a", ONE).recorded("a", UNTOUCHED);
    let mut back = back.says("b", ONE).recorded("b", UNTOUCHED);
    let published = back.observed.published.as_mut().unwrap();
    let process = Some("process of a".to_owned());
    let deposed = crate::domain::published::Deposed {
        run_id: process,
        histories: vec![history("a")],
    };
    published.deposed.insert(addr("a"), deposed);
    back.plan().assert_follows(["a"], "b");
    // The setting stays even if `a` cannot be made a replica.
    let plan = back.failed("a", 0).plan();
    assert_eq!(plan.action, None, "{plan}");
}

#[test]
fn a_failover_waits_for_no_setting_and_the_record_of_the_old_primary_stays() {
    let dead = armed().down("a").written(StateChange::Withdraw);
    dead.assert_recorded(&["a"]);
    let chosen = dead.chosen();
    chosen.assert_recorded(&["a"]);
    let published = chosen.promoted("b").written(StateChange::Publish);
    published.assert_recorded(&["a"]);
    // The setting waits until the other replica follows.
    published.plan().assert_follows(["c"], "b");
}

#[test]
fn switched_off_everything_is_put_back() {
    let off = armed().recorded("c", UNTOUCHED).says("c", ONE).off();
    off.assert_sets("a", UNTOUCHED);
    let off = off.says("a", UNTOUCHED);
    off.written(StateChange::Note).assert_recorded(&["c"]);
}

#[test]
fn what_is_not_known_is_not_changed_and_it_is_said_why() {
    let unread = trio().observation("a", |a| a.min_replicas = None);
    let why = "it was not read yet".to_owned();
    let node = addr("a");
    unread
        .plan()
        .assert_holds(&Hold::MinReplicasOutOfReach { node, why });
    let refused = armed().observation("a", |a| {
        a.min_replicas = Some(Err("NOPERM no permissions".to_owned()));
    });
    let plan = refused.off().plan();
    assert_eq!(plan.action, None);
    assert!(
        plan.to_string().contains("`NOPERM no permissions`"),
        "{plan}"
    );
}

#[test]
fn a_setting_that_failed_is_tried_again_later_and_does_not_spoil_the_node_for_a_failover() {
    let mut cluster = trio().recorded("a", UNTOUCHED);
    let failure = |at| CommandFailure {
        at,
        times: 1,
        why: "no permission".to_owned(),
        cuts: 0,
        through: [].into(),
    };
    let failures = &mut cluster.observed.commands.settings;
    failures.insert(addr("a"), failure(NOW));
    failures.insert(addr("b"), failure(NOW));
    let plan = cluster.plan();
    assert_eq!(plan.action, None);
    assert_eq!(plan.again, Some(NOW.after(Duration::from_secs(1))));
    assert!(plan.to_string().contains("no permission"), "{plan}");
    let dead = cluster.down("a").written(StateChange::Withdraw);
    assert!(matches!(dead.plan().action, Some(Action::Promote { .. })));

    let mut later = trio().recorded("a", UNTOUCHED);
    let long_ago = Moment(NOW.0.saturating_sub(Duration::from_secs(1)));
    let failures = &mut later.observed.commands.settings;
    failures.insert(addr("a"), failure(long_ago));
    later.assert_sets("a", ONE);
}

/// Servers that lack the right settings although no hold says why.
fn unexplained(model: &mut Model) -> Vec<String> {
    let plan = model.settle();
    let observed = model.observe();
    let primary = observed
        .published
        .as_ref()
        .and_then(|it| it.primary.clone());
    let leads = |node: &NodeAddr| observed.online(node).is_some_and(NodeFacts::is_primary);
    let Some(primary) = primary.filter(leads) else {
        return Vec::new();
    };
    let blocked = |hold: &Hold| matches!(hold, Hold::NoneEligible { .. });
    if plan.holds.iter().any(blocked) {
        return Vec::new();
    }
    let topology = Topology::of(&observed);
    let half = u32::try_from(topology.data_nodes() / 2).unwrap();
    let said = |node: &str| {
        plan.holds
            .iter()
            .any(|hold| hold.to_string().contains(node))
    };
    let mut wrong = Vec::new();
    for (node, facts) in observed.all_online() {
        let seen = model.min_replicas[model.names[node]];
        let stands = topology.stands_for(node);
        let majority = model.policy.write_safety != WriteSafety::None && half > 0;
        let wanted = if majority && *stands == primary {
            MinReplicas {
                to_write: half,
                max_lag: MAX_LAG,
            }
        } else {
            UNTOUCHED
        };
        let left = facts.is_primary() && *stands != primary;
        if seen != wanted && !left && !said(&node.to_string()) && !said(&stands.to_string()) {
            wrong.push(format!("{node} {seen:?}, not {wanted:?}: {plan}"));
        }
    }
    wrong
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The model checks each command: the former setting is persisted, and no command stops the writes.
    #[test]
    fn at_rest_the_primary_demands_its_half_and_no_other_node_does_and_off_is_off(
        mut model in models(),
        events in events(),
    ) {
        for (steps, event) in events {
            model.live_until(steps, event);
            model.commands.settings.clear();
        }
        prop_assert_eq!(unexplained(&mut model), Vec::<String>::new());
        model.policy.write_safety = WriteSafety::None;
        prop_assert_eq!(unexplained(&mut model), Vec::<String>::new());
        let settled = model.plan().holds.is_empty();
        let all_up = model.servers.iter().all(|server| server.up && !server.loading);
        if settled && all_up {
            let left = model.published.clone().unwrap().former_min_replicas;
            prop_assert!(left.is_empty(), "{left:?}");
        }
    }
}
