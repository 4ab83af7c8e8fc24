//! Three keepers vote on a lost primary, one of them leads the failover, and the old primary comes back as a replica.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_killed_primary_is_replaced_and_rejoins_as_a_replica() {
    let net = Net::fleet().await;
    let nodes = trio_behind_link(&net).await;
    let [primary, ..] = &nodes;
    let story = Story::begin("killed_primary", &net, &nodes).await;
    primary.kill();
    let successor = story.wait_successor().await;
    primary.revive().await;
    story.end(successor).await;
}

#[tokio::test]
async fn a_hung_primary_is_replaced_and_rejoins_as_a_replica_when_it_goes_on() {
    let net = Net::fleet().await;
    let nodes = trio_behind_link(&net).await;
    let [primary, ..] = &nodes;
    let story = Story::begin("hung_primary", &net, &nodes).await;
    primary.pause();
    let successor = story.wait_successor().await;
    primary.resume();
    story.end(successor).await;
}

#[tokio::test]
async fn a_primary_off_the_network_is_replaced_and_rejoins_without_its_late_writes() {
    let net = Net::fleet().await;
    let nodes = trio_behind_link(&net).await;
    let [primary, ..] = &nodes;
    let story = Story::begin("silent_primary", &net, &nodes).await;
    primary.link().silence();
    let successor = story.wait_successor().await;
    // Clients on its side of the cut still reach it.
    primary.write_keys("doomed", 10).await;
    primary.link().restore().await;
    story.end(successor).await;
}

/// A primary behind a link, and two replicas that follow it through the link.
async fn trio_behind_link(net: &Net) -> [Redis; 3] {
    let primary = Redis::start_behind_link(net, &[]).await;
    let first = Redis::replica_of(net, &primary, &[]).await;
    let second = Redis::replica_of(net, &primary, &[]).await;
    [primary, first, second]
}

/// The part that all losses of a primary share.
struct Story<'a> {
    keepers: Keepers,
    checks: Checks,
    nodes: &'a [Redis; 3],
    generation: u64,
}

impl<'a> Story<'a> {
    /// Starts three keepers on a healthy cluster with data, and waits until they agree.
    async fn begin(prefix: &str, net: &Net, nodes: &'a [Redis; 3]) -> Self {
        let [primary, first, second] = nodes;
        primary.write_keys("kept", 100).await;
        primary.wait_followed_by(&[first, second]).await;
        let prefix = ZooKeeper::shared().await.prefix(prefix);
        let all = nodes.each_ref();
        let keepers = Keepers::start_for(3, net, &prefix, Settings::new(), &all).await;
        let checks = Checks::start(&keepers, "cache", &all);
        let generation = keepers[0].generation("cache").await;
        Self {
            keepers,
            checks,
            nodes,
            generation,
        }
    }

    /// Waits until every keeper names another primary, and the third node follows that primary.
    async fn wait_successor(&self) -> &'a Redis {
        let [old, first, second] = self.nodes;
        self.keepers
            .wait_status("cache", "a new primary", |status| {
                status
                    .primary
                    .as_ref()
                    .is_some_and(|primary| *primary != old.node())
            })
            .await;
        let [successor, other] = self.keepers[0].elected("cache", [first, second]).await;
        self.keepers
            .wait_topology("cache", successor, &[other])
            .await;
        successor.write_keys("new", 10).await;
        other.wait_in_step_with(successor).await;
        successor
    }

    /// Asserts that the old primary is back, has the others' data, and was never writable again.
    async fn end(self, successor: &Redis) {
        let [old, first, second] = self.nodes;
        let others: Vec<_> = [old, first, second]
            .into_iter()
            .filter(|redis| redis.at() != successor.at())
            .collect();
        self.keepers
            .wait_topology("cache", successor, &others)
            .await;
        old.wait_role(Role::Replica).await;
        old.wait_in_step_with(successor).await;
        for redis in [old, first, second] {
            assert_eq!(redis.key_count().await, 110);
        }
        for keeper in self.keepers.iter() {
            keeper.wait_plan("cache", &["nothing to do"]).await;
            // One withdrawal and one publication.
            assert_eq!(keeper.generation("cache").await, self.generation + 2);
        }
        self.checks.assert_never_again(old);
    }
}
