//! A fault in the middle of a switchover leaves no writes paused.

use std::cell::Cell;

use reqwest::Method;

use super::redis::{Deed, FakeServer};
use super::site::Site;

#[actix::test]
async fn a_panic_in_the_midst_of_a_switchover_leaves_no_writes_held_up() {
    interrupted(1, |server| &server.fatal).await;
}

#[actix::test]
async fn a_connection_that_breaks_when_writes_are_held_up_leaves_none_held_up() {
    interrupted(0, |server| &server.breaks).await;
}

/// Asks for switchovers until `fault` has interrupted one. Asserts that the old primary is the primary again, and
/// takes writes.
async fn interrupted(number: usize, fault: fn(&FakeServer) -> &Cell<bool>) {
    let site = Site::start().await;
    let server = site.server(number);
    fault(&server).set(true);
    // A leader that has just begun to lead calls the switchover off: it does not know at first which keepers left
    // before.
    site.eventually("a switchover to be interrupted", async || {
        let path = "/admin/clusters/cache/switchover";
        let (code, why) = site.ask(Method::POST, path).await;
        assert_ne!(code, 200, "{why}");
        (!fault(&server).get()).then_some(()).ok_or(why)
    })
    .await;
    site.wait_writable(0).await;
    site.eventually("writes to go on", async || {
        let pauses = pauses(&site.server(0));
        let gone_on = pauses == ["pause", "unpause"];
        gone_on.then_some(()).ok_or(pauses.into())
    })
    .await;
    site.stop().await;
}

fn pauses(server: &FakeServer) -> Vec<String> {
    let deeds = server.deeds().into_iter();
    let commands = deeds.filter_map(|deed| match deed {
        Deed::Command(_, text) => Some(text),
        _ => None,
    });
    commands.filter(|text| text.ends_with("pause")).collect()
}
