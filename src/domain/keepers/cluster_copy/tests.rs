use super::super::stored::Stamp;
use super::*;

fn published(generation: u64) -> Published {
    Published {
        generation: Generation(generation),
        ..Published::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a read gives an option")]
fn node(generation: u64, version: i32, created: i64) -> Option<Stored<Option<Published>>> {
    Some(Stored {
        stamp: Stamp {
            created,
            version,
            owner: 0,
        },
        content: Ok(Some(published(generation))),
    })
}

#[test]
fn a_lower_generation_is_never_applied() {
    let mut cluster = ClusterCopy::new(0);
    assert_eq!(cluster.apply(node(5, 3, 1)), Applied::Changed);
    assert!(matches!(cluster.apply(node(4, 9, 1)), Applied::Older(_)));
    assert_eq!(cluster.published(), Some(&published(5)));
    assert_eq!(cluster.version(), Some(9), "the next write goes over it");
}

#[test]
fn a_late_read_does_not_undo_what_was_written_since() {
    let mut cluster = ClusterCopy::new(0);
    cluster.apply(node(5, 3, 1));
    cluster.wrote(published(6), 4);
    assert!(matches!(cluster.apply(node(5, 3, 1)), Applied::Older(_)));
    assert_eq!(cluster.published(), Some(&published(6)));
    assert_eq!(cluster.apply(node(6, 4, 1)), Applied::Same);
}

/// The same for any generation: other keepers may have published another primary since.
#[test]
fn an_older_version_on_a_new_connection_tells_that_zookeeper_was_set_back() {
    for (generation, version, created) in [(5, 2, 1), (6, 2, 1), (4, 2, 1), (6, 9, 0)] {
        let mut cluster = ClusterCopy::new(0);
        cluster.apply(node(5, 3, 1));
        cluster.forget();
        let applied = cluster.apply(node(generation, version, created));
        assert!(matches!(applied, Applied::SetBack(_)), "{applied:?}");
        assert_eq!(cluster.published(), Some(&published(5)));
        assert_eq!(cluster.generation(), Generation(0), "it was not read");
    }
    let mut cluster = ClusterCopy::new(0);
    cluster.apply(node(5, 3, 1));
    cluster.forget();
    assert_eq!(cluster.apply(node(6, 4, 1)), Applied::Changed);
}

#[test]
fn a_state_whose_node_vanished_stays_and_can_be_written_anew() {
    let mut cluster = ClusterCopy::new(0);
    cluster.apply(node(5, 3, 1));
    assert_eq!(cluster.apply(None), Applied::Changed);
    assert_eq!(
        (cluster.published(), cluster.version()),
        (Some(&published(5)), None)
    );
    assert_eq!(cluster.apply(node(6, 0, 9)), Applied::Changed);
}

#[test]
fn an_unreadable_state_publishes_nothing_and_is_not_written_over() {
    let mut cluster = ClusterCopy::new(0);
    cluster.apply(node(5, 3, 1));
    let newer = node(6, 4, 1).map(|node| Stored {
        content: Err("has format 2".to_owned()),
        ..node
    });
    assert_eq!(cluster.apply(newer), Applied::Changed);
    assert_eq!(cluster.published(), None);
    assert!(cluster.unwritable().unwrap().contains("format 2"));
}

#[test]
fn it_is_complete_when_state_list_and_every_listed_report_were_read() {
    let mut cluster = ClusterCopy::new(0);
    let me = KeeperId::new("me");
    cluster.apply(None);
    assert!(!cluster.complete());
    let other = KeeperId::new("other");
    assert_eq!(cluster.list([other.clone()].into(), &me).len(), 1);
    assert!(!cluster.complete());
    let report = Stored {
        stamp: Stamp::default(),
        content: Ok(KeeperReport::default()),
    };
    assert_eq!(cluster.report(&other, Some(report)), News::Shared);
    assert!(cluster.becomes_known());
    cluster.forget();
    assert!(cluster.known() && !cluster.complete());
    cluster.list(BTreeSet::new(), &me);
    assert!(cluster.reports.is_empty());
}

#[test]
fn a_cluster_names_those_that_keepers_online_hold_because_of_it() {
    let mut cluster = ClusterCopy::new(0);
    let [a, b] = ["a", "b"].map(KeeperId::new);
    for keeper in [&a, &b] {
        let overlaps = KeeperReport {
            overlaps: [(ClusterName::new("other"), BTreeSet::new())].into(),
            ..KeeperReport::default()
        };
        cluster.reports.insert(keeper.clone(), overlaps);
    }
    let held = cluster.held(&[a.clone()].into());
    assert_eq!(held, [(ClusterName::new("other"), [a].into())].into());
}
