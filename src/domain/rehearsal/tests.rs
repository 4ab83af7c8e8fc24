use super::*;
use crate::domain::identity::Nonce;

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn process(id: &str, bits: u64) -> KeeperProcess {
    KeeperProcess::new(KeeperId::new(id), Nonce::drawn(bits))
}

fn ids(names: &[&str]) -> Vec<KeeperId> {
    names.iter().map(|name| KeeperId::new(*name)).collect()
}

fn due(rehearsals: &mut Rehearsals, names: &[&str], now: u64) -> Vec<KeeperId> {
    let advertised: Vec<_> = names.iter().map(|name| (*name, *name, 1)).collect();
    due_at(rehearsals, &advertised, now)
}

/// The rehearsals that are due with keepers at these hosts, each with the bits that its process has drawn.
fn due_at(rehearsals: &mut Rehearsals, keepers: &[(&str, &str, u64)], now: u64) -> Vec<KeeperId> {
    let advertised = |(id, host, bits): &(&str, &str, u64)| {
        let advertised = Advertised {
            rest: format!("{host}:1"),
            nonce: Some(Nonce::drawn(*bits)),
        };
        (KeeperId::new(*id), advertised)
    };
    let keepers: Vec<_> = keepers.iter().map(advertised).collect();
    let keepers = keepers
        .iter()
        .map(|(id, advertised)| (id, advertised.clone()));
    rehearsals.due(&process("a", 1), keepers, at(now))
}

fn unreachable() -> RehearsalObstacle {
    RehearsalObstacle::Unreachable("refused".to_owned())
}

#[test]
fn each_keeper_is_tried_soon_after_it_is_known_and_then_once_a_minute() {
    let mut rehearsals = Rehearsals::default();
    assert_eq!(due(&mut rehearsals, &["b", "c"], 100), []);
    assert_eq!(due(&mut rehearsals, &["b", "c"], 105), ids(&["b", "c"]));
    assert_eq!(due(&mut rehearsals, &["b", "c"], 106), [], "under way");
    let b = KeeperId::new("b");
    for now in [66, 76, 86, 96, 106] {
        assert_eq!(rehearsals.ended(&b, Ok(()), at(now)), None);
        assert_eq!(due(&mut rehearsals, &["b"], now + 9), []);
    }
    assert_eq!(due(&mut rehearsals, &["b"], 165), []);
    assert_eq!(due(&mut rehearsals, &["b"], 166), ids(&["b"]));
    rehearsals.pause();
    assert_eq!(due(&mut rehearsals, &["b"], 500), [], "begun anew");
    assert_eq!(due(&mut rehearsals, &["b"], 505), ids(&["b"]));
}

#[test]
fn an_obstacle_is_told_once_after_two_failures_and_so_is_its_end() {
    let (mut rehearsals, b) = (Rehearsals::default(), KeeperId::new("b"));
    due(&mut rehearsals, &["b"], 0);
    assert_eq!(due(&mut rehearsals, &["b"], 5), ids(&["b"]));
    assert_eq!(rehearsals.ended(&b, Err(unreachable()), at(5)), None);
    assert_eq!(rehearsals.reported_obstacles().count(), 0);
    assert_eq!(due(&mut rehearsals, &["b"], 14), []);
    assert_eq!(due(&mut rehearsals, &["b"], 15), ids(&["b"]));
    let told = rehearsals.ended(&b, Err(unreachable()), at(15));
    assert_eq!(told, Some(RehearsalNews::Obstructed(unreachable())));
    assert_eq!(rehearsals.ended(&b, Err(unreachable()), at(75)), None);
    let other = RehearsalObstacle::Refused("404".to_owned());
    let told = rehearsals.ended(&b, Err(other.clone()), at(135));
    assert_eq!(told, Some(RehearsalNews::Obstructed(other)));
    assert_eq!(rehearsals.reported_obstacles().count(), 1);
    assert_eq!(
        rehearsals.ended(&b, Ok(()), at(195)),
        Some(RehearsalNews::Clear)
    );
    assert_eq!(rehearsals.ended(&b, Ok(()), at(255)), None);
    let tried = rehearsals.tried().next().expect("b was tried").1;
    assert_eq!((tried.tried, tried.obstacle), (at(255), None));
}

/// As behind a load balancer.
#[test]
fn another_keepers_answer_is_told_at_once_and_until_the_right_one_has_answered_five_times_in_a_row()
{
    let (mut rehearsals, b) = (Rehearsals::default(), KeeperId::new("b"));
    due(&mut rehearsals, &["b"], 0);
    for astray in [
        RehearsalObstacle::Myself,
        RehearsalObstacle::Other(process("c", 3)),
    ] {
        let told = rehearsals.ended(&b, Err(astray.clone()), at(5));
        assert_eq!(told, Some(RehearsalNews::Obstructed(astray.clone())));
        for now in [15, 25, 35, 45] {
            assert_eq!(rehearsals.ended(&b, Ok(()), at(now)), None);
        }
        assert_eq!(
            rehearsals.ended(&b, Err(astray.clone()), at(55)),
            None,
            "still"
        );
        for now in [65, 75, 85, 95] {
            assert_eq!(rehearsals.ended(&b, Ok(()), at(now)), None);
        }
        let tried = rehearsals.tried().next().expect("b was tried").1;
        assert_eq!(tried.obstacle, Some(astray), "it stands");
        assert_eq!(
            rehearsals.ended(&b, Ok(()), at(105)),
            Some(RehearsalNews::Clear)
        );
    }
    // A restart is no such proof.
    let restarted = Err(RehearsalObstacle::Other(process("b", 9)));
    assert_eq!(rehearsals.ended(&b, restarted, at(115)), None);
}

#[test]
fn a_keeper_that_is_gone_is_forgotten() {
    let (mut rehearsals, b) = (Rehearsals::default(), KeeperId::new("b"));
    due(&mut rehearsals, &["b"], 0);
    for now in [5, 15] {
        rehearsals.ended(&b, Err(unreachable()), at(now));
    }
    due(&mut rehearsals, &["c"], 20);
    assert_eq!(rehearsals.reported_obstacles().count(), 0);
    assert_eq!(rehearsals.ended(&b, Ok(()), at(21)), None);
}

#[test]
fn whoever_answers_is_told_apart() {
    let (me, asked) = (process("a", 1), process("b", 2));
    assert_eq!(answered(&asked, asked.clone(), &me), Ok(()));
    assert_eq!(
        answered(&asked, me.clone(), &me),
        Err(RehearsalObstacle::Myself)
    );
    for other in [process("c", 3), process("b", 9)] {
        let obstacle = RehearsalObstacle::Other(other.clone());
        assert_eq!(answered(&asked, other, &me), Err(obstacle));
    }
}

fn addresses(texts: &[&str]) -> BTreeSet<SocketAddr> {
    let parsed = texts.iter().map(|text| text.parse().expect("an address"));
    parsed.collect()
}

#[test]
fn a_loopback_address_is_good_only_among_keepers_at_one_place() {
    let near = addresses(&["127.0.1.1:1", "[::1]:1"]);
    assert_eq!(own_address(&near, false), Ok(()));
    assert_eq!(own_address(&near, true), Err(RehearsalObstacle::Loopback));
    let far = addresses(&["127.0.1.1:1", "10.0.0.1:1"]);
    assert_eq!(own_address(&far, true), Ok(()));
}

#[test]
fn keepers_share_an_address_by_its_name_or_by_what_it_resolves_to() {
    let (b, c) = (KeeperId::new("b"), KeeperId::new("c"));
    let (one, two) = (addresses(&["10.0.0.1:1"]), addresses(&["10.0.0.2:1"]));
    let shares = |rest, resolved, other_rest, other_resolved| {
        let address = Address { rest, resolved };
        let other = Address {
            rest: other_rest,
            resolved: other_resolved,
        };
        let all = Addresses::from([(&b, address), (&c, other)]);
        assert_eq!(sharing(&c, &all).is_some(), sharing(&b, &all).is_some());
        two_sharing(&all) == Some((&b, &c))
    };
    assert!(shares("Host:1", None, "host:1", None));
    assert!(shares("host:1", Some(&one), "other:1", Some(&one)));
    assert!(!shares("host:1", Some(&one), "other:1", Some(&two)));
    assert!(!shares("host:1", None, "other:1", Some(&two)));
}

#[test]
fn the_process_is_reached_for_as_long_as_a_rehearsal_from_elsewhere_proves() {
    let mut rehearsals = Rehearsals::default();
    assert!(!rehearsals.is_reached(at(1)));
    rehearsals.reached(at(1));
    assert!(rehearsals.is_reached(at(150)));
    assert!(!rehearsals.is_reached(at(151)));
}

#[test]
fn a_keeper_that_is_gone_and_has_anothers_address_is_its_predecessor() {
    let (new, old) = (KeeperId::new("k1x"), KeeperId::new("k1"));
    let predecessor = RehearsalObstacle::Predecessor {
        gone: old.clone(),
        of: new.clone(),
    };
    let online = |it: &KeeperId| *it == new;
    assert_eq!(RehearsalObstacle::shared(&new, &old, online), predecessor);
    assert_eq!(RehearsalObstacle::shared(&old, &new, online), predecessor);
    assert!(
        predecessor
            .to_string()
            .ends_with("DELETE /admin/keepers/k1 (needs admin-operations: true)")
    );
    for both in [true, false] {
        let shared = RehearsalObstacle::shared(&new, &old, |_| both);
        assert_eq!(shared, RehearsalObstacle::SharedAddress(old.clone()));
    }
}

#[test]
fn an_obstacle_is_dropped_with_the_address_or_the_process_that_it_was_found_with() {
    let b = KeeperId::new("b");
    for (host, bits) in [("b", 2), ("elsewhere", 1)] {
        let mut rehearsals = Rehearsals::default();
        due(&mut rehearsals, &["b", "c"], 0);
        rehearsals.resolved(&b, addresses(&["10.0.0.2:1"]));
        for now in [5, 15] {
            rehearsals.ended(&b, Err(unreachable()), at(now));
        }
        assert_eq!(rehearsals.reported_obstacles().count(), 1);
        let now = [("b", host, bits), ("c", "c", 1)];
        assert_eq!(
            due_at(&mut rehearsals, &now[..1], 16),
            ids(&["b"]),
            "at once"
        );
        assert_eq!(rehearsals.reported_obstacles().count(), 0);
        assert_eq!(rehearsals.tried().count(), 0);
        assert_eq!(rehearsals.addresses(&b), Some(&BTreeSet::new()));
        assert_eq!(due_at(&mut rehearsals, &now[..1], 17), [], "under way");
        let over = rehearsals.ended(&b, Ok(()), at(17));
        assert_eq!(over, Some(RehearsalNews::Clear), "what was told is over");
        assert_eq!(rehearsals.ended(&b, Ok(()), at(27)), None);
    }
}

#[test]
fn an_obstacle_is_dropped_with_the_other_keeper_that_it_was_found_with() {
    let [b, c] = ["b", "c"].map(KeeperId::new);
    let shared = RehearsalObstacle::SharedAddress(c.clone());
    let predecessor = RehearsalObstacle::Predecessor {
        gone: c.clone(),
        of: b.clone(),
    };
    let other = RehearsalObstacle::Other(process("c", 1));
    let (same, moved) = (("b", "b", 1), ("c", "elsewhere", 1));
    let (restarted, gone) = (("c", "c", 2), ("d", "d", 1));
    for obstacle in [shared, predecessor, other] {
        for change in [moved, restarted, gone] {
            let mut rehearsals = Rehearsals::default();
            due(&mut rehearsals, &["b", "c"], 0);
            rehearsals.ended(&b, Err(obstacle.clone()), at(5));
            let due = due_at(&mut rehearsals, &[same, change], 6);
            assert!(due.contains(&b), "{obstacle}, {change:?}");
            let standing = rehearsals.tried().filter(|(keeper, _)| **keeper == b);
            assert_eq!(standing.count(), 0, "{obstacle}, {change:?}");
        }
    }
}

#[test]
fn what_is_read_of_a_keeper_for_the_first_time_is_no_change() {
    let mut rehearsals = Rehearsals::default();
    let b = KeeperId::new("b");
    let unread = Advertised {
        rest: String::new(),
        nonce: None,
    };
    rehearsals.due(&process("a", 1), [(&b, unread)].into_iter(), at(0));
    assert_eq!(due(&mut rehearsals, &["b"], 0), []);
    assert_eq!(due(&mut rehearsals, &["b"], 5), ids(&["b"]));
}
