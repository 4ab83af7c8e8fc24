//! The leader is lost in a failover, after each step that it has written. The next leader finishes the failover.

use futures::future::{join_all, select_all};
use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::link::{Catch, Link, PROMOTION};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::tree::Tree;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::{Prefix, ZooKeeper};
use serde_json::Value;

/// The step of the failover at which its leader is lost. Each step stops one message of the leader on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The primary is withdrawn; the connection to the candidate is being opened.
    Withdrawn,
    /// The candidate is written to ZooKeeper; the promotion is on its way.
    Commanded,
    /// The candidate is a primary; its reply is on its way.
    Promoted,
    /// The publication is on its way.
    Publishing,
    /// The successor is published; the command to follow it is on its way to the other replica.
    Published,
}

const MOMENTS: [Moment; 5] = [
    Moment::Withdrawn,
    Moment::Commanded,
    Moment::Promoted,
    Moment::Publishing,
    Moment::Published,
];

#[tokio::test]
async fn a_failover_is_finished_by_the_next_leader_after_whichever_step_one_dies() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("killed_leader");
    let stage = Stage::set(&net, &prefix).await;
    for moment in MOMENTS {
        let scene = stage.lose_the_primary(moment).await;
        scene.leader().process().kill();
        scene.assert_reached().await;
        let finished = scene.wait_finished().await;
        scene.release();
        scene.leader().process().restart();
        scene.assert_nothing_more_happens(&finished).await;
    }
    stage.checks.assert_never_two();
}

#[tokio::test]
async fn a_leader_frozen_after_any_step_of_a_failover_changes_nothing_once_it_thaws() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("frozen_leader");
    let stage = Stage::set(&net, &prefix).await;
    for moment in MOMENTS {
        let scene = stage.lose_the_primary(moment).await;
        scene.leader().process().pause();
        scene.assert_reached().await;
        let finished = scene.wait_finished().await;
        // The stopped message now arrives, and the old leader goes on from where it was.
        scene.release();
        scene.leader().process().resume();
        scene.assert_nothing_more_happens(&finished).await;
    }
    stage.checks.assert_never_two();
}

/// Three keepers, and three servers behind links.
struct Stage {
    nodes: [Redis; 3],
    keepers: Keepers,
    tree: Tree,
    checks: Checks,
}

/// A failover whose leader is stopped.
struct Scene<'a> {
    stage: &'a Stage,
    moment: Moment,
    leader: usize,
    epoch: u64,
    primary: &'a Redis,
    replicas: [&'a Redis; 2],
}

/// The published state, and how many commands of each kind each server has run.
type Picture = (Value, Vec<u64>);

// === impl Stage ===

impl Stage {
    async fn set(net: &Net, prefix: &Prefix<'_>) -> Self {
        let nodes = Redis::trio_behind_links(net).await;
        let all = nodes.each_ref();
        let [primary, first, second] = all;
        primary.write_keys("kept", 100).await;
        primary.wait_followed_by(&[first, second]).await;
        let keepers = Keepers::start_for(3, net, prefix, Settings::new(), &all).await;
        let checks = Checks::start(&keepers, "cache", &all);
        let tree = Tree::of(prefix).await;
        Self {
            nodes,
            keepers,
            tree,
            checks,
        }
    }

    /// Kills the primary, and returns when the leader has reached `moment`.
    async fn lose_the_primary(&self, moment: Moment) -> Scene<'_> {
        let leader = self.keepers.wait_leader().await;
        let epoch = self.keepers[leader].leads_with().await.expect("it leads");
        let primary = self.published().await;
        let [first, second] = self.others(primary);
        for replica in [first, second] {
            replica.wait_in_step_with(primary).await;
        }
        let scene = Scene {
            stage: self,
            moment,
            leader,
            epoch,
            primary,
            replicas: [first, second],
        };
        // Either replica may be promoted: the trap is set at both links.
        let promotion = || PROMOTION.to_owned();
        for (replica, other) in [(first, second), (second, first)] {
            replica.link().set_trap(match moment {
                Moment::Withdrawn => Catch::Before(format!("\r\nkeeper-{epoch}\r\n")),
                Moment::Commanded => Catch::Before(promotion()),
                Moment::Promoted => Catch::After(promotion()),
                Moment::Published => Catch::Before(order_to_follow(other)),
                Moment::Publishing => continue,
            });
        }
        if moment == Moment::Publishing {
            for link in self.keepers[leader].zookeeper_links() {
                link.set_trap(Catch::Before("\"failover\":null".to_owned()));
            }
        }
        primary.kill();
        let caught = scene.links().map(|link| Box::pin(link.caught()));
        tokio::time::timeout(SOON, select_all(caught))
            .await
            .unwrap_or_else(|_| panic!("nothing was caught of {moment:?}"));
        scene.links().for_each(Link::disarm);
        scene
    }

    /// The published primary.
    async fn published(&self) -> &Redis {
        let (state, _) = self.tree.json("/clusters/cache").await;
        let host = &state["master"]["host"];
        let at = |redis: &&Redis| *host == redis.at().ip().to_string();
        self.nodes.iter().find(at).expect("one of ours")
    }

    fn others(&self, one: &Redis) -> [&Redis; 2] {
        let others: Vec<_> = self.nodes.iter().filter(|it| it.at() != one.at()).collect();
        others.try_into().ok().expect("two of three")
    }
}

/// The command to follow `primary`, in the Redis protocol.
fn order_to_follow(primary: &Redis) -> String {
    let host = primary.at().ip().to_string();
    format!("REPLICAOF\r\n${}\r\n{host}\r\n", host.len())
}

// === impl Scene ===

impl Scene<'_> {
    fn leader(&self) -> &Keeper {
        &self.stage.keepers[self.leader]
    }

    /// The keepers that are not disturbed.
    fn bystanders(&self) -> impl Iterator<Item = &Keeper> + Clone {
        let keepers = self.stage.keepers.iter().enumerate();
        let others = keepers.filter(|(place, _)| *place != self.leader);
        others.map(|(_, keeper)| keeper)
    }

    /// The links that may have caught a message.
    fn links(&self) -> impl Iterator<Item = &Link> {
        let servers = self.replicas.iter().map(|redis| redis.link());
        servers.chain(self.leader().zookeeper_links())
    }

    /// Lets every message that was caught go on.
    fn release(&self) {
        self.links().for_each(Link::let_go);
    }

    /// Asserts that the leader left the failover at the step that the test is about.
    async fn assert_reached(&self) {
        let (state, _) = self.stage.tree.json("/clusters/cache").await;
        let step = &state["failover"]["step"];
        let candidate = !state["failover"]["candidate"].is_null();
        let promoted = async || {
            let [first, second] = self.replicas;
            first.is_primary().await || second.is_primary().await
        };
        if self.moment == Moment::Promoted {
            // The promotion has reached the server, which may still be executing it.
            eventually(SOON, "the candidate to be a primary", async || {
                promoted().await.then_some(()).ok_or("it is not")
            })
            .await;
        }
        let promoted = promoted().await;
        let moment = match (step.as_str(), candidate, promoted) {
            (Some("withdrawn"), false, false) => vec![Moment::Withdrawn],
            (Some("promoting"), true, false) => vec![Moment::Commanded],
            (Some("promoting"), true, true) => vec![Moment::Promoted, Moment::Publishing],
            (None, _, true) => vec![Moment::Published],
            _ => vec![],
        };
        assert!(moment.contains(&self.moment), "{:?}: {state}", self.moment);
        assert_eq!(state["epoch"].as_u64(), Some(self.epoch), "{state}");
    }

    /// Waits until another leader has finished everything, the old primary included. Returns the picture then.
    async fn wait_finished(&self) -> Picture {
        for keeper in self.bystanders() {
            keeper
                .wait_status("cache", "a new primary and a replica", |status| {
                    let primary = status.primary.as_ref();
                    primary.is_some_and(|it| *it != self.primary.node())
                        && status.replicas.len() == 1
                })
                .await;
        }
        self.primary.revive().await;
        let successor = self.stage.published().await;
        for other in self.stage.others(successor) {
            other.wait_in_step_with(successor).await;
        }
        self.wait_rest(self.bystanders()).await;
        let (state, _) = self.stage.tree.json("/clusters/cache").await;
        let by = state["epoch"].as_u64();
        assert!(by > Some(self.epoch), "{:?}: {state}", self.moment);
        if [Moment::Commanded, Moment::Published].contains(&self.moment) {
            self.assert_fenced();
        }
        self.picture().await
    }

    /// Asserts that the next leader killed the command connection before it sent its own command.
    fn assert_fenced(&self) {
        let fenced = |log: &str| {
            let killed = |line: &&str| line.contains("killed an older command connection");
            let epoch = format!("epoch={}", self.epoch);
            let mut lines = log.lines().filter(killed);
            lines.any(|line| line.split(' ').any(|word| word == epoch))
        };
        let by = self.bystanders().find(|it| fenced(&it.process().log()));
        assert!(by.is_some(), "{:?}: nobody fenced it off", self.moment);
    }

    /// Waits until `keepers` agree that nothing is left to do.
    async fn wait_rest<'k>(&self, keepers: impl Iterator<Item = &'k Keeper> + Clone) {
        let successor = self.stage.published().await;
        let others = self.stage.others(successor);
        join_all(keepers.clone().map(async |keeper| {
            keeper.wait_topology("cache", successor, &others).await;
        }))
        .await;
        eventually(SOON, "the replicas to be published", async || {
            let (state, _) = self.stage.tree.json("/clusters/cache").await;
            let all = state["slaves"].as_array().is_some_and(|it| it.len() == 2);
            all.then_some(()).ok_or(state)
        })
        .await;
        for keeper in keepers {
            keeper.wait_plan("cache", &["nothing to do"]).await;
        }
    }

    /// Asserts that the lost leader takes part again, and that neither ZooKeeper nor a server executed a command of
    /// it.
    async fn assert_nothing_more_happens(&self, finished: &Picture) {
        let leader = self.leader();
        eventually(SOON, "the old leader to know better", async || {
            // A frozen keeper answers only after it goes on.
            match leader.leads_with().await {
                Some(epoch) if epoch == self.epoch => Err("it leads with its old epoch"),
                _ => Ok(()),
            }
        })
        .await;
        leader.wait_ready().await;
        self.wait_rest(self.stage.keepers.iter()).await;
        assert_eq!(self.picture().await, *finished, "{:?}", self.moment);
        let successor = self.stage.published().await;
        successor.wait_role(Role::Primary).await;
        for redis in &self.stage.nodes {
            let clients: String = redis.run("CLIENT LIST").await;
            let name = format!("name=keeper-{} ", self.epoch);
            assert!(!clients.contains(&name), "{:?}: {clients}", self.moment);
            assert_eq!(redis.key_count().await, 100, "{:?}", self.moment);
        }
    }

    /// The published state, and how many commands each server has run so far.
    ///
    /// The list of replicas is left out. A replica may drop out of the state for a moment, since the command to
    /// follow cuts the connections of probes.
    async fn picture(&self) -> Picture {
        let (mut state, _) = self.stage.tree.json("/clusters/cache").await;
        state["slaves"].take();
        let mut commands = Vec::new();
        for redis in &self.stage.nodes {
            for command in ["replicaof", "exec", "config|rewrite"] {
                commands.push(redis.calls(command).await);
            }
        }
        (state, commands)
    }
}
