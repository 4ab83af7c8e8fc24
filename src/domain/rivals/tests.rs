use std::time::Duration;

use super::super::group::GroupCluster;
use super::super::node::{ClusterName, KeeperId};
use super::*;

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(1_000 + seconds))
}

fn node(number: u8) -> NodeAddr {
    NodeAddr::new(format!("10.0.0.{number}"), 6379)
}

fn name(group: u64, keeper: &str) -> ProbeName {
    ProbeName {
        group: GroupToken::drawn(group),
        keeper: KeeperId::new(keeper),
        rest: format!("{keeper}:46379").parse().unwrap(),
    }
}

/// Keeper `keeper` of `group`, which manages the nodes 1 and 2.
fn answer(group: u64, keeper: &str) -> GroupAnswer {
    GroupAnswer {
        group: GroupToken::drawn(group),
        keeper: KeeperId::new(keeper),
        place: "zookeeper z:2181/typo".to_owned(),
        clusters: vec![GroupCluster {
            name: ClusterName::new("theirs"),
            nodes: [1, 2].map(|it| (node(it), BTreeSet::new())).to_vec(),
            primary: Some(node(1)),
            paused: false,
        }],
    }
}

fn watching() -> Rivals {
    let mut rivals = Rivals::default();
    rivals.own_is(GroupToken::drawn(1), KeeperId::new("me"));
    rivals
}

/// The keepers that are asked now; `answer` says what each answers.
fn ask(
    rivals: &mut Rivals,
    now: Moment,
    answer: impl Fn(&ProbeName) -> Result<GroupAnswer, String>,
) -> Vec<String> {
    let asked = rivals.due(now);
    for (name, _) in &asked {
        rivals.answered(name, answer(name), now);
    }
    asked
        .iter()
        .map(|(name, _)| name.keeper.to_string())
        .collect()
}

fn of(rivals: &Rivals, numbers: &[u8], now: Moment) -> Vec<OtherGroup> {
    let nodes: Vec<_> = numbers
        .iter()
        .map(|it| (node(*it), BTreeSet::new()))
        .collect();
    let nodes = nodes.iter().map(|(addr, addresses)| (addr, addresses));
    of_cluster(&rivals.known(now), &nodes, now)
}

#[test]
fn a_group_is_a_rival_at_once_and_for_thirty_seconds_after_its_last_answer() {
    let mut rivals = watching();
    rivals.met(&node(1), [name(2, "x")], at(0));
    let honest = |it: &ProbeName| Ok(answer(2, it.keeper.as_str()));
    assert_eq!(ask(&mut rivals, at(0), honest), ["x"]);
    assert_eq!(of(&rivals, &[1, 2], at(0)).len(), 1);
    assert_eq!(
        of(&rivals, &[1, 2], at(5)),
        [],
        "one answer counts for less"
    );
    assert_eq!(rivals.next(at(0)), Some(at(2)));
    assert_eq!(ask(&mut rivals, at(1), honest), [""; 0]);
    assert_eq!(ask(&mut rivals, at(2), honest), ["x"]);
    let known = of(&rivals, &[1, 2, 3], at(2));
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].keeper, KeeperId::new("x"));
    assert_eq!(known[0].primary, Some(node(1)));
    assert_eq!(of(&rivals, &[1], at(31)).len(), 1);
    assert_eq!(of(&rivals, &[1], at(32)), []);
}

#[test]
fn a_name_alone_holds_nothing() {
    type Answers<'a> = &'a dyn Fn(&ProbeName) -> Result<GroupAnswer, String>;
    let silent = |_: &ProbeName| Err("no answer".to_owned());
    let another = |_: &ProbeName| Ok(answer(2, "somebody-else"));
    let regrouped = |it: &ProbeName| Ok(answer(3, it.keeper.as_str()));
    let ours = |it: &ProbeName| Ok(answer(1, it.keeper.as_str()));
    let answers: [Answers<'_>; 4] = [&silent, &another, &regrouped, &ours];
    for answered in answers {
        let mut rivals = watching();
        for second in 0..600 {
            rivals.met(&node(1), [name(2, "x")], at(second));
            ask(&mut rivals, at(second), answered);
            assert_eq!(of(&rivals, &[1, 2], at(second)), []);
        }
    }
}

#[test]
fn a_group_is_no_rival_for_a_cluster_where_it_was_not_met_or_that_it_does_not_name() {
    let mut rivals = watching();
    rivals.met(&node(2), [name(2, "x")], at(0));
    rivals.met(&node(3), [name(2, "x")], at(0));
    for second in [0, 2] {
        ask(&mut rivals, at(second), |_| Ok(answer(2, "x")));
    }
    assert_eq!(of(&rivals, &[1, 2], at(2)).len(), 1);
    assert_eq!(of(&rivals, &[1], at(2)), [], "named, not met there");
    assert_eq!(of(&rivals, &[3], at(2)), [], "met there, not named");
    let paused = || {
        let mut answer = answer(2, "x");
        answer.clusters[0].paused = true;
        answer
    };
    ask(&mut rivals, at(4), |_| Ok(paused()));
    assert_eq!(of(&rivals, &[1, 2], at(4)), [], "paused there");
}

#[test]
fn names_without_end_make_bounded_work_and_hide_no_true_one() {
    let mut rivals = watching();
    let mut asked = 0;
    let mut confirmed = None;
    for second in 0..600 {
        let fakes = (0..200).map(|it| name(100 + it, "fake"));
        rivals.met(&node(1), fakes.chain([name(2, "true")]), at(second));
        let round = rivals.due(at(second));
        assert!(round.len() <= ASKED_AT_ONCE);
        asked += round.len();
        for (name, _) in round {
            let honest = name.keeper.as_str() == "true";
            let answer = honest.then(|| answer(2, "true"));
            rivals.answered(&name, answer.ok_or_else(String::new), at(second));
        }
        assert!(rivals.met.len() <= NAMES_REMEMBERED);
        if confirmed.is_none() && !of(&rivals, &[1], at(second)).is_empty() {
            confirmed = Some(second);
        }
    }
    assert!(asked <= 600 * ASKED_AT_ONCE);
    assert!(confirmed.is_some());
}

#[test]
fn of_a_group_one_keeper_is_asked_and_another_once_that_one_does_not_answer() {
    let mut rivals = watching();
    rivals.met(&node(1), [name(2, "x"), name(2, "y")], at(0));
    let honest = |it: &ProbeName| Ok(answer(2, it.keeper.as_str()));
    assert_eq!(ask(&mut rivals, at(0), honest), ["x", "y"]);
    let answerer = ask(&mut rivals, at(2), honest);
    assert_eq!(answerer.len(), 1);
    let fails = |it: &ProbeName| match it.keeper.as_str() {
        keeper if keeper == answerer[0] => Err("gone".to_owned()),
        keeper => Ok(answer(2, keeper)),
    };
    assert_eq!(ask(&mut rivals, at(4), fails), answerer);
    let other = ask(&mut rivals, at(6), fails);
    assert_eq!(other.len(), 1);
    assert_ne!(other, answerer);
    assert_eq!(of(&rivals, &[1], at(6)).len(), 1);
}

#[test]
fn what_was_known_before_a_restart_is_known_after_it() {
    let mut rivals = watching();
    rivals.met(&node(1), [name(2, "x")], at(0));
    for second in [0, 2] {
        ask(&mut rivals, at(second), |_| Ok(answer(2, "x")));
    }
    let known = rivals.known(at(3));
    let mut restarted = Rivals::resumed(&known, at(3));
    assert_eq!(restarted.known(at(3)), known);
    restarted.own_is(GroupToken::drawn(1), KeeperId::new("me"));
    assert_eq!(ask(&mut restarted, at(3), |_| Ok(answer(2, "x"))), ["x"]);
    assert!(Rivals::resumed(&known, at(40)).known(at(40)).is_empty());
    // This keeper's own token had changed: the others are no rivals.
    restarted.own_is(GroupToken::drawn(2), KeeperId::new("me"));
    assert!(restarted.known(at(4)).is_empty());
}

#[test]
fn a_change_waits_for_the_first_answer_of_each_keeper_that_was_met_and_no_longer() {
    let mut rivals = watching();
    assert!(!rivals.asks_first());
    rivals.met(
        &node(1),
        [name(2, "x"), name(2, "y"), name(3, "fake")],
        at(0),
    );
    assert!(rivals.asks_first(), "nobody was asked yet");
    let asked = rivals.due(at(0));
    assert_eq!(asked.len(), 3);
    rivals.answered(&name(2, "x"), Ok(answer(2, "x")), at(0));
    assert!(rivals.asks_first(), "the other may be a keeper, too");
    rivals.answered(&name(3, "fake"), Err("no answer".to_owned()), at(1));
    assert!(!rivals.asks_first(), "of a group, one answer is enough");
    rivals.met(&node(1), [name(3, "fake")], at(2));
    assert!(!rivals.asks_first(), "it was asked");
}

#[test]
fn a_keeper_that_was_gone_and_is_met_again_is_asked_at_once() {
    let mut rivals = watching();
    let silent = |_: &ProbeName| Err("no answer".to_owned());
    let mut asked = 0;
    for second in 0..100 {
        rivals.met(&node(1), [name(2, "x")], at(second));
        asked += ask(&mut rivals, at(second), silent).len();
    }
    assert!(asked < 6, "more and more rarely: {asked}");
    rivals.met(&node(1), [name(9, "other")], at(100));
    rivals.met(&node(1), [name(2, "x")], at(101));
    assert!(rivals.asks_first());
    assert!(ask(&mut rivals, at(101), silent).contains(&"x".to_owned()));
}

#[test]
fn whoever_waits_waits_for_no_round() {
    let mut rivals = watching();
    rivals.met(&node(1), [name(2, "x")], at(0));
    assert_eq!(rivals.due(at(0)).len(), 1);
    rivals.met(&node(1), [name(2, "x"), name(3, "y")], at(0));
    assert_eq!(rivals.due(at(0)).len(), 0);
    rivals.hurry();
    assert_eq!(rivals.due(at(0)).len(), 1);
}

/// As after a wrong `zk-prefix` that was corrected.
#[test]
fn a_group_whose_keeper_has_joined_this_group_is_forgotten_soon() {
    let joined = |by: u64, others: bool| {
        let mut rivals = watching();
        let names = [name(2, "x"), name(2, "y")];
        let met = if others { &names[..] } else { &names[..1] };
        rivals.met(&node(1), met.to_vec(), at(0));
        for second in [0, 2, 4] {
            ask(&mut rivals, at(second), |name| {
                Ok(answer(2, name.keeper.as_str()))
            });
        }
        assert_eq!(of(&rivals, &[1], at(4)).len(), 1);
        let now = |name: &ProbeName| match name.keeper.as_str() {
            "x" => Ok(answer(by, "x")),
            other => Ok(answer(2, other)),
        };
        for second in 6..10 {
            ask(&mut rivals, at(second), now);
        }
        of(&rivals, &[1], at(11)).len()
    };
    assert_eq!(joined(1, false), 0, "its only keeper is one of this group");
    assert_eq!(joined(1, true), 1, "another keeper of it answers");
    assert_eq!(joined(3, false), 1, "a keeper of a third group answers");
}

#[test]
fn a_name_that_leads_to_another_keeper_is_told_with_who_answers_and_holds_nothing() {
    let leads_to = |by: u64, keeper: &str| {
        let mut rivals = watching();
        rivals.met(&node(1), [name(2, "x")], at(0));
        ask(&mut rivals, at(0), |_| Ok(answer(by, keeper)));
        let known = rivals.known_groups(at(0));
        assert_eq!(known.rivals, []);
        let [astray] = &known.astray[..] else {
            panic!("{known:?}");
        };
        assert_eq!(astray.name, name(2, "x"));
        assert_eq!(astray.nodes, [node(1)].into());
        let said = astray.to_string();
        let parts = [
            "10.0.0.1:6379",
            "keeper x of another group at x:46379",
            "rest-advertise",
        ];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        astray.leads_to.to_string()
    };
    assert_eq!(leads_to(1, "me"), "this keeper itself answers there");
    assert_eq!(leads_to(1, "k1"), "keeper k1 of this group answers there");
    assert!(leads_to(3, "y").starts_with("keeper y of group"));
    assert!(leads_to(2, "y").starts_with("keeper y of group"));
}

#[test]
fn a_name_behind_which_nobody_answers_is_told_from_the_second_failure_on() {
    let mut rivals = watching();
    rivals.met(&node(1), [name(2, "x")], at(0));
    let nobody = |_: &ProbeName| Err("refused".to_owned());
    ask(&mut rivals, at(0), nobody);
    assert_eq!(rivals.known_groups(at(0)), KnownGroups::default());
    ask(&mut rivals, at(5), nobody);
    let told = rivals.known_groups(at(5)).astray;
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].leads_to.to_string(),
        "nobody answers there: refused"
    );
}

#[test]
fn a_name_astray_is_told_until_it_is_gone_or_its_group_is_known() {
    let astray = || {
        let mut rivals = watching();
        rivals.met(&node(1), [name(2, "x")], at(0));
        ask(&mut rivals, at(0), |_| Ok(answer(1, "k1")));
        assert_eq!(rivals.known_groups(at(0)).astray.len(), 1);
        rivals
    };
    let mut gone = astray();
    gone.met(&node(1), [], at(1));
    assert_eq!(gone.known_groups(at(1)), KnownGroups::default());
    let mut corrected = astray();
    ask(&mut corrected, at(5), |_| Ok(answer(2, "x")));
    assert_eq!(corrected.known_groups(at(5)).astray, []);
    let mut by_another = astray();
    by_another.met(&node(1), [name(2, "x"), name(2, "y")], at(1));
    ask(&mut by_another, at(1), |_| Ok(answer(2, "y")));
    let told = by_another.known_groups(at(1));
    assert_eq!((told.rivals.len(), told.astray), (1, vec![]));
}

#[test]
fn however_many_names_lead_astray_a_few_are_told_and_proven_ones_first() {
    let mut rivals = watching();
    let keepers: Vec<_> = (0..30).map(|number| format!("k{number:02}")).collect();
    let names = || keepers.iter().map(|keeper| name(2, keeper));
    rivals.met(&node(1), names(), at(0));
    for now in 0..60 {
        ask(&mut rivals, at(now), |asked| match asked.keeper.as_str() {
            "k29" => Ok(answer(1, "me")),
            _ => Err("refused".to_owned()),
        });
    }
    let told = rivals.known_groups(at(60)).astray;
    assert_eq!(told.len(), ASTRAY_SHOWN);
    assert_eq!(told[0].leads_to, LeadsTo::Myself);
}

#[test]
fn a_cluster_is_told_of_names_met_at_its_own_nodes() {
    let astray = Astray {
        leads_to: LeadsTo::Myself,
        name: name(2, "x"),
        nodes: [node(1), node(2)].into(),
    };
    let at = |numbers: &[u8]| {
        let nodes: Vec<_> = numbers.iter().map(|it| node(*it)).collect();
        let told = astray_at(std::slice::from_ref(&astray), &nodes.iter());
        told.first().map(|it| it.nodes.clone())
    };
    assert_eq!(at(&[3]), None);
    assert_eq!(at(&[2, 3]), Some([node(2)].into()));
}
