//! The memory that supervision takes. The test is alone in its binary, since it measures the whole process.

use std::time::Duration;

use actix::prelude::*;
use redis_keeper::supervision::{ChildSpec, OneForOne, Root, Slot};
use tokio::time::sleep;

const CHILDREN: usize = 4_000;

struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kilobytes.expect("a size in kB") * 1024
}

#[test]
fn an_idle_child_costs_at_most_two_kilobytes_beyond_its_actor() {
    System::new().block_on(async {
        let interval = Duration::from_millis(50);
        let before = resident();
        let bare: Vec<_> = (0..CHILDREN).map(|_| Idle.start()).collect();
        sleep(interval).await;
        let actors = resident() - before;

        let before = resident();
        let slots: Vec<_> = (0..CHILDREN).map(|_| Slot::new()).collect();
        let children = slots
            .iter()
            .enumerate()
            .map(|(i, slot)| ChildSpec::permanent(format!("node:127.0.0.1:{i}"), slot, || Idle));
        let plan = OneForOne::default().ping_every(interval);
        let root = Root::start("root", 1, children.fold(plan, OneForOne::child));
        slots
            .last()
            .expect("children")
            .reference()
            .up()
            .await
            .expect("a slot");
        sleep(interval * 3).await; // so that pings have been round
        let supervised = resident() - before;

        assert_eq!(root.tree().snapshot().children.len(), CHILDREN);
        let each = supervised.saturating_sub(actors) / CHILDREN;
        println!(
            "{} bytes an actor, {each} more when supervised",
            actors / CHILDREN
        );
        assert!(each <= 2_000, "{each} bytes a child");
        drop(bare);
    });
}
