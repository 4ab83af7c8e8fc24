//! A ZooKeeper server for one test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis_keeper::adapters::zookeeper::ZooKeeper;
use redis_keeper::ports::coordination::{Session, SessionState};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// The most servers at once: more would starve each other on a small machine.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A standalone server on a free port of the loopback interface. The server dies with the thread that started it.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    pub(crate) port: u16,
    process: Child,
    _place: SemaphorePermit<'static>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let place = PLACES.acquire().await.expect("never closed");
        let directory = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let at = directory.path();
        let configuration = format!(
            "tickTime=500\nminSessionTimeout=1000\nmaxSessionTimeout=60000\ndataDir={}\nclientPort={port}\n\
             clientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n",
            at.join("data").display()
        );
        let logging = "log4j.rootLogger=WARN, OUT\nlog4j.appender.OUT=org.apache.log4j.ConsoleAppender\n\
                       log4j.appender.OUT.layout=org.apache.log4j.SimpleLayout\n";
        std::fs::write(at.join("zoo.cfg"), configuration).expect("written");
        std::fs::write(at.join("log4j.properties"), logging).expect("written");
        let process = spawn(at);
        let mut server = Self {
            directory,
            port,
            process,
            _place: place,
        };
        server.ready().await;
        server
    }

    async fn ready(&mut self) {
        eventually("the server answers", async || {
            assert!(
                self.process.try_wait().expect("a child").is_none(),
                "the server ended"
            );
            let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await
            else {
                return false;
            };
            let mut answer = String::new();
            let asked = async {
                stream.write_all(b"ruok").await?;
                stream.read_to_string(&mut answer).await
            };
            matches!(timeout(Duration::from_secs(1), asked).await, Ok(Ok(_))) && answer == "imok"
        })
        .await;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("alive");
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("alive");
        self.process.wait().expect("ended");
    }

    pub(crate) async fn restart(&mut self) {
        self.process = spawn(self.directory.path());
        self.ready().await;
    }

    pub(crate) fn coordination(&self, prefix: &str) -> ZooKeeper {
        self.patient(prefix, SESSION_TIMEOUT)
    }

    pub(crate) fn patient(&self, prefix: &str, session_timeout: Duration) -> ZooKeeper {
        let servers = vec![format!("127.0.0.1:{}", self.port)];
        ZooKeeper::new(servers, prefix, session_timeout, None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(at: &Path) -> Child {
    let jars = [
        "zookeeper",
        "slf4j-log4j12",
        "log4j-1.2",
        "netty-codec",
        "netty-resolver",
    ]
    .map(|jar| format!("/usr/share/java/{jar}.jar"));
    Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "java",
            "-Xmx96m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
        ])
        .arg(format!("{}:{}", at.display(), jars.join(":")))
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(at.join("zoo.cfg"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv and java are installed")
}

pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn reaches(session: &dyn Session, wanted: impl FnMut(&SessionState) -> bool) {
    let mut state = session.state();
    let reached = timeout(PATIENCE, state.wait_for(wanted)).await;
    reached
        .expect("in time")
        .expect("the session tells its end");
}
