use super::*;
use crate::domain::plan::tests::builder::{addr, cluster, history};

/// A node that has `offset` bytes of two histories; the first is its present one.
fn node(ids: [&str; 2], offset: u64, previous_offset: u64) -> NodeFacts {
    let cluster = cluster().primary("a").with("a", |a| {
        a.run_id = "another process".to_owned();
        a.replication_id = ids[0].to_owned();
        a.previous_replication_id = Some(ids[1].to_owned()).filter(|id| !id.is_empty());
        (a.offset, a.previous_offset) = (offset, Some(previous_offset));
    });
    cluster.observed.online(&addr("a")).unwrap().clone()
}

fn lost(primary: &NodeFacts, other: &NodeFacts) -> bool {
    let lineage = ["newest", "older"].map(str::to_owned);
    lost_against(primary, other, &lineage, Some("published process"))
}

#[test]
fn what_another_process_wrote_after_it_left_the_history_makes_up_for_nothing_it_lacks() {
    let replica = node(["newest", ""], 1_000, 0);
    // Restarted from its dump, whole and from an old one, and written to since.
    assert!(!lost(&node(["own", "newest"], 1_000, 1_000), &replica));
    assert!(!lost(&node(["own", "newest"], 9_000, 1_000), &replica));
    assert!(lost(&node(["own", "newest"], 9_000, 400), &replica));
    // A former build reports no more than the offset.
    let untold = NodeFacts {
        previous_offset: None,
        ..node(["own", "newest"], 400, 0)
    };
    assert!(lost(&untold, &replica));
}

#[test]
fn a_process_of_an_older_history_lacks_the_newest_whatever_its_offset() {
    let replica = node(["newest", "older"], 1_000, 500);
    assert!(lost(&node(["own", "older"], 9_000, 9_000), &replica));
    // No other node holds the newest history either.
    let behind = node(["older", ""], 500, 0);
    assert!(!lost(&node(["own", "older"], 9_000, 500), &behind));
    assert!(lost(&node(["own", "older"], 9_000, 499), &behind));
}

#[test]
fn a_replica_that_follows_the_new_process_already_lacks_nothing_of_it() {
    let primary = node(["own", "newest"], 1_000, 1_000);
    let replica = node(["own", "newest"], 1_050, 1_000);
    assert!(!lost(&primary, &replica));
}

#[test]
fn a_stranger_is_another_process_without_any_history_of_the_cluster() {
    let cluster = cluster().primary("a").published("a");
    let (published, facts) = (cluster.state(), cluster.observed.online(&addr("a")));
    let facts = facts.unwrap().clone();
    let stranger = |change: fn(&mut NodeFacts)| {
        let mut facts = facts.clone();
        change(&mut facts);
        published.is_stranger(&facts)
    };
    assert!(!stranger(|_| {}));
    let another = |it: &mut NodeFacts| it.run_id = "another process".to_owned();
    assert!(!stranger(another), "its history is the cluster's");
    assert!(!stranger(|it| it.replication_id = "own".to_owned()));
    assert!(stranger(|it| {
        (it.run_id, it.replication_id) = ("another process".to_owned(), "own".to_owned());
    }));
    let mut older = published.clone();
    older.run_id = None;
    let foreign = node(["own", ""], 1, 0);
    assert!(published.is_stranger(&foreign));
    assert!(!older.is_stranger(&foreign), "a former build told none");
}

#[test]
fn a_replaced_primary_comes_back_as_the_same_process_or_as_one_that_starts_without_history() {
    let mut published = Published {
        lineage: vec![history("b")],
        ..Published::default()
    };
    let facts = node(["own", ""], 1, 0);
    let comes_back = |published: &Published, change: fn(&mut NodeFacts)| {
        let mut facts = facts.clone();
        change(&mut facts);
        published.comes_back(&addr("a"), &facts)
    };
    assert!(!comes_back(&published, |it| it.append_only = true));
    let before = Deposed {
        run_id: Some("process before".to_owned()),
        histories: vec!["history before".to_owned()],
    };
    published.deposed.insert(addr("a"), before);
    assert!(!comes_back(&published, |_| {}), "it would name its history");
    assert!(comes_back(&published, |it| it.append_only = true));
    assert!(comes_back(&published, |it| it.version.major = 6));
    assert!(comes_back(&published, |it| it.run_id = "process before".to_owned()));
    assert!(comes_back(&published, |it| it.previous_replication_id =
        Some("history before".to_owned())));
}

#[test]
fn a_process_that_came_up_empty_in_the_primarys_place_is_the_clusters_whatever_was_written_to_it() {
    let cluster = cluster().primary("a").published("a");
    let mut related = RelatedHistories::default();
    let deposing = |facts: &NodeFacts, related: &RelatedHistories| {
        let deposed = cluster.state().deposing(&addr("a"), Some(facts), related);
        deposed.run_id.unwrap()
    };
    let foreign = node(["own", ""], 9_000, 0);
    related.look(cluster.state(), &addr("a"), &foreign);
    assert_eq!(deposing(&foreign, &related), "process of a");
    let empty = NodeFacts {
        keys: 0,
        ..foreign.clone()
    };
    assert_eq!(deposing(&empty, &related), "another process");
    related.look(cluster.state(), &addr("a"), &empty);
    let written = deposing(&foreign, &related);
    assert_eq!(written, "another process", "it was seen empty");
}
