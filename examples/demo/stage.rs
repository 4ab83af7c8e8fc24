//! The servers, keepers and files of the demo.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::client::Way;
use super::full::Full;
use super::news::Newsroom;
use super::processes::{Processes, Program, find};
use super::screen::Screen;
use super::{CLUSTER, STEP_TIMEOUT, Trouble};

/// The id of the only keeper.
const KEEPER: &str = "keeper";

/// The time from one probe of a server to the next, in seconds.
const TICK: f64 = 0.1;

/// The pause between two checks of an expected state.
const PAUSE: Duration = Duration::from_millis(20);

/// The servers, keepers and files of one demo.
pub(super) struct Stage {
    pub(super) processes: Processes,
    pub(super) newsroom: Newsroom,
    /// The ports of the Redis servers. The first server is the primary at the beginning.
    pub(super) servers: [u16; 3],
    /// The names of the keepers, with their HTTP ports.
    pub(super) keepers: Vec<(String, u16)>,
    pub(super) full: Option<Full>,
    redis: PathBuf,
    /// The program `redis-keeper`, which is beside this one.
    program: PathBuf,
    // The last field, so that it is dropped last, when no process writes there any more.
    dir: TempDir,
}

// === impl Stage ===

impl Stage {
    /// Finds the programs, the ports and a directory. Starts no process.
    pub(super) fn new(full: bool, newsroom: Newsroom) -> Result<Self, Trouble> {
        let redis = find(&["redis-server", "valkey-server"]).ok_or(Trouble::Missing(
            "redis-server or valkey-server",
            "redis-server",
        ))?;
        let this = std::env::current_exe().map_err(Trouble::at("this program"))?;
        let [first, second, third, keeper, rest @ ..] = free_ports()?;
        let (keepers, full) = if full {
            let full = Full::new(rest)?;
            (full.keepers(), Some(full))
        } else {
            (vec![(KEEPER.to_owned(), keeper)], None)
        };
        let dir = tempfile::Builder::new()
            .prefix("redis-keeper-demo-")
            .tempdir();
        let dir = dir.map_err(Trouble::at("a temporary directory"))?;
        Ok(Self {
            processes: Processes::new(dir.path(), newsroom.clone())?,
            newsroom,
            servers: [first, second, third],
            keepers,
            full,
            redis,
            program: this.with_file_name("redis-keeper"),
            dir,
        })
    }

    /// Starts everything, and waits until the servers answer.
    pub(super) async fn open(&mut self, screen: &Screen) -> Result<(), Trouble> {
        screen.heading("Starting")?;
        if let Some(full) = &self.full {
            full.start_coordination(self.dir.path(), &mut self.processes)?;
            screen.fact("ZooKeeper", &full.describe_coordination())?;
        }
        let [primary, ..] = self.servers;
        for port in self.servers {
            self.start_server(port, (port != primary).then_some(primary))?;
            let role = if port == primary {
                "primary"
            } else {
                "replica"
            };
            screen.fact(role, &format!("{} {}", name(port), self.redis.display()))?;
        }
        for port in self.servers {
            until(&format!("{} to answer", name(port)), || {
                answers(port, "PING\r\n", "+PONG")
            })
            .await?;
        }
        if let Some(full) = &self.full {
            full.wait_for_coordination().await?;
        }
        for (keeper, port) in self.keepers.clone() {
            self.start_keeper(&keeper, port)?;
            let embedded = if self.full.is_none() {
                ", coordination embedded"
            } else {
                ""
            };
            screen.fact(&keeper, &format!("http://{}{embedded}", name(port)))?;
        }
        if let Some(full) = &self.full {
            full.start_proxy(self.dir.path(), self.servers, &mut self.processes)?;
            screen.fact("HAProxy", &full.describe_proxy())?;
        }
        Ok(())
    }

    fn start_keeper(&mut self, keeper: &str, port: u16) -> Result<(), Trouble> {
        let file = self.dir.path().join(format!("{keeper}.conf"));
        write(&file, &self.settings(keeper, port))?;
        self.processes.start(Program {
            name: keeper.to_owned(),
            path: self.program.clone(),
            arguments: vec!["run".into(), file.into()],
            log: self.log_of(keeper),
            is_keeper: true,
        })
    }

    fn start_server(&mut self, port: u16, primary: Option<u16>) -> Result<(), Trouble> {
        let dir = self.dir.path().join(port.to_string());
        std::fs::create_dir(&dir).map_err(Trouble::at(dir.display().to_string()))?;
        let follow =
            primary.map_or_else(String::new, |port| format!("replicaof 127.0.0.1 {port}\n"));
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsave \"\"\nappendonly no\nrepl-diskless-sync yes\n\
             repl-diskless-sync-delay 0\n{follow}",
            dir.display(),
        );
        let file = dir.join("redis.conf");
        write(&file, &text)?;
        self.processes.start(Program {
            name: name(port),
            path: self.redis.clone(),
            arguments: vec![OsString::from(file)],
            log: dir.join("log"),
            is_keeper: false,
        })
    }

    /// The text of a keeper's configuration file.
    fn settings(&self, keeper: &str, port: u16) -> String {
        let coordination = match &self.full {
            Some(full) => full.coordination(),
            None => json!({"coordination": "embedded"}),
        };
        let nodes = self
            .servers
            .map(|port| json!({"host": "127.0.0.1", "port": port}));
        let mut settings = json!({
            "keeper-id": keeper,
            "rest-host": "127.0.0.1",
            "rest-port": port,
            "tick-seconds": TICK,
            "seconds-mark-down": self.mark_down().as_secs_f64(),
            // A user of the demo may kill servers as often as they like.
            "failover-cooldown-seconds": 0,
            "log-format": "json",
            "clusters": [{"name": CLUSTER, "nodes": nodes}],
        });
        if let (Some(settings), Some(coordination)) =
            (settings.as_object_mut(), coordination.as_object())
        {
            settings.extend(coordination.clone());
        }
        format!("{settings:#}\n")
    }

    /// How long a server may give no proof of life until it is marked down.
    pub(super) fn mark_down(&self) -> Duration {
        // With eleven processes instead of four, each has less of the machine.
        Duration::from_secs(if self.full.is_some() { 2 } else { 1 })
    }

    /// The client's way to the server that takes writes.
    pub(super) fn way(&self) -> Way {
        match &self.full {
            Some(full) => Way::Proxy(full.writable),
            None => Way::AskKeeper(self.keepers[0].1),
        }
    }

    /// The log file of a keeper.
    pub(super) fn log_of(&self, keeper: &str) -> PathBuf {
        self.dir.path().join(format!("{keeper}.log"))
    }

    /// Prints the last lines of the keepers' logs on standard error, to explain `trouble`.
    pub(super) fn show_logs(&self, trouble: &Trouble) {
        if !matches!(trouble, Trouble::Overdue(_)) {
            return;
        }
        for (keeper, _) in &self.keepers {
            let log = std::fs::read_to_string(self.log_of(keeper)).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(20).collect();
            for line in lines.iter().rev() {
                eprintln!("{keeper}: {line}");
            }
        }
    }

    /// Ends all processes.
    pub(super) async fn close(mut self) {
        self.processes.close().await;
    }
}

/// The name of the server on `port`, as the keepers know it.
pub(super) fn name(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Finds ports without a listener, below the range from which the kernel gives ports to clients. From that range, a
/// client that keeps trying to reach a dead server might get the server's own port, and connect to itself.
fn free_ports() -> Result<[u16; 20], Trouble> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    for _ in 0..100 {
        let base = rand::random_range(500..1600) * 20;
        let ports: [u16; 20] =
            std::array::from_fn(|index| base + u16::try_from(index).unwrap_or_default());
        if ports.iter().all(free) {
            return Ok(ports);
        }
    }
    Err(Trouble::Overdue("twenty free ports in a row".to_owned()))
}

pub(super) fn write(file: &Path, text: &str) -> Result<(), Trouble> {
    std::fs::write(file, text).map_err(Trouble::at(file.display().to_string()))
}

/// Repeats `look` until it returns true. `what` names the expected state in the error.
pub(super) async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) -> Result<(), Trouble> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    while !look().await {
        if Instant::now() > deadline {
            return Err(Trouble::Overdue(what.to_owned()));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether the server on `port` answers `request` with a text that contains `wanted`.
pub(super) async fn answers(port: u16, request: &str, wanted: &str) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await?;
        answer.truncate(length);
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(Duration::from_secs(1), exchange).await;
    matches!(answer, Ok(Ok(answer)) if String::from_utf8_lossy(&answer).contains(wanted))
}
