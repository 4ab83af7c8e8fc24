use super::*;
use crate::domain::published::Intent;

fn at(host: &str) -> NodeAddr {
    NodeAddr::new(host, 6379)
}

fn name(name: &str) -> ClusterName {
    ClusterName::new(name)
}

fn keepers<const N: usize>(ids: [&str; N]) -> BTreeSet<KeeperId> {
    ids.map(KeeperId::new).into()
}

fn absent() -> KeeperReport {
    KeeperReport {
        absent: true,
        ..KeeperReport::default()
    }
}

/// A state that publishes this primary and this replica.
fn published(primary: &str, replica: &str) -> Published {
    Published {
        primary: Some(at(primary)),
        replicas: [at(replica)].into(),
        known: [at(primary), at(replica)].into(),
        ..Published::default()
    }
}

/// The same state while its primary is being replaced.
fn changing(state: Published) -> Published {
    Published {
        intent: Some(Intent::begun()),
        ..state
    }
}

/// The claim of a cluster that `keepers_with` of three keepers have.
fn claim(state: &Published, generation: u64, keepers_with: usize) -> Option<Claim> {
    let online = keepers(["a", "b", "c"]);
    let without = online.iter().skip(keepers_with);
    let reports = without.map(|keeper| (keeper.clone(), absent())).collect();
    let state = Published {
        generation: Generation(generation),
        ..state.clone()
    };
    Claim::of(&state, &online, &reports, false)
}

/// The overlaps of a cluster that has these nodes in this keeper's file.
fn overlaps_of(claims: &Claims, cluster: &str, nodes: &[NodeAddr]) -> Vec<Overlap> {
    let nothing = Addresses::new();
    let mut claims = claims.clone();
    claims.list(&name(cluster), nodes.iter().map(|node| (node, &nothing)));
    claims.overlaps(&name(cluster))
}

fn overlaps(claims: &Claims, cluster: &str, nodes: &[&str]) -> Vec<Overlap> {
    let nodes: Vec<_> = nodes.iter().map(|node| at(node)).collect();
    overlaps_of(claims, cluster, &nodes)
}

#[test]
fn one_server_in_two_clusters_is_found_by_address_whatever_it_is_called() {
    let mut claims = Claims::default();
    let mut state = published("redis-1", "10.0.0.2");
    state.addresses = [("redis-1".to_owned(), ["10.0.0.1".parse().unwrap()].into())].into();
    claims.set(&name("c1"), claim(&state, 1, 2));
    let found = overlaps(&claims, "c2", &["10.0.0.1", "::ffff:10.0.0.2", "10.0.0.3"]);
    let expected = Overlap {
        cluster: name("c1"),
        nodes: [at("10.0.0.1"), at("::ffff:10.0.0.2")].into(),
        primary: Some(at("10.0.0.1")),
        newer: true,
        managed: true,
    };
    assert_eq!(found, [expected]);
    let other_port = NodeAddr::new("10.0.0.1", 6380);
    assert!(overlaps_of(&claims, "c2", &[other_port]).is_empty());
    assert!(overlaps(&claims, "c1", &["10.0.0.1"]).is_empty(), "its own");
}

#[test]
fn a_cluster_that_no_keeper_has_or_nobody_published_claims_nothing() {
    let state = published("p", "q");
    assert!(claim(&state, 1, 1).is_some());
    assert_eq!(claim(&state, 1, 0), None, "given up");
    let reports = [(KeeperId::new("a"), absent())].into();
    let away = Claim::of(&state, &keepers(["a"]), &reports, true);
    assert!(away.is_some(), "whoever is away may have it");
    assert_eq!(claim(&Published::default(), 1, 3), None);
    // Taken out of all files, the node is only remembered.
    let online = keepers(["a"]);
    let mut state = published("p", "q");
    state.known.insert(at("moved"));
    let unprobed = KeeperReport {
        unprobed: [at("moved")].into(),
        ..KeeperReport::default()
    };
    let reports = [(KeeperId::new("a"), unprobed)].into();
    let mut claims = Claims::default();
    claims.set(&name("c1"), Claim::of(&state, &online, &reports, false));
    assert!(overlaps(&claims, "c2", &["moved"]).is_empty());
    claims.set(&name("c1"), Claim::of(&state, &online, &[].into(), false));
    assert_eq!(overlaps(&claims, "c2", &["moved"]).len(), 1);
}

/// Whether `c2` is newer than `c1`, whether `c2` is the managed one, and the primary of `c2` as `c1` sees it.
fn relation(first: Option<Claim>, second: Option<Claim>) -> Option<(bool, bool, NodeAddr)> {
    let mut claims = Claims::default();
    claims.set(&name("c1"), first);
    claims.set(&name("c2"), second);
    let found = overlaps(&claims, "c1", &["p", "q"]).pop()?;
    assert_eq!(claims.outweighed(&name("c1")), found.managed);
    Some((found.newer, found.managed, found.primary?))
}

#[test]
fn of_two_published_clusters_more_keepers_manage_and_the_newer_one_says_who_is_writable() {
    let (one, two) = (published("p", "q"), published("q", "p"));
    let expected = |newer, managed| Some((newer, managed, at("q")));
    let found = relation(claim(&one, 5, 2), claim(&two, 9, 1));
    assert_eq!(found, expected(true, false), "one mistaken keeper");
    let found = relation(claim(&one, 5, 1), claim(&two, 3, 2));
    assert_eq!(found, expected(false, true));
    let found = relation(claim(&one, 5, 1), claim(&two, 9, 1));
    assert_eq!(found, expected(true, true), "as many");
    let found = relation(claim(&changing(one), 9, 1), claim(&two, 5, 2));
    assert_eq!(found, expected(false, false), "what was begun is finished");
}

#[test]
fn a_cluster_that_was_renamed_is_not_held_by_what_its_old_name_left_behind() {
    let (old, new) = (published("q", "p"), published("p", "q"));
    let online = keepers(["a", "b"]);
    let reports: BTreeMap<_, _> = online.iter().map(|it| (it.clone(), absent())).collect();
    let left = || Claim::of(&old, &online, &reports, true);
    assert_eq!(
        relation(claim(&new, 9, 2), left()),
        None,
        "keepers are away"
    );
    let found = relation(claim(&new, 9, 2), claim(&old, 3, 1));
    assert_eq!(found, Some((false, false, at("q"))), "an old file is used");
}

#[test]
fn whom_a_claim_touches_is_told_and_so_is_who_is_held() {
    let mut claims = Claims::default();
    claims.list(&name("c2"), [(&at("p"), &Addresses::new())].into_iter());
    let state = published("p", "q");
    let touched = claims.set(&name("c1"), claim(&state, 1, 2));
    assert_eq!(touched, [name("c2")].into());
    assert_eq!(claims.set(&name("c1"), claim(&state, 1, 2)), [].into());
    let held = [(name("c1"), keepers(["c"]))].into();
    assert_eq!(claims.tell(&name("c2"), &held), [name("c1")].into());
    assert_eq!(claims.tell(&name("c2"), &held), [].into());
    let contender = Contender {
        cluster: name("c2"),
        keepers: keepers(["c"]),
    };
    assert_eq!(claims.contenders(&name("c1")), [contender]);
    assert_eq!(claims.tell(&name("c2"), &[].into()), [name("c1")].into());
    assert!(claims.contenders(&name("c1")).is_empty());
    claims.retain(|_| false);
    assert!(overlaps(&claims, "c2", &["p"]).is_empty());
}

/// Whether the published `c2` is managed, and whether it is outweighed, if `wishes` keepers have the unpublished
/// `c1`.
fn heir(wishes: usize, second: Option<Claim>) -> (bool, bool) {
    let online = keepers(["a", "b", "c"]);
    let has_it = KeeperReport {
        unpublished: [at("p"), at("q")].into(),
        ..KeeperReport::default()
    };
    let told = online.iter().enumerate().map(|(number, keeper)| {
        let report = if number < wishes {
            has_it.clone()
        } else {
            absent()
        };
        (keeper.clone(), report)
    });
    let mut claims = Claims::default();
    claims.set(&name("c2"), second);
    claims.unpublished(
        &name("c1"),
        UnpublishedCluster::of(None, &online, &told.collect()),
    );
    let managed = overlaps(&claims, "c1", &["p", "q"])[0].managed;
    // A keeper whose file lacks `c1` knows as much.
    (managed, claims.outweighed(&name("c2")))
}

#[test]
fn a_cluster_that_more_keepers_have_takes_over_from_a_published_one_that_is_not_changing() {
    let mut state = published("p", "q");
    assert_eq!(heir(2, claim(&state, 5, 1)), (false, true));
    assert_eq!(heir(1, claim(&state, 5, 1)), (true, false), "as many");
    assert_eq!(heir(1, claim(&state, 5, 2)), (true, false));
    let left = Claim::of(&state, &keepers([]), &[].into(), true);
    assert_eq!(heir(2, left), (true, false), "its keepers may come back");
    state = changing(state);
    assert_eq!(heir(2, claim(&state, 5, 1)), (true, false), "it changes");
    // A published cluster has no wish, and neither has a cluster that no keeper reports.
    let online = keepers(["a"]);
    assert_eq!(
        UnpublishedCluster::of(Some(&state), &online, &[].into()),
        None
    );
    assert_eq!(UnpublishedCluster::of(None, &online, &[].into()), None);
}
