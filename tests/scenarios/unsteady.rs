//! The keepers' connections to ZooKeeper are closed again and again, and refused for a moment each time.

use std::time::Duration;

use futures::future::join_all;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::trio::Trio;
use tokio::time::{interval, sleep};

/// The interval of the closings, and how long new connections are refused.
#[derive(Clone, Copy)]
struct Rhythm {
    every: Duration,
    refused: Duration,
}

impl Rhythm {
    const fn new(every: u64, refused: u64) -> Self {
        Self {
            every: Duration::from_millis(every),
            refused: Duration::from_millis(refused),
        }
    }

    async fn beat(self, keepers: &[Keeper]) {
        let mut beats = interval(self.every);
        loop {
            beats.tick().await;
            join_all(keepers.iter().map(Keeper::cut_from_zookeeper)).await;
            sleep(self.refused).await;
            join_all(keepers.iter().map(Keeper::restore_zookeeper)).await;
        }
    }
}

/// How the primary is lost meanwhile.
#[derive(Clone, Copy)]
enum Loss {
    Killed,
    /// The primary freezes, so the leader waits for clients that it may still have (RK-10).
    Frozen,
}

/// Asserts that the primary is replaced while the connections are closed again and again.
async fn a_lost_primary_is_replaced(prefix: &str, rhythm: Rhythm, loss: Loss) {
    let trio = Trio::start(prefix, 3, Settings::new()).await;
    let [primary, ..] = &trio.redis;
    let checks = trio.checks();
    let replaced = async {
        sleep(rhythm.every * 2).await;
        match loss {
            Loss::Killed => primary.process().kill(),
            Loss::Frozen => primary.pause(),
        }
        let each = trio.keepers.iter();
        join_all(each.map(|keeper| keeper.wait_replaced("cache", primary))).await;
    };
    tokio::select! {
        () = rhythm.beat(&trio.keepers) => {}
        () = replaced => {}
    }
    checks.assert_never_two();
}

#[tokio::test]
async fn a_dead_primary_is_replaced_though_zookeeper_is_away_3_tenths_of_each_second() {
    a_lost_primary_is_replaced("unsteady_1", Rhythm::new(1000, 300), Loss::Killed).await;
}

#[tokio::test]
async fn a_frozen_primary_is_replaced_though_zookeeper_is_away_3_tenths_of_each_second() {
    a_lost_primary_is_replaced("unsteady_2", Rhythm::new(1000, 300), Loss::Frozen).await;
}

#[tokio::test]
async fn a_dead_primary_is_replaced_though_zookeeper_is_gone_for_one_of_three_seconds() {
    a_lost_primary_is_replaced("unsteady_3", Rhythm::new(3000, 1000), Loss::Killed).await;
}

#[tokio::test]
async fn a_dead_primary_is_replaced_though_zookeeper_is_gone_every_five_seconds() {
    a_lost_primary_is_replaced("unsteady_4", Rhythm::new(5000, 300), Loss::Killed).await;
}
