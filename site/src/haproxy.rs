//! A real HAProxy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::process::{Process, command};
use super::wait::{SOON, eventually};

/// A HAProxy in the foreground, with a stats socket for questions.
pub struct HaProxy {
    process: Process,
    socket: PathBuf,
    dir: TempDir,
}

// === impl HaProxy ===

impl HaProxy {
    /// Starts a HAProxy with the whole file `config`, and adds the stats socket.
    pub async fn start(config: &str) -> Self {
        Self::start_as("-db", config).await
    }

    /// Starts the HAProxy anew as its service runs it: a master that replaces its worker at a [reload](Self::reload).
    pub async fn into_service(self) -> Self {
        let config = std::fs::read_to_string(self.dir.path().join("haproxy.cfg"));
        drop(self.process);
        Self::start_as("-W", &config.expect("its own file")).await
    }

    async fn start_as(mode: &str, config: &str) -> Self {
        let dir = TempDir::new().expect("a directory for haproxy");
        let path = |name: &str| dir.path().join(name);
        let socket = path("stats");
        let stats = format!("global\n  stats socket {} level admin\n", socket.display());
        std::fs::write(path("stats.cfg"), stats).expect("stats.cfg");
        std::fs::write(path("haproxy.cfg"), config).expect("haproxy.cfg");
        let mut proxy = command("haproxy");
        proxy
            .arg(mode)
            .arg("-f")
            .arg(path("stats.cfg"))
            .arg("-f")
            .arg(path("haproxy.cfg"));
        let process = Process::start("haproxy", &path("log"), proxy);
        let haproxy = Self {
            process,
            socket,
            dir,
        };
        eventually(SOON, "haproxy to answer", async || {
            haproxy.ask("show info").await
        })
        .await;
        haproxy
    }

    /// The process, to kill it, pause it, restart it, or read its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Reloads, as `systemctl reload haproxy` does. Returns once a new worker answers; the former one may still have
    /// sessions.
    pub async fn reload(&self) {
        let before = self.worker().await.expect("a worker");
        self.process.signal(Signal::USR2);
        eventually(SOON, "a new worker", async || {
            let now = self.worker().await?;
            (now != before)
                .then_some(())
                .ok_or("the former one".to_owned())
        })
        .await;
    }

    /// The process id of the worker that answers.
    async fn worker(&self) -> Result<String, String> {
        let info = self.ask("show info").await;
        let info = info.map_err(|error| error.to_string())?;
        let id = info.lines().find_map(|line| line.strip_prefix("Pid: "));
        id.map(str::to_owned).ok_or(info)
    }

    /// Runs one command of HAProxy's runtime interface.
    pub async fn ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// The state of each server of `backend`, in the words of `show stat`: `UP`, `DOWN`, `UP 1/3`, `no check`.
    pub async fn servers(&self, backend: &str) -> BTreeMap<String, String> {
        self.column(backend, "status").await
    }

    /// How many times each server of `backend` went from UP to DOWN since the start.
    pub async fn falls(&self, backend: &str) -> BTreeMap<String, u64> {
        let column = self.column(backend, "chkdown").await;
        column
            .into_iter()
            .map(|(server, count)| (server, count.parse().expect("a count")))
            .collect()
    }

    /// A column of `show stat`, for each server of `backend`.
    async fn column(&self, backend: &str, name: &str) -> BTreeMap<String, String> {
        let table = self.ask("show stat").await.expect("a running haproxy");
        let mut lines = table.lines();
        let header: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
        let position = |name: &str| {
            let position = header
                .iter()
                .position(|it| it.trim_start_matches("# ") == name);
            position.unwrap_or_else(|| panic!("no column {name} in {header:?}"))
        };
        let (proxy, server, value) = (position("pxname"), position("svname"), position(name));
        lines
            .map(|line| line.split(',').collect::<Vec<_>>())
            .filter(|row| row.get(proxy) == Some(&backend))
            .filter(|row| !["FRONTEND", "BACKEND"].contains(&row[server]))
            .map(|row| (row[server].to_owned(), row[value].to_owned()))
            .collect()
    }

    /// Waits until exactly `servers` of `backend` are up.
    pub async fn wait_up(&self, backend: &str, servers: &[&str]) {
        let what = format!("only {servers:?} of {backend} to be up");
        eventually(SOON, what, async || {
            let seen = self.servers(backend).await;
            let up = |state: &String| state == "UP" || state == "no check";
            let as_wanted = seen
                .iter()
                .all(|(name, state)| up(state) == servers.contains(&name.as_str()));
            as_wanted.then_some(()).ok_or_else(|| format!("{seen:?}"))
        })
        .await;
    }
}
