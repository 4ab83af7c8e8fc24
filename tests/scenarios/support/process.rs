//! Child processes that end with their test, and show their log when it fails.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{SOON, eventually};

/// Lines of its log that a process shows when its test fails.
const SHOWN_LINES: usize = 200;

/// A program that the kernel kills when this process ends, however it ends.
///
/// Debian keeps daemons in `/usr/sbin`, which is not in everybody's path. It runs in the network namespace of the thread
/// that calls this, which must live until the program has started.
pub(crate) fn command(program: &str) -> Command {
    // A parent that died before `setpriv` could ask for the signal is noticed by the change of parent.
    const UNLESS_ORPHANED: &str = r#"[ "$PPID" = "$0" ] && exec "$@""#;
    let path = std::env::var("PATH").unwrap_or_default();
    let parent = std::process::id().to_string();
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "sh", "-c", UNLESS_ORPHANED])
        .arg(&parent)
        .args(enter_this_network())
        .arg(program)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// What a command line begins with to run in the network namespace of the calling thread: nothing, if that is where programs
/// are started anyway.
fn enter_this_network() -> Vec<String> {
    if network() == SPAWNER.network {
        return Vec::new();
    }
    let thread = std::fs::read_link("/proc/thread-self").expect("a thread");
    let file = format!("--net=/proc/{}/ns/net", thread.display());
    vec!["nsenter".into(), file, "--".into()]
}

/// The network namespace of the calling thread.
fn network() -> PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").expect("every thread has a network")
}

/// One child, which can be started again after its death. Dropping it kills it.
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    run: Mutex<Run>,
}

struct Run {
    command: Option<Command>,
    child: Option<Child>,
}

// === impl Process ===

impl Process {
    /// Starts what [`command`] made; its output goes to `log`.
    pub(crate) fn start(name: impl Into<String>, log: &Path, command: Command) -> Self {
        let process = Self {
            name: name.into(),
            log: log.to_owned(),
            run: Mutex::new(Run {
                command: Some(command),
                child: None,
            }),
        };
        process.restart();
        process
    }

    /// Starts it once more, killing it first if it still runs.
    pub(crate) fn restart(&self) {
        self.kill();
        let mut run = self.run();
        let mut command = run.command.take().expect("kept between runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap_or_else(|error| panic!("{}: {error}", self.log.display()));
        let errors = log.try_clone().expect("a second handle of the log");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let (command, child) = spawn(command);
        run.command = Some(command);
        run.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}", self.name)));
    }

    /// Freezes it: connections stay open and nothing answers.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends a [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills it and sees it dead. Nothing if it does not run.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.run().child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        let run = self.run();
        let child = run.child.as_ref();
        let child = child.unwrap_or_else(|| panic!("{} does not run", self.name));
        kill_process(Pid::from_child(child), signal)
            .unwrap_or_else(|error| panic!("{signal:?} to {}: {error}", self.name));
    }

    /// How it ended, or `None` while it runs.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        let mut run = self.run();
        let child = run.child.as_mut();
        let child = child.unwrap_or_else(|| panic!("{} was not started", self.name));
        child.try_wait().expect("a child of ours")
    }

    /// Waits until it has ended by itself, and says how.
    pub(crate) async fn wait_exit(&self) -> ExitStatus {
        eventually(SOON, format_args!("{} to exit", self.name), async || {
            self.exit_status().ok_or("it runs")
        })
        .await
    }

    /// Process id of the present run.
    pub(crate) fn id(&self) -> u32 {
        self.run().child.as_ref().map_or(0, Child::id)
    }

    /// All it has printed, over all its runs.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln!("--- log of {}\n{}\n---", self.name, shown.join("\n"));
        }
    }
}

type Spawned = (Command, io::Result<Child>);

/// The death signal is sent when the *thread* that spawned the child ends, and each test is a thread of its own: so one
/// thread that never ends spawns for all.
struct Spawner {
    orders: mpsc::Sender<(Command, mpsc::Sender<Spawned>)>,
    /// That of whoever spawned first.
    network: PathBuf,
}

static SPAWNER: LazyLock<Spawner> = LazyLock::new(|| {
    let (orders, received) = mpsc::channel::<(Command, mpsc::Sender<Spawned>)>();
    thread::spawn(move || {
        for (mut command, reply) in received {
            let child = command.spawn();
            let _ = reply.send((command, child));
        }
    });
    let network = network();
    Spawner { orders, network }
});

fn spawn(command: Command) -> Spawned {
    let (reply, spawned) = mpsc::channel();
    SPAWNER
        .orders
        .send((command, reply))
        .expect("the spawner never ends");
    spawned.recv().expect("the spawner answers each order")
}
