//! The events and holds of a cluster that are logged, and their words.

use std::time::Duration;

use super::{
    Done, Event, HoldNews, HoldsTold, ObstacleNews, Obstacles, Story, View, Weight, choice,
};
use crate::domain::drain::{Drain, Proxy};
use crate::domain::liveness::DownReason;
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::domain::plan::tests::builder::{Cluster, NOW, addr, cluster};
use crate::domain::plan::{Hold, Plan};

mod called_off;

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let mut cluster = cluster.published("a");
    for node in cluster.observed.nodes.values_mut() {
        node.observation.last_alive = Some(NOW);
        node.observation.answering_since = Some(NOW);
    }
    cluster
}

fn later(ms: u64) -> Moment {
    NOW.after(Duration::from_millis(ms))
}

/// The primary has refused connections since its last answer, and no keeper votes yet.
fn refusing() -> Cluster {
    trio()
        .silent("a")
        .observation("a", |seen| seen.refused = true)
}

/// The keepers, this one included, hold the primary down.
fn held_down() -> Cluster {
    let cluster = refusing().down("a");
    cluster.observation("a", |seen| seen.vote = Some(DownReason::Refused))
}

fn withdrawn(cluster: Cluster) -> Cluster {
    let mut cluster = cluster.withdrawn("a");
    let state = cluster.observed.published.as_mut().expect("published");
    state.generation = Generation(2);
    state.by = Some(KeeperId::new("keeper-2"));
    cluster
}

/// `b` is promoted and published, and follows no node any more.
fn published(cluster: Cluster) -> Cluster {
    let mut cluster = cluster.promoted("b");
    let state = cluster.observed.published.as_mut().expect("published");
    state.primary = Some(addr("b"));
    state.intent = None;
    state.generation = Generation(3);
    cluster
}

fn look(story: &mut Story, cluster: &Cluster, leads: bool, ms: u64) -> Vec<Event> {
    let plan = if leads {
        cluster.plan()
    } else {
        Plan::default()
    };
    story.look(View {
        observed: &cluster.observed,
        plan: &plan,
        leads,
        now: later(ms),
    })
}

#[test]
fn a_silent_primary_is_told_after_a_second_once_with_the_time_at_which_it_is_down() {
    let mut story = Story::default();
    look(&mut story, &trio(), false, 0);
    assert_eq!(look(&mut story, &refusing(), false, 400), []);
    assert_eq!(story.again(), Some(later(1_000)));
    let told = look(&mut story, &refusing(), false, 1_000);
    let [
        Event::Silent {
            node,
            is_primary: true,
            silence,
        },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(*node, addr("a"));
    assert_eq!(
        silence.to_string(),
        "refused for 1.0 s, down at 5.0 s if 2 of 3 keepers agree"
    );
    assert_eq!(look(&mut story, &refusing(), false, 2_000), []);
    assert_eq!(story.again(), None);
    let back = trio().observation("a", |seen| seen.answering_since = Some(later(3_000)));
    let answers = Event::Answers {
        node: addr("a"),
        after: Some(Duration::from_secs(3)),
    };
    assert_eq!(look(&mut story, &back, false, 3_000), [answers]);
}

#[test]
fn a_node_that_was_never_seen_alive_has_no_time_at_which_it_is_down() {
    let mut story = Story::default();
    let cluster = trio().silent("c").observation("c", |seen| {
        seen.last_alive = None;
        seen.trouble = Some("no answer within 1s".to_owned());
    });
    look(&mut story, &cluster, false, 0);
    let told = look(&mut story, &cluster, false, 1_000);
    let [
        Event::Silent {
            is_primary: false,
            silence,
            ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(
        silence.to_string(),
        "no answer within 1s for 1.0 s, not seen alive before"
    );
}

#[test]
fn this_keepers_own_vote_is_told_when_it_begins_and_when_it_ends_without_an_answer() {
    let mut story = Story::default();
    look(&mut story, &trio(), false, 0);
    let voted = Event::VotedDown {
        node: addr("a"),
        reason: DownReason::Refused,
    };
    assert_eq!(look(&mut story, &held_down(), false, 5_000), [voted]);
    assert_eq!(look(&mut story, &held_down(), false, 6_000), []);
    let ended = look(&mut story, &refusing().down("a"), false, 7_000);
    assert_eq!(ended, [Event::VoteWithdrawn { node: addr("a") }]);
}

#[test]
fn the_leader_tells_how_long_nobody_was_writable_and_what_the_new_primary_lacks() {
    let mut story = Story::default();
    let behind = |cluster: Cluster| cluster.with("b", |facts| facts.offset = 970);
    look(&mut story, &trio(), true, 0);
    look(&mut story, &held_down(), true, 5_000);
    // The other replica may not be promoted.
    let election = withdrawn(held_down()).upstream("c", |upstream| upstream.priority = 0);
    let election = behind(election);
    assert_eq!(look(&mut story, &election, true, 5_100), []);
    assert_eq!(story.lacks(&addr("b")), Some(30));
    let done = look(&mut story, &published(election), true, 5_250);
    assert_eq!(
        done,
        [Event::Done(Done {
            from: Some(addr("a")),
            to: addr("b"),
            switchover: false,
            generation: Generation(3),
            not_writable: Some(Duration::from_millis(5_250)),
            lacked: Some(30),
            another_process: false,
        })]
    );
}

#[test]
fn another_process_at_the_old_address_is_not_the_same_primary() {
    let back = |process: &str| {
        let mut story = Story::default();
        look(&mut story, &trio(), true, 0);
        look(&mut story, &withdrawn(held_down()), true, 5_100);
        let mut again = trio();
        let state = again.observed.published.as_mut().expect("a state");
        state.run_id = Some(process.to_owned());
        state.generation = Generation(3);
        let done = look(&mut story, &again, true, 5_250);
        let done = done.into_iter().find_map(|event| match event {
            Event::Done(done) => Some(done),
            _ => None,
        });
        done.expect("an end").another_process
    };
    assert!(!back("process of a"));
    assert!(back("second process of a"));
}

#[test]
fn a_leader_that_began_after_the_withdrawal_tells_no_figures_that_it_has_not_measured() {
    let mut story = Story::default();
    let election = withdrawn(held_down());
    look(&mut story, &election, true, 5_100);
    assert_eq!(story.lacks(&addr("b")), None);
    let done = look(&mut story, &published(election), true, 5_250);
    let [Event::Done(done)] = &done[..] else {
        panic!("{done:?}")
    };
    assert_eq!((done.not_writable, done.lacked), (None, None));
}

#[test]
fn other_keepers_tell_who_withdrew_and_published_and_who_follows() {
    let mut story = Story::default();
    let first = look(&mut story, &trio(), false, 0);
    let read = Event::Published {
        primary: addr("a"),
        by: None,
        generation: Generation(1),
    };
    assert_eq!(first, [read], "as it is read first");
    look(&mut story, &held_down(), false, 5_000);
    let by = Some(KeeperId::new("keeper-2"));
    let gone = withdrawn(held_down());
    assert_eq!(
        look(&mut story, &gone, false, 5_100),
        [Event::Withdrawn {
            node: Some(addr("a")),
            by: by.clone(),
            generation: Generation(2),
            reason: "test".to_owned(),
            switchover: false,
        }]
    );
    let new = published(gone);
    let told = Event::Published {
        primary: addr("b"),
        by,
        generation: Generation(3),
    };
    assert_eq!(look(&mut story, &new, false, 5_200), [told]);

    let follows = |node: &str, is_back| Event::Follows {
        node: addr(node),
        primary: addr("b"),
        is_back,
    };
    let joined = new.upstream("c", |upstream| upstream.primary = addr("b"));
    assert_eq!(
        look(&mut story, &joined, false, 5_300),
        [follows("c", false)]
    );
    assert_eq!(look(&mut story, &joined, false, 5_400), []);
    let state = joined.state().clone();
    let mut back = cluster().primary("b").replica("a", "b").replica("c", "b");
    back.observed.published = Some(state);
    let told = look(&mut story, &back, false, 9_000);
    assert!(told.contains(&follows("a", true)), "{told:?}");
    assert_eq!(look(&mut story, &back, false, 9_100), []);
}

#[test]
fn haproxies_that_are_waited_for_are_named_once_for_each_withdrawal() {
    let mut story = Story::default();
    let mut cluster = withdrawn(held_down());
    let proxy = Proxy {
        name: "proxy-1".to_owned(),
        backend: "redis".to_owned(),
        address: None,
    };
    cluster.observed.withdrawal.drain = Some(Drain {
        since: NOW,
        last_lease: None,
        untold: [].into(),
        up: [proxy].into(),
        more: false,
    });
    look(&mut story, &held_down(), true, 0);
    let told = look(&mut story, &cluster, true, 0);
    let [Event::Draining { node, proxies, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((node, proxies.len()), (&addr("a"), 1));
    assert_eq!(look(&mut story, &cluster, true, 100), []);
}

fn chosen(cluster: &Cluster) -> String {
    let choice = choice(&addr("b"), &cluster.observed, &cluster.policy, NOW);
    choice.expect("it answers").lacking(Some(0)).to_string()
}

#[test]
fn the_choice_of_a_candidate_names_its_merit_and_what_is_against_each_other_node() {
    let cluster = || withdrawn(held_down());
    let behind = cluster().with("c", |facts| facts.offset = 880);
    assert_eq!(
        chosen(&behind),
        "has most data (lacks 0 bytes), priority 100; c:6379 not: 120 bytes behind"
    );
    let later = cluster().upstream("c", |upstream| upstream.priority = 200);
    assert_eq!(
        chosen(&later),
        "has as much data as any (lacks 0 bytes), priority 100; c:6379 not: priority 200"
    );
    let refused = cluster().upstream("c", |upstream| upstream.priority = 0);
    assert_eq!(
        chosen(&refused),
        "is the only one that may take over (lacks 0 bytes), priority 100; c:6379 not: it has priority 0"
    );
    let alike = cluster();
    assert_eq!(
        chosen(&alike),
        "has as much data as any (lacks 0 bytes), priority 100; c:6379 not: alike, and its name comes later"
    );
}

fn words(news: &[ObstacleNews]) -> Vec<String> {
    let word = |news: &ObstacleNews| match news {
        ObstacleNews::Obstructed(why) => format!("{} {why}", why.all),
        ObstacleNews::Clear => "clear".to_owned(),
    };
    news.iter().map(word).collect()
}

#[test]
fn one_obstacle_at_all_nodes_is_told_once_however_each_of_them_puts_it() {
    let mut obstacles = Obstacles::default();
    assert_eq!(obstacles.look(&trio().observed, NOW), []);
    let refuse = |cluster: Cluster, name: &str| {
        cluster.observation(name, |seen| {
            seen.login_refused = Some(format!("WRONGPASS at {name}"));
        })
    };
    let two = refuse(refuse(trio(), "a"), "b");
    assert_eq!(obstacles.look(&two.observed, NOW), []);
    let all = two.noauth("c");
    assert_eq!(
        obstacles.look(&all.observed, later(1_000)),
        [],
        "it settles"
    );
    assert_eq!(obstacles.again(), Some(later(3_000)));
    let told = obstacles.look(&all.observed, later(3_000));
    assert_eq!(
        words(&told),
        [
            "true the password is refused by all 3 nodes (WRONGPASS at a): correct redis.username or redis.password, or the \
          nodes' user"
        ]
    );
    assert_eq!(obstacles.look(&all.observed, later(60_000)), []);
    assert_eq!(obstacles.look(&trio().observed, later(61_000)), []);
    assert_eq!(
        words(&obstacles.look(&trio().observed, later(63_000))),
        ["clear"]
    );
}

#[test]
fn nodes_with_different_obstacles_are_named_by_each() {
    let mut obstacles = Obstacles::default();
    let cluster = trio().observation("a", |seen| {
        seen.login_refused = Some("WRONGPASS".to_owned());
    });
    let cluster = cluster.observation("b", |seen| {
        seen.commandable = Some(Err("its user may not run REPLICAOF".to_owned()));
    });
    obstacles.look(&cluster.observed, NOW);
    assert_eq!(
        words(&obstacles.look(&cluster.observed, later(2_000))),
        [
            "false the password is refused by a:6379 (WRONGPASS): correct redis.username or redis.password, or the nodes' user",
            "false commands would not be carried out by b:6379: its user may not run REPLICAOF",
        ]
    );
}

#[test]
fn a_link_that_is_being_made_is_no_news_and_one_that_is_not_made_is() {
    let mut holds = HoldsTold::default();
    let unlinked = [Hold::NotLinked(addr("c"))];
    assert_eq!(holds.look(&unlinked, NOW), []);
    assert_eq!(holds.look(&unlinked, later(9_000)), []);
    assert_eq!(holds.again(), Some(later(10_000)));
    assert_eq!(holds.look(&[], later(9_500)), []);
    assert_eq!(holds.look(&unlinked, later(9_600)), [], "anew");
    let told = holds.look(&unlinked, later(19_600));
    let [unlinked_now] = unlinked.clone();
    assert_eq!(told, [HoldNews::Stands(Weight::Lasting, unlinked_now)]);
    assert_eq!(holds.look(&unlinked, later(60_000)), []);
}

#[test]
fn the_end_of_a_hold_is_told_if_the_hold_was() {
    let mut holds = HoldsTold::default();
    let hold = Hold::NoNodeUp;
    let present = [hold.clone()];
    assert_eq!(holds.look(&present, NOW), []);
    assert_eq!(holds.look(&[], later(500)), [], "not told, so no end");
    assert_eq!(holds.look(&present, later(600)), []);
    let stands = HoldNews::Stands(Weight::Lasting, hold.clone());
    assert_eq!(holds.look(&present, later(1_600)), [stands]);
    assert_eq!(holds.look(&[], later(5_000)), []);
    assert_eq!(holds.look(&present, later(5_500)), [], "back at once");
    assert_eq!(holds.look(&[], later(6_000)), []);
    assert_eq!(holds.again(), Some(later(7_000)));
    assert_eq!(holds.look(&[], later(7_000)), [HoldNews::Over(hold)]);
    assert_eq!(holds.look(&[], later(9_000)), []);
}

#[test]
fn the_end_of_a_hold_is_told_in_whatever_words_the_hold_was() {
    let mut holds = HoldsTold::default();
    let failed = |why: &str| Hold::FailedLately {
        node: addr("b"),
        why: why.to_owned(),
    };
    holds.look(&[failed("once")], NOW);
    assert_eq!(holds.look(&[failed("once")], later(1_000)).len(), 1);
    assert_eq!(holds.look(&[failed("twice")], later(1_100)), [], "too soon");
    holds.look(&[], later(1_200));
    let over = holds.look(&[], later(2_200));
    assert_eq!(over, [HoldNews::Over(failed("twice"))]);
}

#[test]
fn a_hold_that_comes_and_goes_is_told_ever_more_rarely() {
    let mut holds = HoldsTold::default();
    let mut told = 0;
    for second in 0..600 {
        let stands = second % 5 < 3;
        let held = [Hold::NoNodeUp];
        let held = if stands { &held[..] } else { &[] };
        told += holds.look(held, later(second * 1_000)).len();
    }
    assert!((10..40).contains(&told), "{told}");
}

#[test]
fn a_hold_that_changes_its_words_all_the_time_is_told_ever_more_rarely() {
    let mut holds = HoldsTold::default();
    let failed = |why: u64| {
        [Hold::FailedLately {
            node: addr("b"),
            why: why.to_string(),
        }]
    };
    let mut told = Vec::new();
    for tenth in 0..3_000 {
        let news = holds.look(&failed(tenth), later(tenth * 100));
        told.extend(news.iter().map(|_| tenth / 10));
    }
    assert_eq!(told, [1, 2, 4, 8, 16, 32, 64, 124, 184, 244]);
}
