//! `redis-keeper demo`, as a person who tries it sees it.

use std::path::Path;

use keeper_site::net::Net;
use keeper_site::process::{Process, command};
use keeper_site::wait::{SOON, eventually};
use tempfile::TempDir;

/// The words with which a demo ends its story.
const INVITATION: &str = "Now it is yours";

/// A demo with a directory of its own for its temporary files.
struct Demo {
    process: Process,
    files: TempDir,
    _dir: TempDir,
}

impl Demo {
    fn start(options: &[&str]) -> Self {
        let (files, dir) = (TempDir::new(), TempDir::new());
        let (files, dir) = (files.expect("a directory"), dir.expect("a directory"));
        let mut demo = command(env!("CARGO_BIN_EXE_redis-keeper"));
        demo.arg("demo").args(options).env("TMPDIR", files.path());
        let process = Process::start("demo", &dir.path().join("output"), demo);
        Self {
            process,
            files,
            _dir: dir,
        }
    }

    async fn wait_for(&self, text: &str) {
        eventually(SOON, format_args!("the demo to say {text:?}"), async || {
            let output = self.process.log();
            output.contains(text).then_some(()).ok_or(output)
        })
        .await;
    }

    /// Waits until no process and no file of the demo is left.
    async fn wait_gone(&self) {
        eventually(SOON, "nothing of the demo to be left", async || {
            let files: Vec<_> = std::fs::read_dir(self.files.path())
                .expect("its directory")
                .map(|entry| entry.expect("its directory").path())
                .collect();
            let processes = processes_of(self.files.path());
            if files.is_empty() && processes.is_empty() {
                Ok(())
            } else {
                Err(format!("{files:?}, processes {processes:?}"))
            }
        })
        .await;
    }
}

/// Ids of the processes that work in `dir` or were started with a file there.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().expect("a name that is text");
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let of_demo = all.filter(|process| {
        let (directory, call) = (
            std::fs::read_link(process.path().join("cwd")),
            std::fs::read(process.path().join("cmdline")),
        );
        directory.is_ok_and(|it| it.starts_with(dir))
            || call.is_ok_and(|it| String::from_utf8_lossy(&it).contains(dir))
    });
    of_demo
        .map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The steps of the story, in the order in which each becomes true.
fn assert_story(output: &str) {
    let mut rest = output;
    for step in [
        "the primary, was killed (kill -9)",
        "client      cannot write",
        "marked down",
        "withdrawn",
        "chosen",
        " at offset ",
        "promoted",
        "published",
        "started",
        "alive again",
        "in step",
        INVITATION,
        "curl http://127.0.0.1:",
        "redis-cli -p ",
    ] {
        let found = rest.find(step);
        let found =
            found.unwrap_or_else(|| panic!("{step:?} is missing or too early in:\n{output}"));
        rest = &rest[found + step.len()..];
    }
    for step in ["writes again: none accepted for", "repointed"] {
        assert!(output.contains(step), "{step:?} is missing in:\n{output}");
    }
    assert!(!output.contains('\x1b'), "no colours but on a terminal");
}

#[tokio::test]
async fn the_demo_tells_a_failover_and_leaves_nothing_behind_when_it_is_terminated() {
    let demo = Demo::start(&[]);
    demo.wait_for(INVITATION).await;
    assert!(!processes_of(demo.files.path()).is_empty());
    demo.process.terminate();
    let status = demo.process.wait_exit().await;
    assert!(status.success(), "{status}");
    demo.wait_gone().await;
    assert_story(&demo.process.log());
}

#[tokio::test]
async fn a_demo_that_is_killed_or_stopped_early_leaves_nothing_behind() {
    let killed = Demo::start(&[]);
    killed.wait_for("replica").await;
    killed.process.kill();
    killed.wait_gone().await;

    let stopped = Demo::start(&[]);
    stopped.wait_for("Starting").await;
    stopped.process.terminate();
    let status = stopped.process.wait_exit().await;
    assert!(status.success(), "{status}");
    stopped.wait_gone().await;
}

#[tokio::test]
async fn the_full_demo_tells_the_same_story_through_haproxy() {
    let _turn = Net::fleet().await;
    let demo = Demo::start(&["--full"]);
    demo.wait_for(INVITATION).await;
    demo.process.terminate();
    let status = demo.process.wait_exit().await;
    assert!(status.success(), "{status}");
    demo.wait_gone().await;
    let output = demo.process.log();
    assert_story(&output);
    assert!(output.contains("all 3 keepers answer 200"), "{output}");
}

#[tokio::test]
async fn without_a_server_program_the_demo_names_the_package() {
    let dir = TempDir::new().expect("a directory");
    let mut demo = std::process::Command::new(env!("CARGO_BIN_EXE_redis-keeper"));
    let output = demo.arg("demo").env("PATH", dir.path()).output();
    let output = output.expect("the demo runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("apt-get install redis-server"), "{said}");
}
