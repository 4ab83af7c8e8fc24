//! Child processes that end with their test, and show their log when it fails.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{SOON, eventually};

/// How many lines of its log a process shows when its test fails.
const SHOWN_LINES: usize = 200;

/// A program that the kernel kills when this process ends, however it ends.
///
/// Debian keeps daemons in `/usr/sbin`, which is not in every path. The program runs in the network namespace of the
/// calling thread, which must live until the program has started.
pub fn command(program: &str) -> Command {
    // The parent may have died before `setpriv` asked for the signal. Then the program has another parent, and ends.
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

/// The words before a command that enter the network namespace of the calling thread; none if the spawner is in the
/// same one.
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

/// A child process, which can be started again after its death. A dropped child is killed.
pub struct Process {
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
    /// Starts a program of [`command`]; its output goes to `log`.
    pub fn start(name: impl Into<String>, log: &Path, command: Command) -> Self {
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

    /// Starts the program again, after killing it if it still runs.
    pub fn restart(&self) {
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

    /// Freezes the process: its connections stay open, and it answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks the process to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills the process, and waits for its death. Does nothing if the process does not run.
    pub fn kill(&self) {
        if let Some(mut child) = self.run().child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends `signal` to the process.
    pub fn signal(&self, signal: Signal) {
        let run = self.run();
        let child = run.child.as_ref();
        let child = child.unwrap_or_else(|| panic!("{} does not run", self.name));
        kill_process(Pid::from_child(child), signal)
            .unwrap_or_else(|error| panic!("{signal:?} to {}: {error}", self.name));
    }

    /// The exit status, or `None` while the process runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let mut run = self.run();
        let child = run.child.as_mut();
        let child = child.unwrap_or_else(|| panic!("{} was not started", self.name));
        child.try_wait().expect("a child of ours")
    }

    /// Waits until the process has ended by itself. Returns the exit status.
    pub async fn wait_exit(&self) -> ExitStatus {
        eventually(SOON, format_args!("{} to exit", self.name), async || {
            self.exit_status().ok_or("it runs")
        })
        .await
    }

    /// The process id of the present run.
    pub fn id(&self) -> u32 {
        self.run().child.as_ref().map_or(0, Child::id)
    }

    /// Everything that the process has printed, in all its runs.
    pub fn log(&self) -> String {
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

/// A thread that never ends, and that starts all children.
///
/// The kernel sends the death signal when the *thread* ends that started the child, and each test is a thread of its
/// own.
struct Spawner {
    orders: mpsc::Sender<(Command, mpsc::Sender<Spawned>)>,
    /// The network namespace of the thread that started the first child.
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
