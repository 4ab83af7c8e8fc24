//! A primary freezes for longer than the mark-down time, answers for a moment, and freezes again (RK-2).

use std::time::Duration;

use keeper_site::keeper::Settings;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use tokio::time::sleep;

/// The fourth verdict within ten mark-down times is final. On a busy machine some verdicts may not be counted.
const ROUNDS: usize = 12;

/// Short beside the 50 ms that a keeper gives the primary at least to answer before a withdrawal.
const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_primary_that_answers_whenever_it_is_to_be_withdrawn_is_replaced_at_last() {
    let trio = Trio::start("flapping", 3, Settings::new()).await;
    let [primary, ..] = &trio.redis;
    let leader = &trio.keepers[trio.keepers.wait_leader().await];
    let checks = trio.checks();
    let verdicts = || {
        let log = leader.process().log();
        log.matches("node is held down by a majority").count()
    };
    let replaced = async || {
        let status = leader.status("cache").await;
        status.is_ok_and(|status| status.primary.is_some_and(|it| it != primary.node()))
    };

    let mut rounds = 0;
    while !replaced().await {
        rounds += 1;
        assert!(rounds <= ROUNDS, "never replaced");
        let before = verdicts();
        primary.pause();
        let held_down = async {
            while verdicts() == before {
                sleep(MOMENT).await;
            }
        };
        tokio::time::timeout(SOON, held_down)
            .await
            .expect("a verdict");
        primary.resume();
        // Waits for the first of the two.
        eventually(SOON, "its votes taken back, or a successor", async || {
            if replaced().await {
                return Ok(());
            }
            let view = leader.node("cache", primary).await;
            let votes = view["verdict"]["votes"].as_object();
            votes
                .is_some_and(serde_json::Map::is_empty)
                .then_some(())
                .ok_or(view)
        })
        .await;
    }
    for keeper in trio.keepers.iter() {
        keeper.wait_replaced("cache", primary).await;
    }
    let told = leader.process().log();
    assert!(
        rounds <= 3 || told.contains("is flapping: voted down"),
        "{rounds} rounds: {told}"
    );
    eventually(SOON, "it to follow its successor", async || {
        let info = primary.info("replication").await;
        let info = info.map_err(|error| error.to_string())?;
        (info["role"] == "slave")
            .then_some(())
            .ok_or(format!("{info:?}"))
    })
    .await;
    checks.assert_never_two();
}
