use std::time::Duration;

use super::super::generations::Generations;
use super::super::stored::{Listing, Stamp, Stored};
use super::*;
use crate::domain::identity::Nonce;

const LEASE: Duration = Duration::from_millis(800);
const SETTINGS: Failsafe = Failsafe {
    consent: Duration::from_millis(600),
    limit: Duration::from_secs(9),
};

fn at(milliseconds: u64) -> Moment {
    Moment(Duration::from_millis(milliseconds))
}

fn process(id: &str, bits: u64) -> KeeperProcess {
    KeeperProcess::new(KeeperId::new(id), Nonce::drawn(bits))
}

fn ids(names: &[&str]) -> BTreeSet<KeeperId> {
    names.iter().map(|name| KeeperId::new(*name)).collect()
}

/// The registration of a keeper that asks `a` and `b`.
#[expect(clippy::unnecessary_wraps, reason = "a read gives an option")]
fn registration(rest: &str, nonce: Option<Nonce>) -> Option<Stored<FailsafeMember>> {
    let content = FailsafeMember {
        rest: rest.to_owned(),
        nonce,
        asks: Some(ids(&["a", "b"])),
        ..FailsafeMember::default()
    };
    let stamp = Stamp::default();
    let content = Ok(content);
    Some(Stored { stamp, content })
}

/// Keeper `a`, whose list has `a` and `b`, and whose last heartbeat was sent at 0 ms. Keeper `b` is registered so.
fn member(b: Option<Stored<FailsafeMember>>) -> (FailsafeState, LeaseBook) {
    let (me, place) = (process("a", 1), Place::new("here"));
    let mut failsafe = FailsafeState::new(&me, Some(SETTINGS), "a:1", &place, at(0));
    let keepers = ids(&["a", "b"]);
    let listing = Listing {
        keepers,
        changes: 2,
    };
    failsafe.group.listed(listing);
    failsafe
        .group
        .read(&me.id, registration("a:1", Some(me.nonce.clone())));
    failsafe.group.read(&KeeperId::new("b"), b);
    failsafe.group.heartbeat_sent(at(0));
    failsafe.group.earned(at(0));
    let mut book = LeaseBook::new(LEASE);
    book.all_read(Generation(0));
    book.confirmed(Generations::default(), Some(at(0)), |_| None);
    (failsafe, book)
}

fn b() -> Option<Stored<FailsafeMember>> {
    registration("b:1", Some(Nonce::drawn(2)))
}

#[test]
fn the_process_of_every_keeper_on_the_list_is_asked_at_its_address() {
    let (mut failsafe, _) = member(b());
    let questions = failsafe.requests(&ids(&["b"]), 7, Generation(5));
    let [question] = &questions[..] else {
        panic!("one keeper is asked: {questions:?}");
    };
    let asked = process("b", 2);
    assert_eq!((&*question.rest, &question.asked), ("b:1", &asked));
    assert_eq!(question.request.to, Some(asked));
    assert_eq!(question.request.failsafe_group, ids(&["a", "b"]));
    assert_eq!(question.request.session, 7);
}

#[test]
fn a_keeper_that_cannot_be_asked_counts_as_one_that_refuses() {
    let shared = registration("a:1", Some(Nonce::drawn(2)));
    for b in [registration("b:1", None), shared] {
        let (mut failsafe, book) = member(b);
        let questions = failsafe.requests(&ids(&["b"]), 7, Generation(0));
        assert_eq!(questions, []);
        assert_eq!(failsafe.consents.refusals().len(), 1);
        let over = failsafe.why_over(&book, false, at(900)).to_string();
        assert!(over.starts_with("not all keepers consent"), "{over}");
    }
}

#[test]
fn a_keeper_goes_on_while_all_on_its_list_consent_to_its_newest_state() {
    let (mut failsafe, mut book) = member(b());
    assert_eq!(failsafe.consented_until(&book, at(800)), None);
    let late = failsafe.why_over(&book, false, at(900)).to_string();
    assert_eq!(late, "no consent in time from all of: b");
    failsafe
        .consents
        .answered(KeeperId::new("b"), Generation(0), at(700), Ok(()));
    assert_eq!(failsafe.consented_until(&book, at(800)), Some(at(1_300)));
    let cluster = crate::domain::node::ClusterName::new("c");
    let raised = Generations::default().raised(&cluster, Generation(0));
    book.confirmed(raised, None, |_| Some(Generation(0)));
    assert_eq!(failsafe.consented_until(&book, at(800)), None);
    let over = failsafe.why_over(&book, false, at(900));
    assert!(matches!(over, Over::Superseded), "{over}");
}

#[test]
fn a_keeper_goes_on_for_the_limit_after_its_lease_at_most() {
    let (failsafe, book) = member(b());
    assert_eq!(failsafe.limit(&book), Some(at(9_800)));
    let over = |now| failsafe.why_over(&book, true, at(now)).to_string();
    assert_eq!(over(9_800), "failsafe-max-seconds are over");
    assert!(over(9_799).contains("ZooKeeper answers again"));
    assert_eq!(failsafe.limit(&LeaseBook::new(LEASE)), None);
}

#[test]
fn a_consent_that_is_given_binds_this_keeper() {
    let (mut failsafe, _) = member(b());
    let request = ConsentRequest {
        from: KeeperId::new("b"),
        nonce: Some(Nonce::drawn(2)),
        to: Some(process("a", 1)),
        session: 7,
        generation: Generation(5),
        failsafe_group: ids(&["a", "b"]),
    };
    let table = KeeperTable::new(KeeperId::new("a"), LEASE, Some(SETTINGS));
    let given = failsafe.consent(&request, Some(Generation(5)), true, at(1_000));
    assert_eq!(given, Err(ConsentRefusal::InContact));
    assert_eq!(failsafe.bound_until(Generation(6), &table), Some(at(620)));
    let given = failsafe.consent(&request, Some(Generation(5)), false, at(1_000));
    assert_eq!(given, Ok(process("a", 1)));
    assert_eq!(failsafe.bound_until(Generation(6), &table), Some(at(1_620)));
}

#[test]
fn without_failsafe_mode_a_keeper_consents_to_nothing_and_is_bound_by_nothing() {
    let (me, place) = (process("a", 1), Place::new("here"));
    let failsafe = FailsafeState::new(&me, None, "a:1", &place, at(0));
    let table = KeeperTable::new(me.id, LEASE, None);
    assert!(failsafe.is_registered());
    assert_eq!(failsafe.amendment(), None);
    assert_eq!(failsafe.bound_until(Generation(6), &table), None);
}
