//! Properties of every cluster, each checked on thousands of random clusters.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::builder::addr;
use super::model::{Event, Model, Server, name_of};
use crate::domain::facts::{NodeFacts, Role};
use crate::domain::liveness::DownReason;
use crate::domain::node::{Epoch, KeeperId, NodeAddr};
use crate::domain::observed::{Observed, Topology};
use crate::domain::plan::{Action, Hold, Plan, StateChange, plan};
use crate::domain::policy::{ChainedReplicas, Criterion, ElectionOrder, Policy, WriteSafety};
use crate::domain::published::Published;
use crate::domain::report::KeeperReport;
use crate::domain::verdict::Verdict;

const MOST: usize = 5;

fn often() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.85)
}

/// The server with this index in its cluster. The server may follow the outsider, one past the last index.
fn server(index: usize) -> impl Strategy<Value = Server> {
    let health = (
        often(),
        often(),
        often(),
        often(),
        prop_oneof![6 => Just(0), 1 => 1..4_usize],
    );
    let data = (
        prop_oneof![4 => Just(0), 1 => 1..3_u32],
        0..3_u32,
        any::<bool>(),
        0..40_u64,
    );
    let role = (
        prop::option::weighted(0.7, 0..=MOST),
        prop_oneof![4 => Just(100), 1 => 0..2_u32],
    );
    (health, data, role, prop_oneof![3 => 1..9_u64, 1 => Just(0)]).prop_map(
        move |(
            (up, ready, obeys, links, doubters),
            (data_set, age, continued, offset),
            (follows, priority),
            keys,
        )| {
            let process = u32::try_from(index).unwrap();
            Server {
                up,
                loading: !ready,
                obeys,
                links,
                doubters,
                priority,
                process,
                data_set,
                history: format!("{data_set}/{age}"),
                previous: (continued && age > 0).then(|| format!("{data_set}/{}", age - 1)),
                // The offsets differ, so that names never decide.
                offset: offset * 8 + u64::from(process),
                keys,
                follows,
                linked: false,
            }
        },
    )
}

fn servers() -> impl Strategy<Value = Vec<Server>> {
    (1..=MOST).prop_flat_map(|count| {
        let fix = move |mut servers: Vec<Server>| {
            for (index, server) in servers.iter_mut().enumerate() {
                server.follows = server
                    .follows
                    .map(|of| of.min(count))
                    .filter(|of| *of != index);
            }
            servers
        };
        (0..count).map(server).collect::<Vec<_>>().prop_map(fix)
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let lag = prop::option::weighted(0.2, 0..300_u64);
    let first = prop::option::of(prop_oneof![
        Just(Criterion::Priority),
        Just(Criterion::Uptime),
        Just(Criterion::Offset)
    ]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, 1..4_usize, lag, first).prop_map(
        |((settle, accept, majority), parallel_syncs, max_lag_bytes, first)| Policy {
            settle_unrelated: settle,
            chained_replicas: if accept {
                ChainedReplicas::Accept
            } else {
                ChainedReplicas::Correct
            },
            parallel_syncs,
            max_lag_bytes,
            election_order: ElectionOrder::beginning_with(first.as_slice()),
            write_safety: if majority {
                WriteSafety::Majority { max_lag: 2 }
            } else {
                WriteSafety::None
            },
            ..Policy::default()
        },
    )
}

/// Any cluster, in any state that a keeper may have left behind: nothing published, a primary published, or a change
/// of primary begun.
pub(super) fn models() -> impl Strategy<Value = Model> {
    let left = (
        0..4_u8,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    let alias = prop::option::weighted(0.15, any::<prop::sample::Index>());
    (servers(), policy(), left, alias, any::<bool>()).prop_map(
        |(servers, policy, (left, one, other, known), alias, replicated)| {
            let count = servers.len();
            let mut model = Model::new(servers, alias.map(|index| index.index(count)), policy);
            let primary = name_of(one.index(count));
            let server = model.server(&primary);
            let mut published = Published {
                primary: Some(primary.clone()),
                known: if known {
                    model.names.keys().cloned().collect()
                } else {
                    [primary.clone()].into()
                },
                lineage: std::iter::once(&server.history)
                    .chain(&server.previous)
                    .cloned()
                    .collect(),
                ..Published::default()
            };
            if left > 1 {
                published.primary = None;
                published.intent = Some(crate::domain::published::Intent {
                    epoch: Epoch(super::builder::EPOCH.0 - u64::from(!known)),
                    old: Some(primary),
                    old_run_id: Some(format!("process {}.{}", one.index(count), server.process)),
                    switchover: None,
                    candidate: (left == 3).then(|| name_of(other.index(count))),
                    step: if left == 3 {
                        crate::domain::published::Step::Promoting
                    } else {
                        crate::domain::published::Step::Withdrawn
                    },
                    reason: String::new(),
                });
            }
            model.published = (left > 0).then_some(published);
            if replicated {
                model.replicate();
            }
            model
        },
    )
}

pub(super) fn events() -> impl Strategy<Value = Vec<(u8, Event)>> {
    let at = || 0..MOST;
    let event = prop_oneof![
        3 => at().prop_map(Event::Dies),
        3 => at().prop_map(Event::Returns),
        1 => at().prop_map(Event::PromotedByHand),
        1 => (at(), at()).prop_filter("itself", |(a, b)| a != b).prop_map(|(a, b)| Event::MadeReplicaByHand(a, b)),
        1 => at().prop_map(Event::RebornEmpty),
    ];
    prop::collection::vec((0..8_u8, event), 0..6)
}

/// A primary that all others follow directly, with no fault anywhere.
fn healthy() -> impl Strategy<Value = Model> {
    (servers(), policy(), any::<prop::sample::Index>()).prop_map(
        |(mut servers, policy, primary)| {
            let primary = primary.index(servers.len());
            let history = servers[primary].history.clone();
            for (index, server) in servers.iter_mut().enumerate() {
                (server.up, server.loading, server.links, server.doubters) = (true, false, true, 0);
                server.follows = (index != primary).then_some(primary);
                server.history.clone_from(&history);
            }
            let mut model = Model::new(servers, None, policy);
            model.replicate();
            model
        },
    )
}

/// Every node that is up follows the published primary, or a hold says why not. Without a primary a hold says why.
fn assert_explained(model: &mut Model, plan: &Plan) {
    let observed = model.observe();
    let primary = model
        .published
        .as_ref()
        .and_then(|published| published.primary.clone());
    let leading =
        primary.filter(|primary| observed.online(primary).is_some_and(NodeFacts::is_primary));
    let Some(primary) = leading else {
        return assert!(!plan.holds.is_empty(), "nobody leads and nobody says why");
    };
    let topology = Topology::of(&observed);
    let named = |node: &NodeAddr| {
        plan.holds
            .iter()
            .any(|hold| hold.to_string().contains(&node.to_string()))
    };
    let blocked = plan
        .holds
        .iter()
        .any(|hold| matches!(hold, Hold::NoneEligible { .. }));
    for (node, _) in observed.all_online().filter(|(node, _)| **node != primary) {
        let next = topology
            .upstream_of(node)
            .and_then(|next| observed.online(next));
        let follows = next.is_some() && topology.root_of(node) == Some(&primary);
        let placed = follows || topology.aliases().contains_key(node);
        assert!(
            placed || named(node) || blocked,
            "{node} is astray: {:?}",
            plan.holds
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The model checks each action: RK-2, RK-5, RK-6, RK-7, and that no foreign data are lost.
    #[test]
    fn any_cluster_comes_to_rest_in_an_explained_state_and_stays_there(mut model in models()) {
        let last = model.settle();
        assert_explained(&mut model, &last);
        for _ in 0..3 {
            model.replicate();
            prop_assert_eq!(model.plan(), last.clone());
        }
    }

    #[test]
    fn so_does_one_to_which_things_happen_at_any_step(mut model in models(), events in events()) {
        for (steps, event) in events {
            model.live_until(steps, event);
        }
        let last = model.settle();
        assert_explained(&mut model, &last);
    }

    #[test]
    fn a_healthy_topology_is_published_without_a_command(mut model in healthy()) {
        model.policy.write_safety = WriteSafety::None;
        let mut writes = Vec::new();
        while let Some(action) = model.plan().action {
            let Action::Write { change, .. } = &action else {
                panic!("{action:?}");
            };
            writes.push(*change);
            model.apply(&action);
        }
        prop_assert_eq!(writes, [StateChange::Publish]);
    }

    #[test]
    fn when_the_primary_of_a_healthy_cluster_dies_or_is_reborn_empty_its_data_survives(
        mut model in healthy(),
        reborn in any::<bool>(),
    ) {
        model.policy.max_lag_bytes = None;
        model.settle();
        let primary = model.published.clone().unwrap().primary.unwrap();
        let before = model.server(&primary).clone();
        let index = model.names[&primary];
        let heirs = model.servers.iter().enumerate()
            .filter(|(other, server)| *other != index && server.priority > 0 && server.obeys)
            .count();
        model.happen(if reborn { Event::RebornEmpty(index) } else { Event::Dies(index) });
        // The keeper is faster than replication, which would copy the loss.
        model.servers.iter_mut().for_each(|server| server.links = false);
        model.settle();
        if heirs > 0 && (before.keys > 0 || !reborn) {
            let now = model.published.clone().unwrap().primary.unwrap();
            prop_assert_ne!(&now, &primary);
            prop_assert_eq!(model.server(&now).data_set, before.data_set);
            prop_assert_eq!(model.server(&now).keys, before.keys);
        }
    }

    #[test]
    fn names_decide_nothing_where_nothing_else_is_equal(
        mut model in models(),
        order in Just((0..MOST).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        model.names.remove(&addr("another-name"));
        model.policy.parallel_syncs = MOST;
        let observed = model.observe();
        let plain = plan(&observed, &model.policy, super::builder::NOW);
        let there = |node: &NodeAddr| {
            let index = (0..MOST).find(|index| name_of(*index) == *node);
            index.map_or_else(|| node.clone(), |index| addr(&format!("renamed-{}", order[index])))
        };
        let renamed = plan(&rename(&observed, &there), &model.policy, super::builder::NOW);
        prop_assert_eq!(essence(plain.action, &there), essence(renamed.action, &Clone::clone));
        prop_assert_eq!(plain.holds.len(), renamed.holds.len());
    }

    #[test]
    fn a_verdict_takes_more_than_half_of_the_online_keepers_and_min_votes_whoever_they_are(
        online in prop::collection::btree_set(0..9_u8, 0..8),
        votes in prop::collection::btree_set(0..9_u8, 0..9),
        min_votes in 1..4_usize,
        order in Just((0..9_u8).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let verdict = verdict(&online, &votes, min_votes);
        let against = online.intersection(&votes).count();
        prop_assert_eq!(verdict.down(), against > online.len() / 2 && against >= min_votes);
        prop_assert_eq!(verdict.seen_by_majority(), online.len() - against > online.len() / 2);
        prop_assert!(!(verdict.down() && verdict.seen_by_majority()));
        let permute = |keepers: &BTreeSet<u8>| keepers.iter().map(|keeper| order[usize::from(*keeper)]).collect();
        prop_assert_eq!(self::verdict(&permute(&online), &permute(&votes), min_votes), verdict);
    }
}

fn verdict(online: &BTreeSet<u8>, votes: &BTreeSet<u8>, min_votes: usize) -> Verdict {
    let keeper = |number: &u8| KeeperId::new(number.to_string());
    let down = KeeperReport {
        votes: BTreeMap::from([(addr("a"), DownReason::Refused)]),
        ..KeeperReport::default()
    };
    let reports = votes
        .iter()
        .map(|number| (keeper(number), down.clone()))
        .collect();
    Verdict::of(
        &addr("a"),
        &online.iter().map(keeper).collect(),
        &reports,
        min_votes,
    )
}

fn rename(observed: &Observed, there: &impl Fn(&NodeAddr) -> NodeAddr) -> Observed {
    let mut renamed = observed.clone();
    renamed.nodes = observed
        .nodes
        .iter()
        .map(|(node, seen)| (there(node), seen.clone()))
        .collect();
    for node in renamed.nodes.values_mut() {
        if let Some(Role::Replica(upstream)) =
            node.observation.facts.as_mut().map(|facts| &mut facts.role)
        {
            upstream.primary = there(&upstream.primary);
        }
    }
    renamed.published = observed
        .published
        .as_ref()
        .map(|state| rename_state(state, there));
    renamed
}

fn rename_state(state: &Published, there: &impl Fn(&NodeAddr) -> NodeAddr) -> Published {
    let mut state = state.clone();
    state.primary = state.primary.as_ref().map(there);
    state.replicas = state.replicas.iter().map(there).collect();
    state.known = state.known.iter().map(there).collect();
    let deposed = state.deposed.iter();
    state.deposed = deposed
        .map(|(node, run_id)| (there(node), run_id.clone()))
        .collect();
    let former = state.former_min_replicas.iter();
    state.former_min_replicas = former.map(|(node, was)| (there(node), *was)).collect();
    if let Some(intent) = &mut state.intent {
        intent.old = intent.old.as_ref().map(there);
        intent.candidate = intent.candidate.as_ref().map(there);
        intent.reason.clear();
    }
    state
}

/// The action with other names, without its words and its order.
fn essence(action: Option<Action>, there: &impl Fn(&NodeAddr) -> NodeAddr) -> Option<Action> {
    action.map(|action| match action {
        Action::Write { state, change } => Action::Write {
            state: rename_state(&state, there),
            change,
        },
        Action::Promote {
            node,
            state,
            through,
        } => Action::Promote {
            through,
            node: there(&node),
            state: rename_state(&state, there),
        },
        Action::Switch {
            from,
            to,
            state,
            drain,
        } => Action::Switch {
            drain,
            from: there(&from),
            to: there(&to),
            state: rename_state(&state, there),
        },
        Action::Follow { nodes, primary, .. } => {
            let nodes: BTreeSet<_> = nodes.iter().map(there).collect();
            Action::Follow {
                nodes: nodes.into_iter().collect(),
                primary: there(&primary),
                through: BTreeMap::new(),
            }
        }
        Action::SetMinReplicas { node, values } => Action::SetMinReplicas {
            node: there(&node),
            values,
        },
        Action::Confirm(_) | Action::AskVoters(_) => unreachable!("confirmations are granted"),
        Action::LookFirst(_) => unreachable!("nobody looks"),
        Action::TakeOver(_) => unreachable!("there is one cluster"),
    })
}
