//! The network is parted for a few seconds under five hosts with clients. `examples/partition.rs` does it for as long as one
//! likes, for Redis Sentinel, too, and prints the figures.

#[path = "script.rs"]
mod script;

#[path = "../scenarios/support"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod support {
    pub(crate) mod background;
    pub(crate) mod haproxy;
    pub(crate) mod keeper;
    pub(crate) mod leadership;
    pub(crate) mod link;
    pub(crate) mod net;
    pub(crate) mod process;
    pub(crate) mod redis;
    pub(crate) mod sentinel;
    pub(crate) mod wait;
    pub(crate) mod zookeeper;

    pub(crate) use self::background::BACKGROUND;
}

use std::time::Duration;

use self::script::Script;
use self::script::site::Manager;
use self::support::net::Net;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn of_two_sides_of_a_cut_only_the_larger_goes_on_writing_and_never_both_at_once() {
    let _turn = Net::fleet().await;
    let script = Script {
        manager: Manager::RedisKeeper,
        // A busy machine does not reach it by accident.
        mark_down: seconds(2),
        leaders_cut_off: false,
        before: seconds(2),
        cut: seconds(12),
        after: seconds(2),
    };
    let figures = script.play().await;
    assert_eq!(figures.both_sides, Duration::ZERO, "{figures:?}");
    let went_on = figures.minority_went_on.unwrap_or_default();
    assert!(went_on < seconds(4), "the smaller side stops: {figures:?}");
    assert!(
        figures.majority_resumed.is_some(),
        "the larger side goes on: {figures:?}"
    );
    assert!(figures.reunited.is_some(), "{figures:?}");
    assert_eq!(figures.lost_elsewhere, 0, "{figures:?}");
    assert!(figures.lost_percent() <= 10.0, "{figures:?}");
}
