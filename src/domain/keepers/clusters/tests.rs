use super::*;
use crate::domain::lease::Unacknowledged;
use crate::domain::node::NodeAddr;
use crate::domain::report::KeeperReport;

fn clusters<const N: usize>(names: [&str; N]) -> Clusters {
    let mut clusters = Clusters::default();
    for name in names {
        clusters.subscribe(&ClusterName::new(name));
    }
    clusters
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<ClusterName> {
    names.into_iter().map(ClusterName::new).collect()
}

fn keepers() -> BTreeSet<KeeperId> {
    ["a", "b"].into_iter().map(KeeperId::new).collect()
}

fn reports(clusters: &mut Clusters, name: &str, keeper: &str, report: KeeperReport) {
    let copy = clusters.get_mut(&ClusterName::new(name)).expect("followed");
    copy.reports.insert(KeeperId::new(keeper), report);
}

fn absent() -> KeeperReport {
    KeeperReport {
        absent: true,
        ..KeeperReport::default()
    }
}

#[test]
fn a_cluster_that_is_followed_again_has_another_subscription() {
    let mut clusters = clusters([]);
    let name = ClusterName::new("one");
    assert_eq!(clusters.subscribe(&name), Some(1));
    assert_eq!(clusters.subscribe(&name), None, "it is followed already");
    clusters.unsubscribe(&name);
    assert_eq!(clusters.subscribe(&name), Some(2));
    assert!(clusters.subscribed(&name, 2) && !clusters.subscribed(&name, 1));
}

#[test]
fn a_listing_tells_which_clusters_beside_the_file_have_come_and_gone() {
    let mut clusters = clusters(["file"]);
    let file = names(["file"]);
    let news = clusters.listed(names(["file", "x", "y"]), &file);
    assert_eq!(BTreeSet::from_iter(news.come), names(["x", "y"]));
    let news = clusters.listed(names(["file", "y", "z"]), &file);
    assert_eq!(BTreeSet::from_iter(news.come), names(["z"]));
    assert_eq!(BTreeSet::from_iter(news.gone), names(["x"]));
    assert!(clusters.is_unlisted(&ClusterName::new("y")));
    assert!(!clusters.is_unlisted(&ClusterName::new("file")));
}

#[test]
fn clusters_that_wait_for_keepers_are_named() {
    let mut clusters = clusters(["one", "two"]);
    let two = ClusterName::new("two");
    let copy = clusters.get_mut(&two).expect("followed");
    copy.unacknowledged = Unacknowledged {
        keepers: keepers(),
        ..Unacknowledged::default()
    };
    assert_eq!(clusters.waiting(), [two]);
}

#[test]
fn a_keeper_whose_file_lacks_a_cluster_or_a_node_is_named_with_it() {
    let mut clusters = clusters(["one", "two", "three"]);
    reports(&mut clusters, "one", "a", absent());
    for keeper in ["a", "b"] {
        reports(&mut clusters, "two", keeper, absent());
    }
    let lacks = KeeperReport {
        unprobed: [NodeAddr::new("r", 1)].into(),
        ..KeeperReport::default()
    };
    reports(&mut clusters, "three", "b", lacks);
    let told = clusters.differences(&keepers());
    let expected = [("a", "cluster one"), ("b", "r:1 of cluster three")];
    let expected = expected.map(|(keeper, lacks)| (keeper.to_owned(), vec![lacks.to_owned()]));
    assert_eq!(told, BTreeMap::from(expected), "and two is given up");
}

#[test]
fn a_node_that_is_published_in_another_cluster_is_told_of_keepers_online() {
    let mut clusters = clusters(["one"]);
    for keeper in ["a", "z"] {
        let overlaps = KeeperReport {
            overlaps: [(ClusterName::new("two"), [NodeAddr::new("r", 1)].into())].into(),
            ..KeeperReport::default()
        };
        reports(&mut clusters, "one", keeper, overlaps);
    }
    let told = clusters.overlaps(&keepers());
    let line = "r:1 of cluster one is published in cluster two".to_owned();
    assert_eq!(told, BTreeMap::from([("a".to_owned(), vec![line])]));
}

#[test]
fn the_lacks_of_keepers_are_counted_over_the_clusters_that_count() {
    let mut clusters = clusters(["one", "two"]);
    for name in ["one", "two"] {
        reports(&mut clusters, name, "a", absent());
    }
    let (a, b) = (KeeperId::new("a"), KeeperId::new("b"));
    let compared = |me: &KeeperId, counts: &str| {
        let counts = ClusterName::new(counts);
        let bars = |keeper: &KeeperId, _: &ClusterName, _: Option<&Published>| *keeper == b;
        clusters.compare_deficits(me, &keepers(), Some(&b), |name| *name != counts, bars)
    };
    let DeficitComparison { own, best, next } = compared(&a, "two");
    let barred = LeaderDeficit {
        barred: 1,
        ..LeaderDeficit::default()
    };
    assert_eq!((own.unpublished, own.barred), (1, 0));
    assert_eq!((best, next), (Some(barred), Some(barred)));
    assert_eq!(compared(&a, "none").own.unpublished, 2);
}
