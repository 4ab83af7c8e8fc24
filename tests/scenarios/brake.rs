//! The brake (RK-11): many primaries fall silent at once, and the keepers may be the side that is cut off.

use futures::future::join_all;
use keeper_site::checks::Checks;
use keeper_site::insistence::Insistence;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::link::Link;
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::tree::Tree;
use keeper_site::zookeeper::{Prefix, ZooKeeper};

const CLUSTERS: usize = 12;
const ROUNDS: usize = 2;
const KEEPERS: [&str; 3] = ["keeper-1", "keeper-2", "keeper-3"];

/// Clusters of two servers, each behind a link of its own, and three keepers.
struct Many {
    keepers: Keepers,
    primaries: Vec<Redis>,
    replicas: Vec<Redis>,
    prefix: Prefix<'static>,
    // Dropped last: with the network, this fleet's turn ends.
    _net: Net,
}

fn name(number: usize) -> String {
    format!("cache-{number}")
}

impl Many {
    async fn start(prefix: &str) -> Self {
        let net = Net::fleet().await;
        let prefix = ZooKeeper::shared().await.prefix(prefix);
        let start = || Redis::start_behind_link(&net, &[]);
        let primaries = join_all((0..CLUSTERS).map(|_| start())).await;
        let replicas = join_all((0..CLUSTERS).map(|_| start())).await;
        let mut settings = Settings::patient();
        for (number, (primary, replica)) in primaries.iter().zip(&replicas).enumerate() {
            replica.follow(primary).await;
            replica.wait_in_step_with(primary).await;
            settings = settings.cluster(&name(number), [primary, replica]);
        }
        let keepers = Keepers::start(3, &net, &prefix, &settings).await;
        let many = Self {
            keepers,
            primaries,
            replicas,
            prefix,
            _net: net,
        };
        many.wait_whole().await;
        many
    }

    fn pairs(&self) -> impl Iterator<Item = (String, &Redis, &Redis)> {
        let pairs = self.primaries.iter().zip(&self.replicas).enumerate();
        pairs.map(|(number, (primary, replica))| (name(number), primary, replica))
    }

    async fn wait_whole(&self) {
        for (name, primary, replica) in self.pairs() {
            self.keepers.wait_topology(&name, primary, &[replica]).await;
        }
    }

    /// Waits until every keeper counts exactly the votes of `keepers` against every primary.
    async fn wait_votes(&self, keepers: &[&str]) {
        for keeper in self.keepers.iter() {
            for (name, primary, _) in self.pairs() {
                keeper.wait_votes(&name, primary, keepers).await;
            }
        }
    }

    async fn generations(&self) -> Vec<u64> {
        let keeper = &self.keepers[0];
        join_all((0..CLUSTERS).map(async |number| keeper.generation(&name(number)).await)).await
    }
}

#[tokio::test]
async fn at_the_end_of_a_cut_from_all_clusters_no_healthy_primary_is_replaced() {
    let many = Many::start("brake").await;
    let generations = many.generations().await;
    let [first, second] = [&many.primaries[0], &many.replicas[0]];
    let checks = Checks::start(&many.keepers, &name(0), &[first, second]);
    let names: Vec<_> = many.pairs().map(|(name, ..)| name).collect();
    let primaries = names.iter().map(String::as_str).zip(&many.primaries);
    let insistence = Insistence::start(&many.keepers, &primaries.collect::<Vec<_>>());
    for round in 0..ROUNDS {
        let links = || many.replicas.iter().chain(&many.primaries).map(Redis::link);
        links().for_each(Link::silence);
        many.wait_votes(&KEEPERS).await;
        // The replicas' links are restored first.
        join_all(links().map(Link::restore)).await;
        many.wait_votes(&[]).await;
        assert_eq!(many.generations().await, generations, "round {round}");
    }
    checks.assert_only(first);
    insistence.assert_always_yes();
}

#[tokio::test]
async fn primaries_that_all_fall_silent_at_once_are_replaced_all_the_same_each_once() {
    let many = Many::start("silent_storm").await;
    let tree = Tree::of(&many.prefix).await;
    let counted = async || {
        let (generations, _) = tree.json("/generation").await;
        generations["generation"].as_u64().expect("a number")
    };
    let before = counted().await;
    many.primaries.iter().for_each(Redis::pause);
    for (name, primary, _) in many.pairs() {
        for keeper in many.keepers.iter() {
            keeper.wait_replaced(&name, primary).await;
        }
    }
    many.primaries.iter().for_each(Redis::resume);
    for (name, primary, replica) in many.pairs() {
        many.keepers.wait_topology(&name, replica, &[primary]).await;
    }
    assert_eq!(
        counted().await - before,
        2 * CLUSTERS as u64,
        "each withdrawn once and published once"
    );
    let logs = many.keepers.iter().map(|keeper| keeper.process().log());
    let held = |log: &str| log.contains("failover held: many primaries are silent at once");
    assert!(logs.into_iter().any(|log| held(&log)), "the brake was on");
}
