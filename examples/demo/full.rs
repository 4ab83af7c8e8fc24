//! The additions of `demo --full`: ZooKeeper, three keepers, and HAProxy.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::processes::{Processes, Program, find};
use super::stage::{answers, name, until, write};
use super::{CLUSTER, Trouble};

/// The shipped configuration of HAProxy. The demo changes the lines marked with CHANGE.
const SHIPPED: &str = include_str!("../../conf/haproxy.cfg");

/// The directory of Java libraries in Debian's packages.
const JAVA_LIBRARIES: &str = "/usr/share/java";

/// The libraries that a ZooKeeper server needs.
const JARS: [&str; 5] = [
    "zookeeper",
    "slf4j-log4j12",
    "log4j-1.2",
    "netty-codec",
    "netty-resolver",
];

const ZOOKEEPER_LOG: &str = "log4j.rootLogger=WARN, console\n\
    log4j.appender.console=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.console.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1} %m%n\n";

/// The programs and ports of the full demo.
pub(super) struct Full {
    java: PathBuf,
    haproxy: PathBuf,
    keepers: [u16; 3],
    /// HAProxy's own port for checks, from which the checks go to a keeper.
    checks: u16,
    /// The port for clients that write.
    pub(super) writable: u16,
    /// The port for clients that read.
    pub(super) readable: u16,
    coordination: [u16; 3],
    peers: [u16; 3],
    elections: [u16; 3],
}

// === impl Full ===

impl Full {
    /// Finds the programs, and takes the ports from `ports`.
    pub(super) fn new(ports: [u16; 16]) -> Result<Self, Trouble> {
        let zookeeper = library("zookeeper")
            .is_file()
            .then(|| find(&["java"]))
            .flatten();
        let [
            k1,
            k2,
            k3,
            checks,
            writable,
            readable,
            z1,
            z2,
            z3,
            p1,
            p2,
            p3,
            e1,
            e2,
            e3,
            _,
        ] = ports;
        Ok(Self {
            java: zookeeper.ok_or(Trouble::Missing(
                "ZooKeeper",
                "libzookeeper-java default-jre-headless",
            ))?,
            haproxy: find(&["haproxy"]).ok_or(Trouble::Missing("haproxy", "haproxy"))?,
            keepers: [k1, k2, k3],
            checks,
            writable,
            readable,
            coordination: [z1, z2, z3],
            peers: [p1, p2, p3],
            elections: [e1, e2, e3],
        })
    }

    /// The names and ports of the keepers.
    pub(super) fn keepers(&self) -> Vec<(String, u16)> {
        let named = (1..).zip(self.keepers);
        named
            .map(|(number, port)| (format!("keeper-{number}"), port))
            .collect()
    }

    // === ZooKeeper ===

    /// The settings for coordination through the ensemble.
    pub(super) fn coordination(&self) -> Value {
        json!({"zk-quorum": self.coordination.map(name), "zk-prefix": "/redis-keeper-demo"})
    }

    pub(super) fn describe_coordination(&self) -> String {
        self.coordination.map(name).join(", ")
    }

    pub(super) fn start_coordination(
        &self,
        dir: &Path,
        processes: &mut Processes,
    ) -> Result<(), Trouble> {
        let mut ensemble = String::new();
        for (number, (peer, election)) in (1..).zip(self.peers.iter().zip(self.elections)) {
            // Writing to a string does not fail.
            let _ = writeln!(ensemble, "server.{number}=127.0.0.1:{peer}:{election}");
        }
        for (number, port) in (1..).zip(self.coordination) {
            let home = dir.join(format!("zookeeper-{number}"));
            let data = home.join("data");
            std::fs::create_dir_all(&data).map_err(Trouble::at(data.display().to_string()))?;
            write(&data.join("myid"), &format!("{number}\n"))?;
            write(&home.join("log4j.properties"), ZOOKEEPER_LOG)?;
            let config = home.join("zoo.cfg");
            let text = format!(
                "tickTime=500\ninitLimit=10\nsyncLimit=4\nminSessionTimeout=1000\nmaxSessionTimeout=60000\n\
                 dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
                 4lw.commands.whitelist=srvr\n{ensemble}",
                data.display(),
            );
            write(&config, &text)?;
            let libraries = JARS
                .map(|name| library(name).display().to_string())
                .join(":");
            let class_path = format!("{}:{libraries}", home.display());
            let options = [
                "-Xmx96m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                &class_path,
            ];
            let mut arguments: Vec<OsString> = options.map(OsString::from).into();
            arguments.push("org.apache.zookeeper.server.quorum.QuorumPeerMain".into());
            arguments.push(config.into());
            processes.start(Program {
                name: format!("zookeeper-{number}"),
                path: self.java.clone(),
                arguments,
                log: home.join("log"),
                is_keeper: false,
            })?;
        }
        Ok(())
    }

    /// Waits until all servers of the ensemble serve.
    pub(super) async fn wait_for_coordination(&self) -> Result<(), Trouble> {
        for port in self.coordination {
            let what = format!("ZooKeeper at {} to serve", name(port));
            until(&what, || answers(port, "srvr", "Mode:")).await?;
        }
        Ok(())
    }

    // === HAProxy ===

    pub(super) fn describe_proxy(&self) -> String {
        format!(
            "{} for writes, {} for reads",
            name(self.writable),
            name(self.readable)
        )
    }

    pub(super) fn start_proxy(
        &self,
        dir: &Path,
        servers: [u16; 3],
        processes: &mut Processes,
    ) -> Result<(), Trouble> {
        let config = dir.join("haproxy.cfg");
        write(&config, &self.proxy_config(dir, servers))?;
        processes.start(Program {
            name: "haproxy".to_owned(),
            path: self.haproxy.clone(),
            arguments: vec!["-db".into(), "-f".into(), config.into()],
            log: dir.join("haproxy.log"),
            is_keeper: false,
        })
    }

    /// The shipped configuration with the demo's addresses.
    fn proxy_config(&self, dir: &Path, servers: [u16; 3]) -> String {
        let [first, second, third] = servers;
        let [k1, k2, k3] = self.keepers;
        let changes = [
            ("192.168.1.1:46379", name(k1)),
            ("192.168.1.2:46379", name(k2)),
            ("192.168.1.3:46379", name(k3)),
            ("192.168.1.40:6379", name(first)),
            ("192.168.1.50:6379", name(second)),
            ("192.168.1.60:6379", name(third)),
            ("127.0.0.1:4380", name(self.checks)),
            ("port 4380", format!("port {}", self.checks)),
            ("bind :1301", format!("bind {}", name(self.writable))),
            ("bind :9301", format!("bind {}", name(self.readable))),
            (
                "/run/haproxy/admin.sock",
                dir.join("haproxy.sock").display().to_string(),
            ),
            ("cluster-1", CLUSTER.to_owned()),
        ];
        changes
            .iter()
            .fold(SHIPPED.to_owned(), |config, (shipped, ours)| {
                debug_assert!(config.contains(shipped), "{shipped}");
                config.replace(shipped, ours)
            })
    }
}

fn library(name: &str) -> PathBuf {
    Path::new(JAVA_LIBRARIES).join(format!("{name}.jar"))
}
