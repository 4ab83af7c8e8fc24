use super::*;

fn at(milliseconds: u64) -> Moment {
    Moment(Duration::from_millis(milliseconds))
}

fn ids(names: &[&str]) -> BTreeSet<KeeperId> {
    names.iter().map(|name| KeeperId::new(*name)).collect()
}

fn registration(asks: Option<&[&str]>) -> Registration {
    Registration {
        rest: "there:1".to_owned(),
        asks: asks.map(ids),
        limit: Duration::from_secs(9),
    }
}

fn node(asks: Option<&[&str]>, version: i32) -> Node {
    Node {
        data: registration(asks).encode(),
        version,
        created: 1,
        owner: 0,
    }
}

/// The circle of keeper `a`, as listed; nothing else is read.
fn listed(circle: &mut Circle, names: &[&str], changes: i32) {
    let names = names.iter().map(ToString::to_string).collect();
    circle.listed(Children { names, changes });
}

fn me() -> KeeperId {
    KeeperId::new("a")
}

#[test]
fn a_keeper_registers_then_declares_whom_it_reads_after_that() {
    let own = registration(None);
    let mut circle = Circle::new(me());
    assert_eq!(circle.amendment(Some(&own)), None, "nothing is read yet");
    listed(&mut circle, &["b"], 1);
    let register = Amendment::Register(own.clone());
    assert_eq!(circle.amendment(Some(&own)), Some(register));
    listed(&mut circle, &["a", "b"], 2);
    assert_eq!(circle.amendment(Some(&own)), None, "its own is not read");
    circle.read(&me(), Some(&node(None, 0)));
    let declare = Amendment::Declare(registration(Some(&["a", "b"])), 0);
    assert_eq!(circle.amendment(Some(&own)), Some(declare));
    circle.read(&me(), Some(&node(Some(&["a", "b"]), 1)));
    assert_eq!(circle.amendment(Some(&own)), None);
    assert_eq!(circle.amendment(None), Some(Amendment::Withdraw(1)));
}

#[test]
fn a_list_counts_once_a_heartbeat_sent_after_it_was_read_back_has_earned_a_lease() {
    let mut circle = Circle::new(me());
    listed(&mut circle, &["a", "b"], 1);
    circle.beat(at(0));
    circle.sending(&registration(Some(&["a", "b"])));
    circle.read(&me(), Some(&node(Some(&["a", "b"]), 1)));
    circle.earned(at(0));
    assert_eq!(circle.to_ask(), None);
    circle.beat(at(200));
    circle.earned(at(200));
    assert_eq!(circle.to_ask(), Some(ids(&["b"])));
}

#[test]
fn every_list_sent_since_is_asked_too() {
    let mut circle = Circle::new(me());
    listed(&mut circle, &["a", "b"], 1);
    circle.read(&me(), Some(&node(Some(&["a", "b"]), 1)));
    circle.beat(at(0));
    circle.earned(at(0));
    listed(&mut circle, &["a", "b", "c"], 2);
    circle.sending(&registration(Some(&["a", "b", "c"])));
    assert_eq!(circle.to_ask(), Some(ids(&["b", "c"])), "it may be there");
    listed(&mut circle, &["a", "c"], 3);
    circle.sending(&registration(Some(&["a", "c"])));
    assert_eq!(
        circle.to_ask(),
        Some(ids(&["b", "c"])),
        "neither is confirmed"
    );
    circle.read(&me(), Some(&node(Some(&["a", "c"]), 3)));
    circle.beat(at(200));
    circle.earned(at(200));
    assert_eq!(circle.to_ask(), Some(ids(&["c"])));
}

#[test]
fn on_a_new_connection_the_last_list_still_binds_and_a_heartbeat_without_one_ends_it() {
    let mut circle = Circle::new(me());
    listed(&mut circle, &["a", "b"], 1);
    circle.read(&me(), Some(&node(Some(&["a", "b"]), 1)));
    circle.beat(at(0));
    circle.earned(at(0));
    circle.new_connection();
    assert_eq!(circle.to_ask(), Some(ids(&["b"])));
    circle.beat(at(200));
    circle.earned(at(200));
    assert_eq!(circle.to_ask(), None, "its registration may be gone");
}

#[test]
fn whoever_takes_part_names_whom_it_asks_and_how_long_it_goes_on_at_most() {
    let mut circle = Circle::new(me());
    listed(&mut circle, &["b", "c", "d"], 1);
    circle.read(&KeeperId::new("b"), Some(&node(Some(&["a", "b"]), 1)));
    circle.read(&KeeperId::new("c"), Some(&node(Some(&["b", "c"]), 1)));
    circle.read(&KeeperId::new("d"), Some(&node(None, 1)));
    assert!(circle.complete());
    let asked = |keeper| circle.asked_by(&KeeperId::new(keeper));
    let limit = Duration::from_secs(9);
    assert_eq!(asked("b"), Some((&ids(&["a", "b"]), limit)));
    assert_eq!(asked("c"), Some((&ids(&["b", "c"]), limit)));
    assert_eq!((asked("d"), asked("e")), (None, None));
    circle.changed(Some(&KeeperId::new("d")));
    assert!(!circle.complete());
}
