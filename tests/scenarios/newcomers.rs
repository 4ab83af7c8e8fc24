//! A keeper dies for good, and others join under new ids (RK-2): which keepers a failover waits for, and who
//! announces the wait.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::{Prefix, ZooKeeper};
use serde_json::Value;
use tokio::time::Instant;

/// The beginning of the plan and of `explain` while a failover would wait.
const WOULD_WAIT: &str = "a failover now would wait for keeper-3 for another";

/// The mark-down time, a lease and the drain, with room for a busy machine; `failsafe-max-seconds` is an hour.
const ABOUT_A_LEASE: Duration = Duration::from_secs(15);

/// Keepers that join and leave at one ZooKeeper.
struct Fleet<'a> {
    net: &'a Net,
    prefix: Prefix<'static>,
    settings: Settings,
}

impl<'a> Fleet<'a> {
    async fn new(net: &'a Net, name: &str, nodes: &[&Redis]) -> Self {
        let settings = Settings::new().set("admin-operations", true);
        Self {
            net,
            prefix: ZooKeeper::shared().await.prefix(name),
            settings: settings.cluster("cache", nodes.iter().copied()),
        }
    }

    async fn launch(&self, number: usize) -> Keeper {
        let id = format!("keeper-{number}");
        Keeper::launch(&id, self.net, &self.prefix, &self.settings).await
    }

    /// Starts `keeper-1` to `keeper-3`, and waits until each has both others on its failsafe list.
    async fn first_three(&self, nodes: [&Redis; 3]) -> Vec<Keeper> {
        let keepers = join_all((1..=3).map(|number| self.launch(number))).await;
        let [primary, first, second] = nodes;
        for keeper in &keepers {
            keeper
                .wait_topology("cache", primary, &[first, second])
                .await;
            wait_asks(keeper, &keepers).await;
        }
        keepers
    }
}

/// Waits until the failsafe list of the keeper has all the others.
async fn wait_asks(keeper: &Keeper, all: &[Keeper]) {
    let others = all.iter().map(Keeper::id).filter(|id| *id != keeper.id());
    let others: BTreeSet<_> = others.collect();
    eventually(
        SOON,
        format!("{} to ask {others:?}", keeper.id()),
        async || {
            let told = keeper.admin("keepers").await["failsafe"]["asks"].clone();
            let asks = told.as_array().into_iter().flatten();
            let asks: BTreeSet<_> = asks.filter_map(Value::as_str).collect();
            (asks == others).then_some(()).ok_or(told)
        },
    )
    .await;
}

async fn wait_leads(keeper: &Keeper) {
    eventually(SOON, format!("{} to lead", keeper.id()), async || {
        keeper.leads_with().await.ok_or("it does not")
    })
    .await;
}

/// Ends the keeper in order (SIGTERM).
async fn end(keeper: &Keeper) {
    keeper.process().terminate();
    keeper.process().wait_exit().await;
}

async fn explained(keeper: &Keeper) -> String {
    let told = keeper.admin("clusters/cache/explain").await;
    told.to_string()
}

#[tokio::test]
async fn a_keeper_that_never_returns_delays_no_failover_by_a_newcomer_it_never_knew() {
    let net = Net::fleet().await;
    let trio = Redis::trio(&net).await;
    let nodes = trio.each_ref();
    let [primary, ..] = nodes;
    let fleet = Fleet::new(&net, "newcomer", &nodes).await;
    let mut keepers = fleet.first_three(nodes).await;

    let lost = keepers.pop().expect("keeper-3");
    lost.process().kill();
    keepers.push(fleet.launch(4).await);
    keepers[2].wait_primary("cache", primary).await;
    for keeper in &keepers[..2] {
        end(keeper).await;
        keeper.process().restart();
        keeper.wait_primary("cache", primary).await;
    }
    let newcomer = &keepers[2];
    wait_leads(newcomer).await;
    let checks = Checks::start(&keepers, "cache", &nodes);
    let told = explained(newcomer).await;
    assert!(!told.contains("would wait"), "{told}");

    let killed = Instant::now();
    primary.kill();
    newcomer.wait_replaced("cache", primary).await;
    let took = killed.elapsed();
    assert!(took < ABOUT_A_LEASE, "{took:?}");
    for keeper in &keepers {
        keeper.wait_replaced("cache", primary).await;
    }
    checks.assert_never_two();
}

#[tokio::test]
async fn a_wait_for_a_keeper_whose_peers_are_all_gone_is_told_before_it_comes() {
    let net = Net::fleet().await;
    let trio = Redis::trio(&net).await;
    let nodes = trio.each_ref();
    let [primary, first, second] = nodes;
    let fleet = Fleet::new(&net, "replaced", &nodes).await;
    let gone = fleet.first_three(nodes).await;

    gone[2].process().kill();
    let newcomers = [fleet.launch(4).await, fleet.launch(5).await];
    for keeper in &newcomers {
        keeper.wait_primary("cache", primary).await;
    }
    for keeper in &gone[..2] {
        end(keeper).await;
    }
    let leader = eventually(SOON, "one of the newcomers to lead", async || {
        for keeper in &newcomers {
            if keeper.leads_with().await.is_some() {
                return Ok(keeper);
            }
        }
        Err("none does")
    })
    .await;
    eventually(SOON, "the wait to be explained", async || {
        let told = explained(leader).await;
        told.contains(WOULD_WAIT).then_some(()).ok_or(told)
    })
    .await;
    let generation = leader.generation("cache").await;
    let checks = Checks::start(&newcomers, "cache", &nodes);

    // The leader does not withdraw the primary into the wait, so the primary serves again once it is back.
    primary.save().await;
    primary.kill();
    leader.wait_plan("cache", &[WOULD_WAIT]).await;
    let log = leader.process().log();
    let told = "a failover now would wait for a silent keeper";
    assert!(log.contains(told), "{log}");
    assert!(!log.contains("withdrawing the primary"), "{log}");
    primary.revive().await;
    for keeper in &newcomers {
        keeper
            .wait_topology("cache", primary, &[first, second])
            .await;
        assert!(keeper.calls_writable("cache", primary).await);
    }
    assert_eq!(leader.generation("cache").await, generation);
    checks.assert_only(primary);

    // An operator who knows that the keeper is dead removes it.
    let answer = leader.delete("/admin/keepers/keeper-3").await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.code, 200, "{answer:?}");
    eventually(SOON, "nothing to wait for", async || {
        let told = explained(leader).await;
        (!told.contains("would wait")).then_some(()).ok_or(told)
    })
    .await;
    primary.kill();
    for keeper in &newcomers {
        keeper.wait_replaced("cache", primary).await;
    }
    checks.assert_never_two();
}
