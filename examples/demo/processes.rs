//! The demo's processes. A process that ends is started again, as by a service manager. All end with the demo.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Trouble;
use super::guardian::Guardian;
use super::news::{News, Newsroom};

/// The time from the end of a process to its next start.
pub(super) const RESTART_AFTER: Duration = Duration::from_secs(4);

/// The time limit for a process to end after SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(2);

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The name of the program in the story.
    pub(super) name: String,
    /// The file to execute.
    pub(super) path: PathBuf,
    /// The arguments.
    pub(super) arguments: Vec<OsString>,
    /// The file for the output.
    pub(super) log: PathBuf,
    /// Whether standard error has a keeper's log, whose lines are events.
    pub(super) is_keeper: bool,
}

/// All started processes.
pub(super) struct Processes {
    newsroom: Newsroom,
    ids: Rc<RefCell<BTreeMap<String, u32>>>,
    closing: watch::Sender<bool>,
    tasks: JoinSet<()>,
    guardian: Guardian,
}

// === impl Processes ===

impl Processes {
    /// Creates the set without a process. All later processes end with this process at the latest, and `dir` is
    /// removed then.
    pub(super) fn new(dir: &Path, newsroom: Newsroom) -> Result<Self, Trouble> {
        Ok(Self {
            newsroom,
            ids: Rc::default(),
            closing: watch::Sender::new(false),
            tasks: JoinSet::new(),
            guardian: Guardian::new(dir).map_err(Trouble::at("/bin/sh"))?,
        })
    }

    /// Starts a program, and starts it again whenever it ends.
    pub(super) fn start(&mut self, program: Program) -> Result<(), Trouble> {
        let child = program
            .start(self.guardian.group(), &self.newsroom)
            .map_err(Trouble::at(&program.name))?;
        let life = Life {
            program,
            group: self.guardian.group(),
            newsroom: self.newsroom.clone(),
            ids: Rc::clone(&self.ids),
            closing: self.closing.subscribe(),
        };
        self.tasks.spawn_local(life.live(child));
        Ok(())
    }

    /// The process id of `name` while it runs.
    pub(super) fn id(&self, name: &str) -> Option<u32> {
        self.ids.borrow().get(name).copied()
    }

    /// Kills a process, as `kill -9` does.
    pub(super) fn kill(&self, name: &str) -> io::Result<()> {
        let id = self.id(name).and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.ok_or_else(|| io::Error::other("it does not run"))?;
        Ok(kill_process(id, Signal::KILL)?)
    }

    /// Ends all processes, and waits for their ends.
    pub(super) async fn close(&mut self) {
        self.closing.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The successive processes of one program. To drop the life is to kill the present process.
struct Life {
    program: Program,
    group: i32,
    newsroom: Newsroom,
    ids: Rc<RefCell<BTreeMap<String, u32>>>,
    closing: watch::Receiver<bool>,
}

impl Life {
    async fn live(mut self, mut child: Child) {
        loop {
            let name = self.program.name.clone();
            if let Some(id) = child.id() {
                self.ids.borrow_mut().insert(name.clone(), id);
            }
            tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return end(child).await,
                ended = child.wait() => {
                    self.ids.borrow_mut().remove(&name);
                    if let Ok(status) = ended {
                        self.newsroom.tell(News::Ended(name.clone(), status));
                    }
                }
            }
            tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return,
                () = sleep(RESTART_AFTER) => {}
            }
            match self.program.start(self.group, &self.newsroom) {
                Ok(started) => child = started,
                Err(error) => {
                    eprintln!("redis-keeper demo: {name} is not started again: {error}");
                    return;
                }
            }
            self.newsroom.tell(News::Restarted(name));
        }
    }
}

async fn end(mut child: Child) {
    if let Some(id) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // The process may have ended meanwhile. A stopped process handles SIGTERM only after SIGCONT.
        let _ = kill_process(id, Signal::TERM);
        let _ = kill_process(id, Signal::CONT);
    }
    if timeout(END_WITHIN, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

// === impl Program ===

impl Program {
    fn start(&self, group: i32, newsroom: &Newsroom) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            // The environment of the demo must not change the demo's configuration.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(if self.is_keeper {
                Stdio::piped()
            } else {
                log.try_clone()?.into()
            })
            .kill_on_drop(true)
            .process_group(group);
        let mut child = command.spawn()?;
        if let Some(lines) = child.stderr.take() {
            tokio::task::spawn_local(listen(self.name.clone(), lines, log, newsroom.clone()));
        }
        Ok(child)
    }
}

/// Reads a keeper's log until the keeper ends.
async fn listen(
    keeper: String,
    lines: tokio::process::ChildStderr,
    mut log: File,
    newsroom: Newsroom,
) {
    let mut lines = BufReader::new(lines).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        newsroom.logged(&keeper, &line);
        // A failure to write the file does not stop the story.
        let _ = writeln!(log, "{line}");
    }
}

/// The first of `names` found in `PATH`, or in Debian's directories of daemons, which `PATH` may lack.
pub(super) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .collect();
    let candidates = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
