//! A real ZooKeeper: a server for all tests, or an ensemble for one test.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::keeper::program;
use super::net::Net;
use super::process::{Process, command};
use super::wait::eventually;

/// The port for clients.
pub const PORT: u16 = 17_181;
const PEER_PORT: u16 = 17_288;
const ELECTION_PORT: u16 = 17_388;
/// The limit for a JVM to start on a busy machine.
const START: Duration = Duration::from_mins(1);
const JARS: [&str; 5] = [
    "zookeeper",
    "slf4j-log4j12",
    "log4j-1.2",
    "netty-codec",
    "netty-resolver",
];

const LOGGING: &str = "log4j.rootLogger=INFO, console\n\
    log4j.appender.console=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.console.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.console.layout.ConversionPattern=%d{ABSOLUTE} %p %c{1} %m%n\n";

/// The role of a server in its ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The server is alone.
    Standalone,
    /// The server orders the writes.
    Leader,
    /// The server follows the leader.
    Follower,
}

/// A server process.
pub struct Server {
    at: SocketAddrV4,
    process: Process,
    data: PathBuf,
}

/// All servers of an ensemble, which may be a single one.
pub struct ZooKeeper {
    servers: Vec<Server>,
    _dir: Option<TempDir>,
}

/// A part of the tree for one test.
pub struct Prefix<'a> {
    zookeeper: &'a ZooKeeper,
    path: String,
}

// === impl ZooKeeper ===

impl ZooKeeper {
    /// The server that all tests of this binary share. The first test that asks starts it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<(ZooKeeper, Net, File)> = OnceCell::const_new();
        let (shared, ..) = SHARED
            .get_or_init(async || {
                let net = Net::new();
                let (dir, lock) = lasting_dir();
                (Self::launch(&net, 1, &dir, None).await, net, lock)
            })
            .await;
        shared
    }

    /// Starts an ensemble of `count` servers for one test.
    pub async fn ensemble(net: &Net, count: usize) -> Self {
        let dir = TempDir::new().expect("a directory for ZooKeeper");
        let path = dir.path().to_owned();
        Self::launch(net, count, &path, Some(dir)).await
    }

    async fn launch(net: &Net, count: usize, dir: &Path, guard: Option<TempDir>) -> Self {
        let addresses: Vec<_> = (0..count).map(|_| net.socket(PORT)).collect();
        let servers = (0..count)
            .map(|index| Server::start(index, &addresses, dir))
            .collect();
        let zookeeper = Self {
            servers,
            _dir: guard,
        };
        for server in &zookeeper.servers {
            server.wait_serving().await;
        }
        zookeeper
    }

    /// The servers, in the order of their addresses.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The server that leads now.
    pub async fn leader(&self) -> &Server {
        eventually(START, "a ZooKeeper leader", async || {
            for server in &self.servers {
                if matches!(server.mode().await, Ok(Mode::Leader | Mode::Standalone)) {
                    return Ok(server);
                }
            }
            Err("none leads")
        })
        .await
    }

    /// A part of the tree that no other test uses, named `name`.
    pub fn prefix(&self, name: &str) -> Prefix<'_> {
        Prefix {
            zookeeper: self,
            path: format!("/{name}"),
        }
    }
}

/// A directory that outlives the process, since statics are never dropped. The next test process reuses the directory
/// if its lock is free.
fn lasting_dir() -> (PathBuf, File) {
    let root = PathBuf::from(program()).with_file_name("zookeeper");
    std::fs::create_dir_all(&root).expect("a directory beside the program");
    let (dir, lock) = (0..)
        .find_map(|number| {
            let lock = File::create(root.join(format!("{number}.lock"))).expect("a lock file");
            lock.try_lock().ok()?;
            Some((root.join(format!("{number}")), lock))
        })
        .expect("a number that is free");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).expect("what an earlier run left");
    }
    (dir, lock)
}

// === impl Server ===

impl Server {
    /// Starts the server at `all[index]`, and does not wait for it.
    pub fn start(index: usize, all: &[SocketAddrV4], dir: &Path) -> Self {
        let at = all[index];
        let home = dir.join(format!("server-{}", index + 1));
        let data = home.join("data");
        std::fs::create_dir_all(&data).expect("a directory for ZooKeeper");
        let mut config = format!(
            "tickTime=500\nminSessionTimeout=1000\nmaxSessionTimeout=60000\ndataDir={}\nclientPort={}\n\
             clientPortAddress={}\nadmin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n",
            data.display(),
            at.port(),
            at.ip(),
        );
        if all.len() > 1 {
            config.push_str("initLimit=10\nsyncLimit=4\n");
            for (number, server) in (1..).zip(all) {
                let ip = server.ip();
                writeln!(config, "server.{number}={ip}:{PEER_PORT}:{ELECTION_PORT}")
                    .expect("a string takes all");
            }
            std::fs::write(data.join("myid"), (index + 1).to_string()).expect("myid");
        }
        std::fs::write(home.join("zoo.cfg"), config).expect("zoo.cfg");
        std::fs::write(home.join("log4j.properties"), LOGGING).expect("log4j.properties");
        let jars = JARS
            .map(|jar| format!("/usr/share/java/{jar}.jar"))
            .join(":");
        let mut java = command("java");
        java.args([
            "-Xmx96m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
        ])
        .arg(format!("{}:{jars}", home.display()))
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(home.join("zoo.cfg"));
        let process = Process::start(format!("zookeeper {at}"), &home.join("log"), java);
        Self { at, process, data }
    }

    /// The address for clients.
    pub fn at(&self) -> SocketAddrV4 {
        self.at
    }

    /// The process, to kill or pause it; [`Server::revive`] brings it back.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts the server again with its data.
    pub async fn revive(&self) {
        self.process.restart();
        self.wait_serving().await;
    }

    /// Copies the server's present data. The server must not run.
    pub fn copy(&self) -> TempDir {
        let copy = TempDir::new().expect("a directory for the copy");
        copy_all(&self.data, copy.path()).expect("a copy of ZooKeeper's data");
        copy
    }

    /// Replaces the server's data by a `copy`. The server must not run.
    pub fn set_back_to(&self, copy: &TempDir) {
        std::fs::remove_dir_all(&self.data).expect("its data");
        copy_all(copy.path(), &self.data).expect("the copy");
    }

    /// The present role of the server.
    ///
    /// # Errors
    /// The server's answer, if it does not serve.
    pub async fn mode(&self) -> Result<Mode, String> {
        let answer = self.ask("srvr").await.map_err(|error| error.to_string())?;
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        match mode {
            Some("standalone") => Ok(Mode::Standalone),
            Some("leader") => Ok(Mode::Leader),
            Some("follower") => Ok(Mode::Follower),
            _ => Err(answer),
        }
    }

    /// How many transactions the server has committed since its epoch began.
    pub async fn transactions(&self) -> u64 {
        let answer = self.ask("srvr").await.expect("a running ZooKeeper");
        let zxid = answer
            .lines()
            .find_map(|line| line.strip_prefix("Zxid: 0x"));
        let zxid = zxid.unwrap_or_else(|| panic!("no Zxid: {answer}"));
        u64::from_str_radix(zxid, 16).expect("hexadecimal") & 0xFFFF_FFFF
    }

    /// Sends one of the four-letter words. A server that is about to start may read the word and never answer.
    pub async fn ask(&self, word: &str) -> io::Result<String> {
        timeout(Duration::from_secs(1), async {
            let mut stream = TcpStream::connect(self.at).await?;
            stream.write_all(word.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        })
        .await?
    }

    /// Waits until the server has joined its ensemble.
    pub async fn wait_serving(&self) {
        eventually(
            START,
            format_args!("ZooKeeper at {}", self.at),
            async || self.mode().await,
        )
        .await;
    }

    /// The session that owns the ephemeral node at `path`.
    async fn owner(&self, path: &str) -> Option<i64> {
        let dump = self.ask("dump").await.expect("a running ZooKeeper");
        let mut session = None;
        for line in dump.lines() {
            if let Some(id) = line
                .strip_prefix("0x")
                .and_then(|line| line.strip_suffix(':'))
            {
                session = u64::from_str_radix(id, 16).ok().map(u64::cast_signed);
            } else if line.trim() == path {
                return session;
            }
        }
        None
    }

    /// Closes `session` on behalf of its owner. The owner loses its connection, and then finds the session expired.
    async fn close(&self, session: i64) -> io::Result<()> {
        let mut connect = Vec::new();
        connect.extend(0_i32.to_be_bytes()); // protocol version
        connect.extend(0_i64.to_be_bytes()); // last zxid seen
        connect.extend(10_000_i32.to_be_bytes()); // timeout in milliseconds
        connect.extend(session.to_be_bytes());
        connect.extend(16_i32.to_be_bytes());
        connect.extend(password(session));
        let mut close = Vec::new();
        close.extend(1_i32.to_be_bytes()); // request number
        close.extend((-11_i32).to_be_bytes()); // closeSession
        let mut stream = TcpStream::connect(self.at).await?;
        for frame in [connect, close] {
            let length = u32::try_from(frame.len()).expect("a short frame");
            stream.write_all(&length.to_be_bytes()).await?;
            stream.write_all(&frame).await?;
        }
        let mut replies = Vec::new();
        stream.read_to_end(&mut replies).await?;
        Ok(())
    }
}

/// The password that ZooKeeper gives to `session`: bytes of `java.util.Random`, seeded by the id and a constant
/// (`ZooKeeperServer.generatePasswd`).
fn password(session: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (session.cast_unsigned() ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for word in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        let bits = u32::try_from(state >> 16).expect("32 of 48 bits");
        word.copy_from_slice(&bits.to_le_bytes());
    }
    password
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

// === impl Prefix ===

impl Prefix<'_> {
    /// The path of the prefix, for `zk-prefix`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The ensemble of the prefix.
    pub fn zookeeper(&self) -> &ZooKeeper {
        self.zookeeper
    }

    /// Expires the session that owns the ephemeral node at `path` below this prefix, for example `/keepers/keeper-1`.
    pub async fn expire_owner_of(&self, path: &str) {
        let server = self.zookeeper.leader().await;
        let path = format!("{}{path}", self.path);
        let session = server.owner(&path).await;
        let session = session.unwrap_or_else(|| panic!("no session owns {path}"));
        eventually(
            START,
            format_args!("the owner of {path} to expire"),
            async || {
                // The owner may take its session back in between; then the close is tried again.
                server
                    .close(session)
                    .await
                    .map_err(|error| error.to_string())?;
                let gone = server.owner(&path).await != Some(session);
                gone.then_some(())
                    .ok_or_else(|| "it still owns it".to_owned())
            },
        )
        .await;
    }
}
