//! The published primary is back as another process, with all of the cluster's data or with less.

use std::time::Duration;

use super::builder::{Cluster, addr, history};
use super::failover::trio;
use crate::domain::hindrance::{Hindrance, HindranceKind};
use crate::domain::node::Moment;
use crate::domain::plan::{Hold, StateChange};

#[test]
fn a_primary_reborn_empty_is_replaced_by_a_replica_that_still_holds_the_data() {
    let cluster = trio().reborn("a", 0, 0).written(StateChange::Withdraw);
    let intent = cluster.state().intent.clone().unwrap();
    let published = Some("process of a");
    assert_eq!(intent.old_run_id.as_deref(), published, "it is another one");
    assert_eq!(cluster.state().lineage, [history("a")]);
    assert!(intent.reason.contains("less data"), "{}", intent.reason);
    cluster.plan().assert_promotes("b");
}

#[test]
fn a_primary_reborn_from_an_old_dump_is_replaced_by_the_replica_that_has_not_copied_it() {
    let cluster = trio().reborn("a", 5, 400);
    let cluster = cluster.with("a", |a| a.previous_replication_id = Some(history("a")));
    let cluster = cluster.replica("b", "a").with("b", |b| b.offset = 400);
    let cluster = cluster.written(StateChange::Withdraw);
    let cluster = cluster.chosen();
    let plan = cluster.plan();
    plan.assert_promotes("c");
}

#[test]
fn a_primary_reborn_whole_stays() {
    let cluster = trio().restarted("a", 10, 1_000).written(StateChange::Note);
    let process = cluster.state().run_id.as_deref();
    assert_eq!(process, Some("second process of a"));
    cluster.assert_settled();
}

#[test]
fn a_primary_reborn_behind_whom_nobody_can_replace_stays() {
    let cluster = trio().down("b").down("c").written(StateChange::Note);
    cluster
        .reborn("a", 0, 0)
        .written(StateChange::Accept)
        .assert_settled();
}

/// Otherwise the new history would be noted, and the replicas would copy the loss once they are back.
#[test]
fn a_primary_reborn_behind_replicas_that_are_merely_silent_is_held_until_one_answers() {
    let reborn = || {
        let reborn = trio().silent("b").silent("c").reborn("a", 5, 400);
        reborn.with("a", |a| a.previous_replication_id = Some(history("a")))
    };
    let behind = |holder| Hold::CameBackBehind {
        node: addr("a"),
        holder: addr(holder),
    };
    let plan = reborn().plan();
    plan.assert_holds(&behind("b"));
    assert!(plan.action.is_none(), "{plan}");
    let one_down = reborn().down("b").plan();
    one_down.assert_holds(&behind("c"));
    reborn().down("b").down("c").written(StateChange::Accept);
}

/// `a` came back behind, and has been up for a while. `b` answers nothing that says what it has; `c` is down.
fn reborn_beside_one_that_answers_errors(uptime: Duration) -> Cluster {
    let reborn = trio().down("c").reborn("a", 5, 400);
    let reborn = reborn.with("a", |a| {
        (a.previous_replication_id, a.uptime) = (Some(history("a")), uptime);
    });
    reborn.silent("b").observation("b", |b| {
        (b.answering, b.outdated) = (true, Some(Moment::default()));
    })
}

#[test]
fn a_replica_that_is_busy_with_a_script_is_waited_for_however_long_it_takes() {
    let busy = reborn_beside_one_that_answers_errors(Duration::from_hours(1));
    let busy = busy.observation("b", |b| {
        b.hindrance = Some(Hindrance {
            kind: HindranceKind::Busy,
            said: "BUSY".to_owned(),
            since: Moment::default(),
        });
    });
    busy.plan().assert_holds(&Hold::CameBackBehind {
        node: addr("a"),
        holder: addr("b"),
    });
}

#[test]
fn a_replica_that_answers_other_errors_is_waited_for_for_the_mark_down_time() {
    let young = reborn_beside_one_that_answers_errors(Duration::from_secs(1)).plan();
    young.assert_holds(&Hold::CameBackBehind {
        node: addr("a"),
        holder: addr("b"),
    });
    assert!(young.again.is_some(), "{young}");
    reborn_beside_one_that_answers_errors(Duration::from_hours(1)).written(StateChange::Accept);
}

/// The change says that data are lost.
#[test]
fn a_primary_that_came_back_without_keys_is_accepted_by_name_where_nobody_may_take_over() {
    let reborn = trio().down("b").down("c").reborn("a", 0, 400);
    let reborn = reborn.with("a", |a| a.previous_replication_id = Some(history("a")));
    reborn.written(StateChange::Accept).assert_settled();
}

/// The primary's last offset that was read may be older than its dump. So a replica may have more.
#[test]
fn a_primary_that_has_just_started_waits_for_a_silent_replica_for_the_mark_down_time() {
    let started = |cluster: Cluster| {
        let restarted = cluster.restarted("a", 10, 1_000);
        restarted.with("a", |a| a.uptime = Duration::ZERO)
    };
    let silent = || started(trio().silent("b").silent("c"));
    silent().plan().assert_holds(&Hold::CameBack {
        node: addr("a"),
        holder: addr("b"),
    });
    silent().down("b").down("c").written(StateChange::Note);
    let answers = started(trio().with("b", |b| b.offset = 1_040));
    answers
        .written(StateChange::Withdraw)
        .plan()
        .assert_promotes("b");
}

#[test]
fn a_primary_reborn_whole_or_the_same_process_waits_for_no_silent_replica() {
    let silent = || trio().silent("b").silent("c");
    silent()
        .restarted("a", 10, 1_000)
        .written(StateChange::Note);
    let alone = silent().with("a", |a| {
        (a.replication_id, a.offset) = ("after an hour alone".to_owned(), 900);
    });
    alone.written(StateChange::Note);
}

#[test]
fn a_lone_primary_that_merely_changed_its_history_is_not_taken_for_reborn() {
    let cluster = trio().with("a", |a| {
        (a.replication_id, a.keys, a.offset) = ("after an hour alone".to_owned(), 0, 2_000);
    });
    cluster.written(StateChange::Note);
}

#[test]
fn an_offset_of_an_older_history_does_not_make_the_primary_look_reborn() {
    let cluster = trio().down("a").promoting("a", "b").promoted("b");
    let cluster = cluster.written(StateChange::Publish).down("c");
    let cluster = cluster.primary("a").with("a", |a| a.offset = 9_000);
    let cluster = cluster.with("b", |b| b.replication_id = "later".to_owned());
    let cluster = cluster.written(StateChange::Note);
    cluster.plan().assert_follows(["a"], "b");
}
