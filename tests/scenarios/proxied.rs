//! HAProxy in front: the configuration of old, and the one recommended here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use redis_keeper::domain::node::NodeAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::support::haproxy::HaProxy;
use super::support::keeper::{Keeper, Keepers, Settings};
use super::support::net::Net;
use super::support::redis::{Redis, connect};
use super::support::wait::{SOON, eventually};
use super::support::writer::Writer;
use super::support::zookeeper::{Prefix, ZooKeeper};

const CLASSIC: &str = include_str!("../compat/haproxy.cfg");
const RECOMMENDED: &str = include_str!("../../conf/haproxy.cfg");

const WRITES: &str = "cluster-1-writable";
const READS: &str = "cluster-1-readable";

/// Longer than the lease and than the session in ZooKeeper: whatever a missing keeper costs has been paid by then.
const LONG: Duration = Duration::from_secs(3);
/// Several checks of every server.
const SHORT: Duration = Duration::from_secs(1);

/// Three servers, three keepers, and HAProxy before them.
struct Site {
    redis: [Redis; 3],
    keepers: Keepers,
    proxy: HaProxy,
    front: Ipv4Addr,
    // The last to be dropped: with it the turn of this fleet ends.
    _net: Net,
}

// === impl Site ===

impl Site {
    /// `config` with other addresses, and made quicker by `hasten`.
    async fn open(net: Net, prefix: &Prefix<'_>, config: &str, hasten: &[(&str, &str)]) -> Self {
        let redis = Redis::trio(&net).await;
        let settings = Settings::new().cluster("cluster-1", &redis);
        let keepers = Keepers::start(3, &net, prefix, &settings).await;
        let [primary, first, second] = &redis;
        keepers
            .wait_topology("cluster-1", primary, &[first, second])
            .await;
        let front = net.host();
        let mut config = config
            .replace(
                "stats socket /run/haproxy/admin.sock mode 600 level admin",
                "",
            )
            .replace("bind *:", &format!("bind {front}:"))
            .replace("bind :", &format!("bind {front}:"))
            .replace("bind 127.0.0.1:4380", &format!("bind {front}:4380"))
            .replace(
                "addr 127.0.0.1 port 4380",
                &format!("addr {front} port 4380"),
            );
        for (node, redis) in ["192.168.1.40", "192.168.1.50", "192.168.1.60"]
            .iter()
            .zip(&redis)
        {
            config = config.replace(&format!("{node}:6379"), &redis.node().to_string());
        }
        for (number, keeper) in keepers.iter().enumerate() {
            for keeper_of in ["192.168.1", "192.169.1"] {
                let old = format!("{keeper_of}.{}:4379", number + 1);
                config = config.replace(&old, &keeper.http().to_string());
            }
        }
        for (from, to) in hasten {
            assert!(config.contains(from), "{from}");
            config = config.replace(from, to);
        }
        assert!(
            !config.contains("192.16"),
            "an address was not replaced: {config}"
        );
        let proxy = HaProxy::start(&config).await;
        Self {
            redis,
            keepers,
            proxy,
            front,
            _net: net,
        }
    }

    fn writes(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.front, 1301)
    }

    fn reads(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.front, 9301)
    }

    /// Until HAProxy sends writes to `primary` alone, and reads to it and `replicas`.
    async fn wait_routes(&self, primary: &Redis, replicas: &[&Redis]) {
        let name = |redis: &Redis| redis.node().to_string();
        let all: Vec<_> = [primary]
            .iter()
            .chain(replicas)
            .map(|it| name(it))
            .collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        self.proxy.wait_up(WRITES, &[&name(primary)]).await;
        self.proxy.wait_up(READS, &all).await;
    }

    /// The addresses of servers that reads are answered by.
    async fn readers(&self) -> Vec<String> {
        let mut readers = Vec::new();
        for _ in 0..12 {
            let mut session = connect(self.reads()).await.expect("a session");
            let command = redis::cmd("CONFIG").arg("GET").arg("bind").to_owned();
            let answer: (String, String) =
                command.query_async(&mut session).await.expect("an answer");
            readers.push(answer.1);
        }
        readers.sort();
        readers.dedup();
        readers
    }

    fn find(&self, node: &NodeAddr) -> &Redis {
        let found = self.redis.iter().find(|redis| redis.node() == *node);
        found.expect("one of ours")
    }

    fn third(&self, one: &Redis, other: &Redis) -> &Redis {
        let third = self
            .redis
            .iter()
            .find(|it| it.at() != one.at() && it.at() != other.at());
        third.expect("three of them")
    }

    /// How often each server went from UP to DOWN.
    async fn falls(&self) -> [BTreeMap<String, u64>; 2] {
        [
            self.proxy.falls(WRITES).await,
            self.proxy.falls(READS).await,
        ]
    }

    /// The primary that all keepers among `asked` name and that is not `old`.
    async fn wait_failover(&self, asked: &[&Keeper], old: &Redis) -> &Redis {
        let mut elected = None;
        for keeper in asked {
            keeper.wait_replaced("cluster-1", old).await;
            elected = keeper
                .status("cluster-1")
                .await
                .expect("its status")
                .primary;
        }
        self.find(&elected.expect("a primary"))
    }
}

/// A session without a client library, which would open another when it is shut.
struct RawSession(TcpStream);

impl RawSession {
    async fn open(at: SocketAddrV4) -> Self {
        let mut session = Self(TcpStream::connect(at).await.expect("a session"));
        session.ping().await;
        session
    }

    async fn ping(&mut self) {
        let mut pong = [0; 7];
        self.0
            .write_all(b"PING\r\n")
            .await
            .expect("an open session");
        self.0.read_exact(&mut pong).await.expect("an answer");
        assert_eq!(&pong, b"+PONG\r\n");
    }

    async fn wait_shut(&mut self) {
        let end = timeout(SOON, self.0.read(&mut [0])).await;
        assert!(
            matches!(end.expect("it is shut"), Ok(0) | Err(_)),
            "an answer to nothing"
        );
    }
}

fn ip(redis: &Redis) -> String {
    redis.at().ip().to_string()
}

fn ips(redis: &[&Redis]) -> Vec<String> {
    let mut ips: Vec<_> = redis.iter().map(|it| ip(it)).collect();
    ips.sort();
    ips
}

#[tokio::test]
async fn the_classic_configuration_sends_writes_to_the_primary_and_reads_to_all_before_and_after_a_failover()
 {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("classic");
    let site = Site::open(net, &prefix, CLASSIC, &[("inter 10s", "inter 200ms")]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    assert_eq!(site.readers().await, ips(&[primary, first, second]));
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;

    primary.kill();
    let asked: Vec<_> = site.keepers.iter().collect();
    let elected = site.wait_failover(&asked, primary).await;
    let other = site.third(primary, elected);
    site.wait_routes(elected, &[other]).await;
    writer.wait_writes(50).await;
    assert_eq!(site.readers().await, ips(&[elected, other]));

    primary.revive().await;
    primary.wait_in_step_with(elected).await;
    site.wait_routes(elected, &[primary, other]).await;
    writer.wait_writes(50).await;
    let diary = writer.stop();
    assert_eq!(
        diary.cut_sessions, 1,
        "that of the killed primary: {diary:?}"
    );
    let readonly: Vec<_> = diary
        .refusals
        .iter()
        .filter(|it| it.contains("READONLY"))
        .collect();
    assert!(
        readonly.is_empty(),
        "no write went to a replica: {readonly:?}"
    );
}

#[tokio::test]
async fn any_one_keeper_may_be_killed_frozen_restarted_or_cut_from_zookeeper_without_a_client_noticing()
 {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("one_keeper_away");
    let site = Site::open(net, &prefix, RECOMMENDED, &[]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    // After its start HAProxy takes every server for up until its first check.
    let falls = site.falls().await;
    let writer = Writer::start(site.writes());
    let mut idle = RawSession::open(site.reads()).await;
    let undisturbed = async |what: String, span: Duration| {
        sleep(span).await;
        writer.wait_writes(50).await;
        let diary = writer.diary();
        let cuts = (diary.cut_sessions, diary.failed_connects, diary.refusals);
        assert_eq!(cuts, (0, 0, Vec::new()), "{what}");
        assert_eq!(site.falls().await, falls, "{what}");
    };
    for turn in 0..2 {
        // Once the leader, once another.
        let keeper = &site.keepers[(site.keepers.wait_leader().await + turn) % 3];
        let back = async |from: &str| {
            keeper.wait_ready().await;
            undisturbed(format!("{} back from {from}", keeper.id()), SHORT).await;
        };
        let away = async |how: &str| undisturbed(format!("{} {how}", keeper.id()), LONG).await;

        keeper.process().kill();
        away("killed").await;
        keeper.process().restart();
        back("death").await;

        keeper.process().pause();
        away("frozen").await;
        keeper.process().resume();
        back("the freeze").await;

        keeper.process().terminate();
        keeper.process().wait_exit().await;
        keeper.process().restart();
        back("a restart").await;

        keeper.cut_from_zookeeper().await;
        away("cut off").await;
        keeper.restore_zookeeper().await;
        back("the cut").await;

        keeper.silence_zookeeper();
        away("in silence").await;
        keeper.restore_zookeeper().await;
        back("silence").await;
    }
    idle.ping().await;
}

#[tokio::test]
async fn a_stale_keeper_of_three_keeps_no_old_primary_up_and_old_sessions_are_shut() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("stale_keeper");
    let site = Site::open(net, &prefix, RECOMMENDED, &[]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let mut session = RawSession::open(site.writes()).await;

    // One keeper, not the leader, hears nothing of what follows.
    let leader = site.keepers.wait_leader().await;
    let stale = &site.keepers[(leader + 1) % 3];
    let others: Vec<_> = site
        .keepers
        .iter()
        .filter(|it| it.id() != stale.id())
        .collect();
    stale.silence_zookeeper();
    primary.pause();
    let elected = site.wait_failover(&others, primary).await;

    site.proxy
        .wait_up(WRITES, &[&elected.node().to_string()])
        .await;
    session.wait_shut().await;
    primary.resume();
    primary.wait_in_step_with(elected).await;
    site.wait_routes(elected, &[primary, site.third(primary, elected)])
        .await;
    let says = stale
        .is_writable("cluster-1", primary)
        .await
        .expect("an answer");
    assert_ne!(says.code, 200, "{says:?}");
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    assert_eq!(writer.stop().refusals, Vec::<String>::new());
    eventually(SOON, "it back in touch", async || {
        stale.restore_zookeeper().await;
        stale.status("cluster-1").await.and_then(|status| {
            (status.primary == Some(elected.node()))
                .then_some(())
                .ok_or_else(|| format!("{status:?}"))
        })
    })
    .await;
}
