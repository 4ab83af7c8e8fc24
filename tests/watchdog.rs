//! The watchdog against a real clock and a really stopped process; alone in its binary, since that stops every thread.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::supervision::Watchdog;
use tokio::time::{sleep, timeout};

const STALL: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn the_watchdog_bites_when_the_arbiter_is_blocked_but_not_when_the_process_was_stopped() {
    System::new().block_on(async {
        let (bite, bitten) = mpsc::channel();
        let (beat, mut beats) = tokio::sync::mpsc::unbounded_channel();
        let watchdog = Watchdog::new(STALL)
            .on_stall(move |silence| bite.send(silence).expect("the test waits"))
            .on_beat(move || beat.send(()).expect("the test listens"));
        let _guard = watchdog.spawn().expect("a thread");
        timeout(DEADLINE, beats.recv())
            .await
            .expect("the arbiter beats");

        let me = std::process::id();
        let pause = format!("kill -STOP {me}; sleep 3; kill -CONT {me}");
        let mut pausing = Command::new("sh")
            .args(["-c", &pause])
            .spawn()
            .expect("a shell");
        while pausing.try_wait().expect("a child").is_none() {
            sleep(STALL / 20).await;
        }
        while beats.try_recv().is_ok() {}
        for _ in 0..15 {
            timeout(DEADLINE, beats.recv())
                .await
                .expect("the arbiter beats on");
        }
        assert!(
            bitten.try_recv().is_err(),
            "a stopped process is not a blocked arbiter"
        );

        let silence = bitten
            .recv_timeout(DEADLINE)
            .expect("blocking the arbiter here is noticed");
        assert!(silence >= STALL, "{silence:?}");
    });
}
