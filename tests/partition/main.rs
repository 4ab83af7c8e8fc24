//! A network of five hosts with clients is cut for a few seconds.
//!
//! `examples/partition.rs` cuts it for any time, for Redis Sentinel, too, and prints the figures.

mod barred;
mod hosts;
mod name_server;
mod named;
mod renamed;
mod resolved;
#[path = "script.rs"]
mod script;
mod unroutable;

use std::time::Duration;

use keeper_site::net::Net;
use tokio::sync::Mutex;

use self::script::Script;
use self::script::figures::Figures;
use self::script::site::{Manager, Names, Site};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One test uses the machine at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// The length of a cut.
const LENGTH: Duration = seconds(12);

/// Keepers with their default configuration.
const KEEPERS: Manager = known_by(Names::Own);

const fn known_by(names: Names) -> Manager {
    Manager::RedisKeeper { lease: None, names }
}

async fn cut(manager: Manager, leaders_cut_off: bool) -> (Figures, (Site, impl Sized)) {
    let turn = (TURN.lock().await, Net::fleet().await);
    let script = Script {
        manager,
        // A busy machine does not exceed this time by accident.
        mark_down: seconds(2),
        leaders_cut_off,
        before: seconds(2),
        cut: LENGTH,
        after: seconds(2),
    };
    let (figures, site) = script.play().await;
    // Programs end before the turn does.
    (figures, (site, turn))
}

/// Asserts that the smaller side stops in time, and that lost writes were acknowledged there before.
///
/// The time covers a lease, a check of HAProxy, and the slowness of a busy machine.
fn assert_safe(figures: &Figures, stops_within: Duration) {
    let both = figures.both_sides + figures.both_after;
    assert_eq!(both, Duration::ZERO, "never both sides: {figures:?}");
    let went_on = figures.minority_went_on.unwrap_or_default();
    assert!(
        went_on < stops_within,
        "the smaller side stops: {figures:?}"
    );
    let resumed = figures.majority_resumed;
    assert!(resumed.is_some(), "the larger side goes on: {figures:?}");
    assert!(figures.reunited.is_some(), "{figures:?}");
    assert_eq!(figures.lost_elsewhere, 0, "{figures:?}");
}

#[tokio::test]
async fn of_two_sides_of_a_cut_only_the_larger_goes_on_writing_and_never_both_at_once() {
    let (figures, _site) = cut(KEEPERS, false).await;
    assert_safe(&figures, seconds(3));
    // The run is short, so the share is high; in the longer run of the example it is below 1 %.
    assert!(figures.lost_percent() <= 10.0, "{figures:?}");
}

#[tokio::test]
async fn the_larger_side_goes_on_without_the_leaders_that_were_cut_off() {
    let (figures, _site) = cut(KEEPERS, true).await;
    assert_safe(&figures, seconds(3));
}

/// Each cut-off keeper asks the others, and reaches only itself. Its own consent does not count as theirs.
#[tokio::test]
async fn hosts_of_one_name_that_each_takes_for_its_own_never_write_on_both_sides() {
    let (figures, (site, _turn)) = cut(known_by(Names::OneForAll), false).await;
    assert_safe(&figures, seconds(3));
    site.wait_obstacles("it has the same address as").await;
}

#[tokio::test]
async fn keepers_that_advertise_a_loopback_address_never_write_on_both_sides() {
    let (figures, (site, _turn)) = cut(known_by(Names::Loopback), false).await;
    assert_safe(&figures, seconds(3));
    site.wait_obstacles("it has the same address as").await;
}

/// The smaller side goes on for a lease. The larger side marked its primary down long before.
#[tokio::test]
async fn a_lease_that_outlasts_the_mark_down_time_is_waited_for() {
    let lease = Some(seconds(4));
    let names = Names::Own;
    let (figures, _site) = cut(Manager::RedisKeeper { lease, names }, false).await;
    assert_safe(&figures, seconds(6));
    let went_on = figures.minority_went_on.unwrap_or_default();
    assert!(
        went_on > seconds(2),
        "longer than the mark-down time: {figures:?}"
    );
}

/// The assertions of the other tests can fail: Sentinel lets the smaller side write.
#[tokio::test]
async fn two_sides_that_write_at_once_and_the_writes_that_are_lost_are_noticed() {
    let (figures, _site) = cut(Manager::Sentinel, false).await;
    assert!(figures.both_sides > seconds(1), "{figures:?}");
    assert!(figures.lost > 0, "{figures:?}");
}
