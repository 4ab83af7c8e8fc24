//! Suggestions for experiments while the demo stays up.

use super::processes::RESTART_AFTER;
use super::screen::Screen;
use super::stage::Stage;
use super::{CLUSTER, Trouble};

/// Prints commands with the ports and process ids of this demo. `primary` is the present primary.
pub(super) fn invite(stage: &Stage, screen: &Screen, primary: &str) -> Result<(), Trouble> {
    let (keeper, port) = &stage.keepers[0];
    let at = format!("http://127.0.0.1:{port}");
    screen.heading("Now it is yours: try these in another terminal")?;
    screen.command(
        &format!("curl {at}/cluster/{CLUSTER}/status"),
        "who is the primary?",
    )?;
    screen.command(
        &format!("curl -i {at}/cluster/{CLUSTER}/is-writable/{primary}"),
        "what HAProxy asks",
    )?;
    screen.command(
        &format!("curl {at}/admin/clusters/{CLUSTER}"),
        "what the keeper sees, what it plans, and why it does nothing else",
    )?;
    let server = primary.rsplit_once(':').map_or(primary, |(_, port)| port);
    screen.command(
        &format!("redis-cli -p {server} info replication"),
        "what the primary says of itself",
    )?;
    if let Some(full) = &stage.full {
        screen.command(
            &format!("redis-cli -p {} set hello world", full.writable),
            "write through HAProxy",
        )?;
    }
    if let Some(id) = stage.processes.id(primary) {
        screen.command(&format!("kill -9 {id}"), "kill the primary again")?;
        screen.command(
            &format!("kill -STOP {id}; sleep 5; kill -CONT {id}"),
            "or let it hang: when it wakes it must not be written to",
        )?;
    }
    if let (Some(_), Some(id)) = (&stage.full, stage.processes.id(keeper)) {
        screen.command(
            &format!("kill -9 {id}"),
            &format!("kill {keeper}: the others go on"),
        )?;
    }
    if let Some(id) = stage.processes.id("zookeeper-1") {
        screen.command(&format!("kill -9 {id}"), "kill a ZooKeeper server")?;
    }
    screen.command(
        &format!("tail -f {}", stage.log_of(keeper).display()),
        "the keeper's own log",
    )?;
    screen.line("")?;
    screen.line(&format!(
        "What is killed starts again {} s later. What happens is told here. Ctrl-C ends everything.",
        RESTART_AFTER.as_secs(),
    ))
}
