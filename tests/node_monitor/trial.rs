//! Trials: from time to time a monitor tries whether the node could be commanded.

use std::time::Duration;

use redis_keeper::actors::messages::Refresh;
use redis_keeper::ports::clock::LeaseClock as _;
use redis_keeper::ports::redis::CommandObstacle;
use tokio::time::sleep;

use crate::time::on_virtual_time;
use crate::watch::{TICK, Watch};

/// See `Watch`: every ten ticks, a probe reads everything, and commands are tried.
const PERIOD: Duration = TICK.saturating_mul(10);

#[test]
fn commands_are_tried_at_the_start_and_then_once_each_period() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        let before = watch.server.trials.get();
        sleep(20 * PERIOD).await;
        let tried = watch.server.trials.get() - before;
        assert!((19..=21).contains(&tried), "{tried}");
    });
}

#[test]
fn a_right_that_was_taken_away_is_told_and_one_that_is_given_back_within_seconds() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        let obstacle = CommandObstacle::Refused("NOPERM".to_owned());
        watch.server.obstacle.replace(Some(obstacle));
        watch
            .next(|observation| observation.not_commandable() == Some("NOPERM"))
            .await;
        watch.server.obstacle.replace(None);
        let given = watch.clock.now();
        watch
            .next(|observation| observation.commandable == Some(Ok(())))
            .await;
        assert!(watch.clock.now().since(given) <= Duration::from_secs(2));
    });
}

#[test]
fn another_process_is_tried_anew_and_what_was_known_says_nothing_of_it() {
    on_virtual_time(async {
        let watch = Watch::node(|server| {
            server
                .obstacle
                .replace(Some(CommandObstacle::Refused("WRONGPASS".to_owned())));
        });
        watch
            .next(|observation| observation.not_commandable() == Some("WRONGPASS"))
            .await;
        watch.server.obstacle.replace(Some(CommandObstacle::NotYet));
        watch.server.cut();
        watch
            .server
            .tells(|info| info.run_id = Some("another".to_owned()));
        watch
            .next(|observation| observation.commandable.is_none())
            .await;
        watch.server.obstacle.replace(None);
        let given = watch.clock.now();
        while watch
            .monitor
            .send(Refresh::default())
            .await
            .unwrap()
            .commandable
            != Some(Ok(()))
        {
            assert!(watch.clock.now().since(given) <= Duration::from_secs(2));
            watch.probed().await;
        }
    });
}
