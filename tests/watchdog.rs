//! The watchdog, with a real clock and a process that is really stopped. The test is alone in its binary, since every
//! thread stops.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::supervision::Watchdog;
use tokio::time::{sleep, timeout};

const STALL: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);
const SIGABRT: i32 = 6;

/// Set for a copy of this test binary whose event loop is to be blocked.
const VICTIM: &str = "REDIS_KEEPER_TEST_VICTIM";

/// The victim of [`the_watchdog_aborts_though_the_log_is_stuck`], in a process of its own.
fn be_blocked_in_the_log() -> ! {
    System::new().block_on(async {
        let _guard = Watchdog::new(STALL).spawn().expect("a thread");
        sleep(STALL / 4).await;
        // The parent does not read: the pipe is full, and the lock of standard error is held for ever.
        let mut stderr = std::io::stderr().lock();
        loop {
            let _ = stderr.write_all(&[b'.'; 8192]);
        }
    })
}

#[test]
fn the_watchdog_aborts_though_the_log_is_stuck() {
    if std::env::var_os(VICTIM).is_some() {
        be_blocked_in_the_log();
    }
    let mut victim = Command::new(std::env::current_exe().expect("this binary"))
        .args([
            "--exact",
            "--nocapture",
            "the_watchdog_aborts_though_the_log_is_stuck",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a copy of this binary");
    let mut ended = None;
    for _ in 0..DEADLINE.as_millis() / PAUSE.as_millis() {
        ended = victim.try_wait().expect("a child");
        if ended.is_some() {
            break;
        }
        std::thread::park_timeout(PAUSE);
    }
    let _ = victim.kill();
    let status = victim.wait().expect("a child");
    assert_eq!(status.signal(), Some(SIGABRT), "{ended:?}, {status}");
}

#[test]
fn the_watchdog_acts_on_a_blocked_arbiter_and_not_on_a_stopped_process() {
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
