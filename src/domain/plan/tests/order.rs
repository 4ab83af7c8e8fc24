//! Which of the eligible nodes takes over: data history, then the configured order, then the name (RK-6).

use std::time::Duration;

use proptest::prelude::*;

use super::builder::{Cluster, NOW, addr, cluster, history};
use crate::domain::election::elect;
use crate::domain::node::NodeAddr;
use crate::domain::observed::Topology;
use crate::domain::plan::StateChange;
use crate::domain::policy::Criterion::{Offset, Priority, Uptime};
use crate::domain::policy::{Criterion, ElectionOrder};

const ORDERS: [[Criterion; 3]; 6] = [
    [Offset, Priority, Uptime],
    [Offset, Uptime, Priority],
    [Priority, Offset, Uptime],
    [Priority, Uptime, Offset],
    [Uptime, Offset, Priority],
    [Uptime, Priority, Offset],
];

fn ordered(cluster: Cluster, order: &[Criterion]) -> Cluster {
    cluster.policy(|policy| policy.election_order = ElectionOrder::beginning_with(order))
}

/// A dead primary. `b` has more data; `c` is preferred, and has been up for longer.
fn rivals(order: &[Criterion]) -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster.with("b", |b| b.offset += 1);
    let cluster = cluster.upstream("c", |up| up.priority = 10);
    let cluster = cluster.with("c", |c| c.uptime += Duration::from_secs(1));
    ordered(cluster.published("a").down("a"), order)
}

fn chosen(cluster: Cluster) -> NodeAddr {
    let cluster = cluster.written(StateChange::Withdraw).chosen();
    cluster.state().intent.clone().unwrap().candidate.unwrap()
}

#[test]
fn the_greater_offset_wins_unless_another_criterion_is_put_first() {
    assert_eq!(chosen(rivals(&[])), addr("b"));
    assert_eq!(chosen(rivals(&[Offset])), addr("b"));
    assert_eq!(chosen(rivals(&[Priority])), addr("c"));
    assert_eq!(chosen(rivals(&[Uptime])), addr("c"));
}

#[test]
fn what_a_list_leaves_out_follows_in_the_default_order() {
    let order = |first: &[_]| ElectionOrder::beginning_with(first).criteria();
    assert_eq!(order(&[]), [Offset, Priority, Uptime]);
    assert_eq!(order(&[Uptime]), [Uptime, Offset, Priority]);
    assert_eq!(order(&[Priority, Uptime]), [Priority, Uptime, Offset]);
    assert_eq!(order(&[Priority, Priority]), [Priority, Offset, Uptime]);
}

#[test]
fn with_priority_first_max_lag_bytes_still_bounds_the_loss() {
    let cluster = rivals(&[Priority]).policy(|policy| policy.max_lag_bytes = Some(0));
    assert_eq!(chosen(cluster), addr("b"));
}

#[test]
fn a_newer_history_comes_first_whatever_the_order() {
    for order in ORDERS {
        let cluster = rivals(&order).with("c", |c| c.replication_id = history("before a"));
        let mut cluster = cluster.with("b", |b| b.offset = 1);
        let published = cluster.observed.published.as_mut().unwrap();
        published.lineage.push(history("before a"));
        assert_eq!(chosen(cluster), addr("b"), "{order:?}");
    }
}

#[test]
fn a_node_promoted_by_hand_stands_above_its_equals_in_offset_only() {
    let promoted = |order: &[_]| {
        let cluster = rivals(order).with("c", |c| c.offset += 1);
        cluster.promoted("b").written(StateChange::Withdraw).plan()
    };
    promoted(&[Offset]).assert_writes(StateChange::Publish, Some("b"));
    promoted(&[Priority]).assert_promotes("c");
}

#[test]
fn a_primary_that_lost_data_is_replaced_by_who_still_holds_it_whatever_the_order() {
    for order in ORDERS {
        let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
        let cluster = ordered(cluster.published("a").reborn("a", 5, 400), &order);
        let cluster = cluster.with("a", |a| a.previous_replication_id = Some(history("a")));
        // `b` has copied the loss already, and is preferred.
        let cluster = cluster.replica("b", "a").with("b", |b| {
            (b.offset, b.uptime) = (400, Duration::from_hours(1));
            b.previous_replication_id = Some(history("a"));
        });
        let cluster = cluster.upstream("b", |up| up.priority = 1);
        let cluster = cluster.written(StateChange::Withdraw).chosen();
        let candidate = cluster.state().intent.clone().unwrap().candidate;
        assert_eq!(candidate, Some(addr("c")), "{order:?}");
    }
}

#[test]
fn several_primaries_at_first_sight_are_told_apart_by_data_whatever_the_order() {
    let cluster = cluster().primary("a").primary("b");
    let cluster = cluster.with("b", |b| {
        (b.replication_id, b.offset) = (history("a"), 2_000);
    });
    let mut cluster = ordered(cluster, &[Priority]);
    cluster.policy.priorities.insert(addr("a"), 1);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

/// The figures by which a candidate is ranked: generation, offset, whether it was promoted by hand, priority, uptime.
type Merits = (usize, u64, bool, u32, u64);

fn candidates() -> impl Strategy<Value = Vec<Merits>> {
    let merits = (0..2_usize, 0..3_u64, any::<bool>(), 1..4_u32, 0..3_u64);
    prop::collection::vec(merits, 1..7)
}

fn field(candidates: &[(usize, Merits)], order: [Criterion; 3]) -> Cluster {
    let mut cluster = cluster().primary("dead").published("dead").down("dead");
    let published = cluster.observed.published.as_mut().unwrap();
    published.lineage = vec![history("0"), history("1")];
    for &(index, (generation, offset, promoted, priority, uptime)) in candidates {
        let name = format!("n{index}");
        cluster = cluster.replica(&name, "dead");
        cluster.policy.priorities.insert(addr(&name), priority);
        cluster = if promoted {
            cluster.promoted(&name)
        } else {
            cluster
        };
        cluster = cluster.with(&name, |node| {
            node.replication_id = history(&generation.to_string());
            (node.offset, node.uptime) = (offset, Duration::from_secs(uptime));
        });
    }
    ordered(cluster, &order)
}

fn ranking(candidates: &[(usize, Merits)], order: [Criterion; 3]) -> Vec<NodeAddr> {
    let Cluster { observed, policy } = field(candidates, order);
    let lineage = observed.published.clone().unwrap().lineage;
    elect(
        &Topology::of(&observed),
        &policy,
        &lineage,
        Some(&addr("dead")),
        NOW,
    )
    .ranking
}

/// Whether the first of two candidates is the better one, by a second implementation.
fn better(a: (usize, Merits), b: (usize, Merits), order: [Criterion; 3]) -> bool {
    let by = |criterion| {
        let (a, b) = (a.1, b.1);
        match criterion {
            Offset => b.1.cmp(&a.1).then(b.2.cmp(&a.2)),
            Priority => a.3.cmp(&b.3),
            Uptime => b.4.cmp(&a.4),
        }
    };
    let [first, second, third] = order.map(by);
    let merits = a.1.0.cmp(&b.1.0).then(first).then(second).then(third);
    merits.then(a.0.cmp(&b.0)).is_lt()
}

proptest! {
    #[test]
    fn in_every_order_the_ranking_is_total_and_no_third_node_turns_two_around(candidates in candidates()) {
        let field: Vec<_> = candidates.into_iter().enumerate().collect();
        for order in ORDERS {
            let ranked = ranking(&field, order);
            prop_assert_eq!(ranked.len(), field.len());
            let place = |(index, _): &(usize, Merits)| {
                ranked.iter().position(|node| *node == addr(&format!("n{index}"))).unwrap()
            };
            for one in &field {
                for other in field.iter().filter(|other| other.0 != one.0) {
                    let before = place(one) < place(other);
                    prop_assert_eq!(before, better(*one, *other, order));
                    let alone = ranking(&[*one, *other], order);
                    prop_assert_eq!(before, alone[0] == addr(&format!("n{}", one.0)));
                }
            }
        }
    }
}
