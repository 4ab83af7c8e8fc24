use std::time::Duration;

use super::*;
use crate::domain::confirmation::Confirmation;
use crate::domain::plan::tests::builder::{Cluster, LIMITS, NOW, addr, cluster};
use crate::domain::plan::{Action, StateChange};

fn ago(seconds: u64) -> Moment {
    Moment(NOW.0.saturating_sub(Duration::from_secs(seconds)))
}

fn unproven(since: u64, refused: Option<u64>, foreign: bool) -> Unproven {
    Unproven {
        since: ago(since),
        known: true,
        refused: refused.map(ago),
        foreign,
    }
}

/// The primary ended six seconds ago, which is longer than the mark-down time, and its replicas lost it then. The
/// answers there are `unproven`.
fn replaced(unproven: Unproven) -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = ["b", "c"]
        .into_iter()
        .fold(cluster.published("a"), |it, name| {
            it.upstream(name, |upstream| upstream.link = down(6))
        });
    cluster.observation("a", |observation| {
        observation.unproven = Some(unproven);
        observation.trouble = Some("NOAUTH Authentication required.".to_owned());
    })
}

fn down(seconds: u64) -> Link {
    Link::Down {
        since: Some(Duration::from_secs(seconds)),
    }
}

fn vote(cluster: &Cluster) -> Option<DownReason> {
    cluster.observed.vote(&addr("a"), NOW)
}

const IMPOSTOR: Option<DownReason> = Some(DownReason::Impostor);

#[test]
fn an_answer_that_names_no_process_is_a_vote_where_nobody_listened_and_the_replicas_lost_the_primary()
 {
    assert_eq!(vote(&replaced(unproven(7, Some(6), false))), IMPOSTOR);
    assert_eq!(
        vote(&replaced(unproven(7, None, true))),
        IMPOSTOR,
        "another protocol"
    );
    assert_eq!(
        vote(&replaced(unproven(7, None, false))),
        None,
        "another password"
    );
    // The figures are in whole seconds.
    assert_eq!(vote(&replaced(unproven(6, Some(6), false))), IMPOSTOR);
    assert_eq!(vote(&replaced(unproven(5, Some(5), false))), IMPOSTOR);
}

#[test]
fn a_replica_that_has_its_link_or_makes_it_speaks_for_the_primary() {
    for foreign in [true, false] {
        let cluster = || replaced(unproven(7, Some(6), foreign));
        let linked = cluster().upstream("c", |upstream| upstream.link = Link::Up);
        assert_eq!(vote(&linked), None);
        let syncing = cluster().upstream("c", |upstream| upstream.syncing = true);
        assert_eq!(vote(&syncing), None);
        let gone = cluster().down("c");
        assert_eq!(vote(&gone), IMPOSTOR, "one is enough");
        assert_eq!(vote(&gone.down("b")), None, "none answers");
        let elsewhere = cluster().primary("d").upstream("c", |upstream| {
            (upstream.primary, upstream.link) = (addr("d"), Link::Up);
        });
        assert_eq!(vote(&elsewhere), IMPOSTOR, "that link is to another");
    }
}

#[test]
fn links_that_were_lost_before_the_primary_was_read_last_show_nothing() {
    for foreign in [true, false] {
        let cluster = || replaced(unproven(7, Some(6), foreign));
        let before = |cluster: Cluster, name| cluster.upstream(name, |it| it.link = down(3_600));
        assert_eq!(vote(&before(cluster(), "b")), IMPOSTOR);
        assert_eq!(vote(&before(before(cluster(), "b"), "c")), None);
        let never = |it: &mut crate::domain::facts::Upstream| it.link = Link::Down { since: None };
        let started = cluster().upstream("b", never).upstream("c", never);
        assert_eq!(vote(&started), None);
    }
}

/// The server was restarted with another password long ago, and its replicas have lost it now.
#[test]
fn a_refusal_long_before_the_replicas_lost_the_primary_shows_nothing() {
    assert_eq!(vote(&replaced(unproven(600, Some(599), false))), None);
}

#[test]
fn the_mark_down_time_begins_when_the_last_replica_lost_the_primary() {
    let cluster = replaced(unproven(7, Some(6), false));
    let late = cluster.upstream("c", |upstream| upstream.link = down(4));
    assert_eq!(vote(&late), None);
    assert_eq!(
        late.observed.impostor_from(),
        Some(NOW.after(Duration::from_secs(1)))
    );
    assert_eq!(LIMITS.mark_down, Duration::from_secs(5));
}

#[test]
fn a_keeper_that_has_never_read_the_primary_goes_by_the_protocol_alone() {
    let new = |foreign| Unproven {
        known: false,
        ..unproven(6, Some(6), foreign)
    };
    assert_eq!(vote(&replaced(new(true))), IMPOSTOR);
    assert_eq!(vote(&replaced(new(false))), None);
}

#[test]
fn nobody_but_the_primary_is_voted_down_for_that() {
    let cluster = replaced(unproven(7, Some(6), true));
    let cluster = cluster.observation("b", |it| it.unproven = Some(unproven(7, Some(6), true)));
    assert_eq!(cluster.observed.vote(&addr("b"), NOW), None);
    let node = &cluster.observed.nodes[&addr("b")];
    assert!(node.answering().is_none(), "what it said last is another's");
    assert!(node.undecided());
}

#[test]
fn the_primary_is_withdrawn_once_a_majority_votes_so_and_it_is_asked_once_more() {
    let mut cluster = replaced(unproven(7, Some(6), false));
    assert!(cluster.plan().action.is_none(), "nobody has voted");
    cluster = cluster.votes("a", 2, 0);
    let withdrawn = cluster.plan();
    let (change, state) = withdrawn.into_write();
    assert_eq!(change, StateChange::Withdraw);
    let reason = state.intent.expect("an intent").reason;
    assert!(
        reason.contains("another process answers there, and not as the server: NOAUTH"),
        "{reason}"
    );
    cluster.observed.confirmation = Confirmation::default();
    let asks = cluster.plan().action;
    assert!(matches!(asks, Some(Action::Confirm(_))), "{asks:?}");
}

#[test]
fn the_vote_stands_while_the_primary_is_being_replaced() {
    assert_eq!(
        vote(&replaced(unproven(7, Some(6), true)).withdrawn("a")),
        IMPOSTOR
    );
}
