use crate::domain::election::Ineligibility;
use crate::domain::node::Moment;
use crate::domain::plan::tests::builder::{Cluster, addr, cluster};
use crate::domain::plan::{Hold, StateChange};

/// A cluster that has had data and has none any more. `a` is dead, and `b` was linked to it.
fn drained() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let cluster = cluster.with("a", |a| a.keys = 0).with("b", |b| b.keys = 0);
    cluster.looked_at().down("a").unlinked("b")
}

fn read_to(cluster: Cluster, offset: u64) -> Cluster {
    cluster.with("a", |a| a.offset = offset).looked_at()
}

fn another_process(cluster: Cluster) -> Cluster {
    cluster.with("b", |b| b.run_id = "second process of b".to_owned())
}

#[test]
fn an_empty_replica_whose_process_was_linked_and_is_not_behind_takes_over() {
    let cluster = read_to(drained(), 1_000).written(StateChange::Withdraw);
    cluster.plan().assert_promotes("b");
}

#[test]
fn an_empty_replica_that_is_behind_what_was_read_of_the_primary_is_refused() {
    assert_eq!(
        read_to(drained(), 1_001).plan().refusal("b"),
        Ineligibility::Empty
    );
}

#[test]
fn a_replica_that_came_back_empty_is_refused_though_its_offset_is_that_of_the_primary() {
    let came_back = another_process(drained());
    assert_eq!(came_back.plan().refusal("b"), Ineligibility::Empty);
    assert_eq!(
        came_back.looked_at().plan().refusal("b"),
        Ineligibility::Empty
    );
}

#[test]
fn a_replica_that_came_back_empty_and_behind_is_refused_where_data_were_not_noticed_yet() {
    let unnoticed = |cluster: Cluster| {
        let mut cluster = cluster.with("a", |a| a.keys = 0);
        cluster.observed.published.as_mut().unwrap().has_data = false;
        cluster
    };
    let ahead = unnoticed(read_to(another_process(drained()), 1_001));
    assert_eq!(ahead.plan().refusal("b"), Ineligibility::Empty);
    let equal = unnoticed(another_process(drained()));
    equal.plan().assert_writes(StateChange::Withdraw, None);
}

#[test]
fn what_a_leader_that_has_just_started_has_not_seen_another_keeper_tells() {
    let cluster = drained().told_by("keeper-2").restarted_keeper();
    let started = cluster.clone_without_told();
    assert_eq!(started.plan().refusal("b"), Ineligibility::Empty);
    cluster.plan().assert_writes(StateChange::Withdraw, None);
}

#[test]
fn the_greatest_offset_that_any_keeper_has_read_counts() {
    let cluster = read_to(drained(), 1_001).told_by("keeper-2");
    let cluster = read_to(cluster.restarted_keeper(), 1_000);
    assert_eq!(cluster.plan().refusal("b"), Ineligibility::Empty);
}

#[test]
fn links_to_an_earlier_process_of_the_primary_show_nothing() {
    let restarted = drained().restarted("a", 0, 1_000);
    let mut restarted = restarted
        .observation("a", |a| a.answering = true)
        .votes("a", 0, 0);
    let published = restarted.observed.published.as_mut().unwrap();
    published.run_id = Some("second process of a".to_owned());
    let cluster = restarted.looked_at().down("a");
    assert_eq!(cluster.plan().refusal("b"), Ineligibility::Empty);
}

#[test]
fn keepers_tell_what_they_have_seen_once_the_primary_is_voted_down_and_nothing_at_rest() {
    let healthy = cluster().primary("a").replica("b", "a").published("a");
    assert_eq!(healthy.observed.testimony(), None);
    let voted = healthy.observation("a", |a| {
        a.vote = Some(crate::domain::liveness::DownReason::Refused);
    });
    let told = voted.observed.testimony().unwrap();
    assert!(told.replicas[&addr("b")].linked);
    assert_eq!(told.primary.as_ref().unwrap().offset, 1_000);
}

/// `b` names `a`, is linked, and streams another history. `b` was read before `a`.
fn led_elsewhere() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster.published("a");
    let cluster = cluster.with("b", |b| {
        b.replication_id = "of a server elsewhere".to_owned();
    });
    cluster.observation("b", |b| b.at = Moment::default())
}

#[test]
fn a_replica_whose_host_leads_it_to_another_server_is_named_and_never_takes_over() {
    let cluster = led_elsewhere().looked_at();
    let cluster = cluster.written(StateChange::Note);
    assert_eq!(cluster.state().replicas, [addr("c")].into());
    let named = Hold::FollowsAnother {
        node: addr("b"),
        primary: addr("a"),
    };
    cluster.plan().assert_holds(&named);
    assert!(cluster.plan().action.is_none(), "{:?}", cluster.plan());
    let dead = cluster.down("a").unlinked("b").unlinked("c");
    let dead = dead.written(StateChange::Withdraw);
    let foreign = "of a server elsewhere".to_owned();
    assert!(!dead.state().lineage.contains(&foreign));
    dead.plan().assert_promotes("c");
}

#[test]
fn a_replica_that_alone_is_left_and_was_led_elsewhere_does_not_take_over() {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let cluster = cluster.with("b", |b| {
        b.replication_id = "of a server elsewhere".to_owned();
    });
    let cluster = cluster.observation("b", |b| b.at = Moment::default());
    let dead = cluster.looked_at().down("a").unlinked("b");
    assert_eq!(dead.plan().refusal("b"), Ineligibility::OtherData);
}

#[test]
fn a_history_that_the_primary_began_after_it_was_read_is_not_elsewhere() {
    let cluster = led_elsewhere().observation("a", |a| a.at = Moment::default());
    let cluster = cluster.looked_at();
    let dead = cluster
        .down("a")
        .unlinked("b")
        .down("c")
        .written(StateChange::Withdraw);
    dead.plan().assert_promotes("b");
}
