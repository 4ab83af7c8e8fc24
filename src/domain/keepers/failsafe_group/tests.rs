use super::super::stored::Stamp;
use super::*;
use crate::domain::identity::Nonce;

fn at(milliseconds: u64) -> Moment {
    Moment(Duration::from_millis(milliseconds))
}

fn ids(names: &[&str]) -> BTreeSet<KeeperId> {
    names.iter().map(|name| KeeperId::new(*name)).collect()
}

/// The registration of keeper `a`.
fn registration(asks: Option<&[&str]>) -> FailsafeMember {
    FailsafeMember {
        rest: "there:1".to_owned(),
        nonce: Some(me().nonce),
        place: None,
        asks: asks.map(ids),
        limit: Duration::from_secs(9),
    }
}

fn node(asks: Option<&[&str]>, version: i32) -> Option<Stored<FailsafeMember>> {
    written(registration(asks), version)
}

#[expect(clippy::unnecessary_wraps, reason = "a read gives an option")]
fn written(registration: FailsafeMember, version: i32) -> Option<Stored<FailsafeMember>> {
    Some(Stored {
        stamp: Stamp {
            created: 1,
            version,
            owner: 0,
        },
        content: Ok(registration),
    })
}

/// Lists the members that keeper `a` sees; no registration is read.
fn listed(group: &mut FailsafeGroup, names: &[&str], changes: i32) {
    let keepers = ids(names);
    group.listed(Listing { keepers, changes });
}

fn me() -> KeeperProcess {
    KeeperProcess::new(KeeperId::new("a"), Nonce::drawn(1))
}

#[test]
fn a_keeper_registers_then_declares_whom_it_reads_after_that() {
    let own = registration(None);
    let mut group = FailsafeGroup::new(me());
    assert_eq!(group.amendment(Some(&own)), None, "nothing is read yet");
    listed(&mut group, &["b"], 1);
    let register = Amendment::Register(own.clone());
    assert_eq!(group.amendment(Some(&own)), Some(register));
    listed(&mut group, &["a", "b"], 2);
    assert_eq!(group.amendment(Some(&own)), None, "its own is not read");
    group.read(&me().id, node(None, 0));
    let declare = Amendment::Declare(registration(Some(&["a", "b"])), 0);
    assert_eq!(group.amendment(Some(&own)), Some(declare));
    group.read(&me().id, node(Some(&["a", "b"]), 1));
    assert_eq!(group.amendment(Some(&own)), None);
    assert_eq!(group.amendment(None), Some(Amendment::Withdraw(1)));
}

#[test]
fn a_list_counts_once_a_heartbeat_sent_after_it_was_read_back_has_earned_a_lease() {
    let mut group = FailsafeGroup::new(me());
    listed(&mut group, &["a", "b"], 1);
    group.heartbeat_sent(at(0));
    group.sending(&registration(Some(&["a", "b"])));
    group.read(&me().id, node(Some(&["a", "b"]), 1));
    group.earned(at(0));
    assert_eq!(group.to_ask(), None);
    group.heartbeat_sent(at(200));
    group.earned(at(200));
    assert_eq!(group.to_ask(), Some(ids(&["b"])));
}

#[test]
fn every_list_sent_since_is_asked_too() {
    let mut group = FailsafeGroup::new(me());
    listed(&mut group, &["a", "b"], 1);
    group.read(&me().id, node(Some(&["a", "b"]), 1));
    group.heartbeat_sent(at(0));
    group.earned(at(0));
    listed(&mut group, &["a", "b", "c"], 2);
    group.sending(&registration(Some(&["a", "b", "c"])));
    assert_eq!(group.to_ask(), Some(ids(&["b", "c"])), "it may be there");
    listed(&mut group, &["a", "c"], 3);
    group.sending(&registration(Some(&["a", "c"])));
    assert_eq!(
        group.to_ask(),
        Some(ids(&["b", "c"])),
        "neither is confirmed"
    );
    group.read(&me().id, node(Some(&["a", "c"]), 3));
    group.heartbeat_sent(at(200));
    group.earned(at(200));
    assert_eq!(group.to_ask(), Some(ids(&["c"])));
}

#[test]
fn on_a_new_connection_the_last_list_still_binds_and_a_heartbeat_without_one_ends_it() {
    let mut group = FailsafeGroup::new(me());
    listed(&mut group, &["a", "b"], 1);
    group.read(&me().id, node(Some(&["a", "b"]), 1));
    group.heartbeat_sent(at(0));
    group.earned(at(0));
    group.new_connection();
    assert_eq!(group.to_ask(), Some(ids(&["b"])));
    group.heartbeat_sent(at(200));
    group.earned(at(200));
    assert_eq!(group.to_ask(), None, "its registration may be gone");
}

#[test]
fn whoever_takes_part_names_whom_it_asks_and_how_long_it_goes_on_at_most() {
    let mut group = FailsafeGroup::new(me());
    listed(&mut group, &["b", "c", "d"], 1);
    group.read(&KeeperId::new("b"), node(Some(&["a", "b"]), 1));
    group.read(&KeeperId::new("c"), node(Some(&["b", "c"]), 1));
    group.read(&KeeperId::new("d"), node(None, 1));
    assert!(group.complete());
    let asked = |keeper| group.asked_by(&KeeperId::new(keeper));
    let limit = Duration::from_secs(9);
    assert_eq!(asked("b"), Some((&ids(&["a", "b"]), limit)));
    assert_eq!(asked("c"), Some((&ids(&["b", "c"]), limit)));
    assert_eq!((asked("d"), asked("e")), (None, None));
    group.changed(Some(&KeeperId::new("d")));
    assert!(!group.complete());
}

#[test]
fn a_keeper_of_a_former_build_asks_no_process_but_an_address() {
    let mut group = FailsafeGroup::new(me());
    listed(&mut group, &["b", "c"], 1);
    let former = |asks| FailsafeMember {
        nonce: None,
        ..registration(asks)
    };
    let everybody = former(Some(&["a", "b", "c"]));
    group.read(&KeeperId::new("b"), written(everybody, 1));
    let present = registration(Some(&["a", "b", "c"]));
    group.read(&KeeperId::new("c"), written(present, 1));
    let asks = |keeper| group.asks_processes(&KeeperId::new(keeper));
    assert_eq!(["b", "c", "d"].map(asks), [false, true, false]);
}

#[test]
fn what_another_process_of_this_id_has_registered_is_no_list_of_this_one() {
    let mut group = FailsafeGroup::new(me());
    listed(&mut group, &["a", "b"], 1);
    let another = FailsafeMember {
        nonce: Some(Nonce::drawn(2)),
        ..registration(Some(&["a", "b"]))
    };
    group.read(&me().id, written(another, 1));
    assert!(!group.has_registered());
    group.heartbeat_sent(at(0));
    group.earned(at(0));
    assert_eq!(group.to_ask(), None);
    let own = registration(None);
    let declare = Amendment::Declare(registration(Some(&["a", "b"])), 1);
    assert_eq!(group.amendment(Some(&own)), Some(declare));
    group.read(&me().id, node(Some(&["a", "b"]), 2));
    assert!(group.has_registered());
    group.new_connection();
    assert!(!group.has_registered(), "not read on this connection");
}
