//! Starts three Redis Sentinels.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::time::Duration;

use keeper_site::net::Net;
use keeper_site::process::{Process, command};
use keeper_site::redis::{Redis, connect};
use keeper_site::wait::eventually;
use tempfile::TempDir;

/// The time limit for the Sentinels to know each other and all replicas. They find each other through the servers
/// every two seconds, and ask for replicas every ten seconds.
const MEETING: Duration = Duration::from_mins(2);

/// Sentinels that know each other and all replicas. The first Sentinel has no special role.
pub(crate) struct Sentinels {
    pub(crate) processes: Vec<Process>,
    _directory: TempDir,
}

/// Starts three Sentinels that watch `primaries`, each with `replicas` replicas.
pub(crate) async fn start(
    net: &Net,
    primaries: &[&Redis],
    replicas: usize,
    mark_down: Duration,
) -> Sentinels {
    let directory = TempDir::new().expect("a directory");
    let mut processes = Vec::new();
    let mut addresses = Vec::new();
    for number in 0..3 {
        let at = net.socket(26_379);
        let file = directory.path().join(format!("{number}.conf"));
        let mut text = format!(
            "bind {ip}\nport {port}\nsentinel announce-ip {ip}\nprotected-mode no\n",
            ip = at.ip(),
            port = at.port(),
        );
        for (number, primary) in primaries.iter().enumerate() {
            let at = primary.at();
            let (ip, port) = (at.ip(), at.port());
            writeln!(
                text,
                "sentinel monitor cache-{number} {ip} {port} 2\nsentinel down-after-milliseconds cache-{number} {}",
                mark_down.as_millis()
            )
            .expect("a string takes all");
        }
        std::fs::write(&file, text).expect("the configuration is written");
        let mut server = command("redis-server");
        server.arg(&file).arg("--sentinel");
        let log = directory.path().join(format!("{number}.log"));
        processes.push(Process::start(format!("sentinel {at}"), &log, server));
        addresses.push(at);
    }
    for at in addresses {
        for number in 0..primaries.len() {
            eventually(MEETING, "a sentinel that knows all", async || {
                knows_all(at, number, replicas).await
            })
            .await;
        }
    }
    Sentinels {
        processes,
        _directory: directory,
    }
}

async fn knows_all(at: SocketAddrV4, number: usize, replicas: usize) -> Result<(), String> {
    let mut connection = connect(at).await.map_err(|error| error.to_string())?;
    let mut ask = redis::cmd("SENTINEL");
    let answer: BTreeMap<String, String> = ask
        .arg("MASTER")
        .arg(format!("cache-{number}"))
        .query_async(&mut connection)
        .await
        .map_err(|error| error.to_string())?;
    let known = (answer.get("num-slaves"), answer.get("num-other-sentinels"));
    let all = (Some(&replicas.to_string()), Some(&"2".to_owned()));
    if known == all {
        Ok(())
    } else {
        Err(format!("{known:?}"))
    }
}
