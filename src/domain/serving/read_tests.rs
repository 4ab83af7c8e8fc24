//! How old the data of a replica may be for clients to read them.

use std::time::Duration;

use super::{Reason, Ruling, Serving};
use crate::domain::facts::{Link, NodeFacts, Role};
use crate::domain::plan::tests::builder::{Cluster, NOW, addr, cluster};

const LIMIT: Duration = Duration::from_secs(4);

/// The answer about replica `b` after `change`. A link may be down for 4 s, and silent for as long.
fn answer(change: impl FnOnce(&mut NodeFacts)) -> Reason {
    asked(
        cluster()
            .primary("a")
            .replica("b", "a")
            .published("a")
            .with("b", change),
    )
}

fn asked(mut cluster: Cluster) -> Reason {
    (cluster.policy.max_stale, cluster.policy.max_lag) = (LIMIT, Some(LIMIT));
    is_readable(&cluster)
}

fn is_readable(cluster: &Cluster) -> Reason {
    let serving = Serving {
        observed: &cluster.observed,
        policy: &cluster.policy,
        votes_current: true,
        now: NOW,
    };
    serving.readable(&addr("b"), &cluster.observed.nodes[&addr("b")])
}

fn link(facts: &mut NodeFacts, link: Link, last_io: Option<Duration>) {
    let Role::Replica(upstream) = &mut facts.role else {
        panic!("a replica");
    };
    (upstream.link, upstream.last_io) = (link, last_io);
}

#[test]
fn a_replica_that_was_never_linked_since_its_start_is_as_stale_as_its_process_is_old() {
    let after = |seconds| {
        answer(|b| {
            b.uptime = Duration::from_secs(seconds);
            link(b, Link::Down { since: None }, None);
        })
    };
    assert_eq!(after(4), Reason::StaleReplica);
    assert_eq!(after(5), Reason::LinkDown(None));
    assert_eq!(after(5).ruling(), Ruling::No);
}

#[test]
fn a_replica_whose_state_cannot_be_read_is_unknown_to_this_keeper() {
    let trio = || cluster().primary("a").replica("b", "a").published("a");
    let error = || Some("NOPERM no permission".to_owned());
    let errors =
        |outdated| trio().observation("b", move |b| (b.trouble, b.outdated) = (error(), outdated));
    assert_eq!(is_readable(&errors(None)), Reason::Replica);
    let answer = is_readable(&errors(Some(NOW)));
    assert_eq!(answer.ruling(), Ruling::Unknown, "{answer}");
    assert!(
        answer.to_string().contains("too old to go by: NOPERM"),
        "{answer}"
    );
    let silent = errors(Some(NOW)).observation("b", |b| b.answering = false);
    assert_eq!(is_readable(&silent).ruling(), Ruling::Unknown);
    let never = is_readable(&trio().noauth("b"));
    assert!(matches!(&never, Reason::Unread(_)), "{never}");
}

#[test]
fn what_is_no_redis_server_is_read_from_by_nobody() {
    let foreign = |foreign| {
        let trio = cluster().primary("a").replica("b", "a").published("a");
        let unproven = crate::domain::unproven::Unproven {
            since: NOW,
            known: true,
            refused: None,
            foreign,
        };
        trio.observation("b", |b| b.unproven = Some(unproven))
    };
    assert_eq!(is_readable(&foreign(true)).ruling(), Ruling::No);
    assert_eq!(is_readable(&foreign(false)).ruling(), Ruling::Unknown);
}

#[test]
fn a_replica_whose_link_broke_is_as_stale_as_that_is_long_ago() {
    let after = |seconds| {
        let since = Some(Duration::from_secs(seconds));
        answer(|b| link(b, Link::Down { since }, None))
    };
    assert_eq!(after(4), Reason::StaleReplica);
    assert_eq!(after(5), Reason::LinkDown(Some(Duration::from_secs(5))));
}

#[test]
fn a_replica_that_does_not_say_when_it_last_heard_its_primary_lags() {
    let heard = |last_io| answer(|b| link(b, Link::Up, last_io));
    assert_eq!(heard(Some(LIMIT)), Reason::Replica);
    let late = Some(LIMIT + Duration::from_secs(1));
    assert_eq!(heard(late), Reason::Lagging(late));
    assert_eq!(heard(None), Reason::Lagging(None));
    let unlimited = cluster().primary("a").replica("b", "a").published("a");
    let unlimited = unlimited.with("b", |b| link(b, Link::Up, None));
    let answer = is_readable(&unlimited);
    assert_eq!(
        answer,
        Reason::Replica,
        "without max-lag-seconds nobody asks"
    );
}
