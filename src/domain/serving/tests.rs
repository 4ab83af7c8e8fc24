//! Answers about the published primary, while it is published (RK-3).

use std::time::Duration;

use super::{Reason, Serving};
use crate::domain::facts::{Mode, Role};
use crate::domain::hindrance::{Hindrance, HindranceKind};
use crate::domain::liveness::DownReason;
use crate::domain::node::Moment;
use crate::domain::observed::Unlisted;
use crate::domain::plan::tests::builder::{Cluster, KEEPERS, NOW, addr, cluster};

/// A cluster with the published primary `a` and a replica.
fn published() -> Cluster {
    cluster().primary("a").replica("b", "a").published("a")
}

impl Cluster {
    fn is_answered(&self, name: &str) -> (Reason, Reason) {
        self.is_answered_by(name, true)
    }

    fn is_answered_by(&self, name: &str, votes_current: bool) -> (Reason, Reason) {
        let addr = addr(name);
        let node = &self.observed.nodes[&addr];
        let serving = Serving {
            observed: &self.observed,
            policy: &self.policy,
            votes_current,
            now: NOW,
        };
        (serving.writable(&addr, node), serving.readable(&addr, node))
    }

    /// `a` refuses this many keepers, this one included.
    fn refused_by(mut self, keepers: usize) -> Self {
        let node = self.observed.nodes.get_mut(&addr("a")).expect("a is there");
        node.verdict.refused = keepers;
        node.observation.refused = true;
        self
    }

    /// The last answer of `a` was read this long ago.
    fn last_answer(self, seconds_ago: u64) -> Self {
        let at = Moment(NOW.0.saturating_sub(Duration::from_secs(seconds_ago)));
        self.observation("a", |a| (a.at, a.answering) = (at, false))
    }
}

#[test]
fn a_published_primary_that_all_keepers_find_silent_is_called_writable_and_readable() {
    let silent = published().down("a");
    assert!(silent.observed.nodes[&addr("a")].verdict.down());
    assert_eq!(silent.is_answered("a"), (Reason::Primary, Reason::Primary));
    let replica = published().down("b").is_answered("b").1;
    assert!(matches!(replica, Reason::Down { .. }), "{replica:?}");
}

#[test]
fn one_that_refuses_a_majority_is_not_and_one_that_refuses_this_keeper_alone_is_unknown() {
    let majority = Reason::RefusedByMajority {
        refused: 2,
        keepers: KEEPERS,
    };
    let says = published().last_answer(1).refused_by(2).is_answered("a");
    assert_eq!(says, (majority.clone(), majority));
    let here = published().last_answer(1).refused_by(1).is_answered("a");
    assert_eq!(here, (Reason::RefusedHere, Reason::RefusedHere));
}

#[test]
fn what_it_said_itself_counts_while_it_answers_and_for_the_mark_down_time_after() {
    let loading = published().with("a", |a| a.loading = true);
    assert_eq!(loading.is_answered("a"), (Reason::Loading, Reason::Loading));
    let cluster_node = published().with("a", |a| a.mode = Mode::Cluster);
    assert_eq!(cluster_node.is_answered("a").0, Reason::WrongMode);
    let demoted = || {
        published().with("a", |a| {
            a.role = published().replica("x", "b").observed.nodes[&addr("x")]
                .observation
                .facts
                .as_ref()
                .map_or(Role::Primary { online_replicas: 0 }, |x| x.role.clone());
        })
    };
    let answering = demoted().observation("a", |a| a.at = Moment::default());
    assert_eq!(
        answering.is_answered("a").0,
        Reason::DemotedFromOutside,
        "still"
    );
    let lately = demoted().last_answer(5).is_answered("a").0;
    assert_eq!(lately, Reason::DemotedFromOutside);
    assert_eq!(demoted().last_answer(6).is_answered("a").0, Reason::Primary);
    // The node answers, but no longer says what it is.
    let old = demoted().last_answer(6).observation("a", |a| {
        (a.answering, a.trouble) = (true, Some("NOAUTH".to_owned()));
    });
    assert_eq!(old.is_answered("a").0, Reason::Primary);
}

#[test]
fn once_it_is_withdrawn_nobody_is_writable() {
    let withdrawn = published().withdrawn("a");
    assert_eq!(withdrawn.is_answered("a").0, Reason::NoPrimary);
    assert_eq!(withdrawn.is_answered("b").0, Reason::NoPrimary);
}

#[test]
fn without_zookeeper_votes_from_before_count_for_nothing_and_what_is_seen_counts() {
    let mut back = published().refused_by(KEEPERS).votes("b", KEEPERS, 0);
    back.observed
        .nodes
        .get_mut(&addr("a"))
        .expect("a is there")
        .observation
        .refused = false;
    assert!(matches!(
        back.is_answered("a").0,
        Reason::RefusedByMajority { .. }
    ));
    assert_eq!(back.is_answered_by("a", false).0, Reason::Primary);
    assert!(matches!(back.is_answered("b").1, Reason::Down { .. }));
    assert_eq!(back.is_answered_by("b", false).1, Reason::Replica);
    let silent = published().observation("b", |b| b.vote = Some(DownReason::Unanswered));
    assert!(matches!(
        silent.is_answered_by("b", false).1,
        Reason::Down { .. }
    ));
}

#[test]
fn a_primary_that_came_back_with_less_than_a_node_holds_that_answers_is_no_firm_yes() {
    let back = || {
        let back = published().with("a", |a| {
            a.run_id = "second process of a".to_owned();
            a.previous_replication_id = Some(std::mem::take(&mut a.replication_id));
            (a.replication_id, a.previous_offset) = ("second history of a".to_owned(), Some(400));
        });
        back.with("a", |a| a.offset = 400)
    };
    let unknown = Reason::CameBackBehind(addr("b"));
    assert_eq!(back().is_answered("a"), (unknown.clone(), unknown));
    // The leader waits for the end of the script. Writes that the primary takes meanwhile would be lost.
    let busy = back().silent("b").observation("b", |b| {
        b.answering = true;
        b.hindrance = Some(Hindrance {
            kind: HindranceKind::Busy,
            said: "BUSY".to_owned(),
            since: NOW,
        });
    });
    assert_eq!(busy.is_answered("a").0, Reason::CameBackBehind(addr("b")));
    // No node that answers has more, or the primary has everything: it serves.
    let alone = back().silent("b");
    assert_eq!(alone.is_answered("a").0, Reason::Primary);
    let whole = back().with("a", |a| {
        (a.offset, a.previous_offset) = (1_000, Some(1_000));
    });
    assert_eq!(whole.is_answered("a").0, Reason::Primary);
}

#[test]
fn a_replica_that_is_another_process_at_the_published_address_is_no_firm_no() {
    let elsewhere = published().replica("a", "c");
    let elsewhere = elsewhere.with("a", |a| a.run_id = "process of b".to_owned());
    let unknown = (Reason::Stranger, Reason::Stranger);
    assert_eq!(elsewhere.is_answered("a"), unknown);
    let demoted = published().replica("a", "c").is_answered("a").0;
    assert_eq!(demoted, Reason::DemotedFromOutside);
}

#[test]
fn the_published_primary_that_no_keeper_online_has_in_its_file_is_called_writable() {
    let mut lacking = published();
    lacking.observed.nodes.remove(&addr("a"));
    let unlisted = |voters| Unlisted {
        addresses: ["10.0.0.1".parse().expect("an address")].into(),
        voters,
    };
    let nowhere = Unlisted::default();
    let serving = Serving {
        observed: &lacking.observed,
        policy: &lacking.policy,
        votes_current: true,
        now: NOW,
    };
    let answered = |node, unlisted: &Unlisted| serving.unlisted(&addr(node), unlisted);
    assert_eq!(answered("a", &unlisted(0)), Reason::Primary);
    assert_eq!(
        answered("a", &unlisted(1)),
        Reason::NotInFile,
        "ask that one"
    );
    assert_eq!(answered("b", &unlisted(0)), Reason::NotInFile, "a replica");
    assert_eq!(
        answered("a", &nowhere),
        Reason::NotInFile,
        "it may be another"
    );
}
