//! The sample files as shipped, with other hosts: their ports, paths and names fit together.

use std::net::{Ipv4Addr, SocketAddrV4};

use keeper_site::keeper::{Keeper, Keepers};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::site::{RECOMMENDED, Site};
use keeper_site::writer::Writer;
use keeper_site::zookeeper::ZooKeeper;

const KEEPER: &str = include_str!("../../conf/keeper.conf");
/// The default of `rest-port`.
const REST_PORT: u16 = 46379;

/// Replaces the hosts that a sample names by `hosts`. No port, no path and no name changes.
fn moved(sample: &str, hosts: &[(impl AsRef<str>, String)]) -> String {
    let mut text = sample.to_owned();
    for (from, to) in hosts {
        let from = from.as_ref();
        assert!(text.contains(from), "the sample names {from}");
        text = text.replace(from, to);
    }
    text
}

/// A primary on `port` and two replicas in step with it.
async fn servers(net: &Net, port: u16) -> [Redis; 3] {
    let primary = Redis::start_on(net.socket(port), &[]).await;
    let follow = format!("{} {port}", primary.at().ip());
    let options = [("replicaof", follow.as_str())];
    let first = Redis::start_on(net.socket(port), &options).await;
    let second = Redis::start_on(net.socket(port), &options).await;
    for replica in [&first, &second] {
        replica.wait_in_step_with(&primary).await;
    }
    [primary, first, second]
}

/// The hosts of a sample's three nodes in `network`, each with its real address.
fn placed(network: &str, redis: &[Redis; 3]) -> Vec<(String, String)> {
    let samples = [40, 50, 60].map(|host| format!("{network}.{host}"));
    let real = redis.iter().map(|it| it.at().ip().to_string());
    samples.into_iter().zip(real).collect()
}

#[tokio::test]
async fn the_sample_files_as_shipped_serve_a_writer_through_a_failover() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::ensemble(&net, 3).await;
    let (redis, others) = (servers(&net, 6379).await, servers(&net, 6380).await);

    let [zk1, zk2, zk3] = [0, 1, 2].map(|it| zookeeper.servers()[it].at().to_string());
    let file = moved(
        KEEPER,
        &[
            ("zk1.example:2181", zk1),
            ("zk2.example:2181", zk2),
            ("zk3.example:2181", zk3),
        ],
    );
    let file = moved(&file, &placed("192.168.1", &redis));
    let file = moved(&file, &placed("192.168.2", &others));
    let hosts: [Ipv4Addr; 3] = [net.host(), net.host(), net.host()];
    let keepers = ["keeper-1", "keeper-2", "keeper-3"].iter().zip(hosts);
    let keepers = keepers
        .map(|(id, host)| Keeper::launch_file(id, host, REST_PORT, &file))
        .collect();
    let keepers = Keepers::of(keepers).await;
    let [primary, first, second] = &redis;
    keepers
        .wait_topology("cluster-1", primary, &[first, second])
        .await;
    let [other, replica, another] = &others;
    keepers
        .wait_topology("cluster-2", other, &[replica, another])
        .await;

    let front = net.host();
    let [k1, k2, k3] = hosts.map(|host| format!("{host}:"));
    let config = moved(RECOMMENDED, &placed("192.168.1", &redis));
    let config = moved(
        &config,
        &[
            ("192.168.1.1:", k1),
            ("192.168.1.2:", k2),
            ("192.168.1.3:", k3),
            ("bind 127.0.0.1:", format!("bind {front}:")),
            ("addr 127.0.0.1 ", format!("addr {front} ")),
            ("bind :", format!("bind {front}:")),
            // This path is no address, and does not exist on every machine. The test support adds a socket of its
            // own.
            (
                "stats socket /run/haproxy/admin.sock mode 600 level admin",
                String::new(),
            ),
        ],
    );
    let site = Site::open_at(front, net, (redis, keepers), &config).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    assert_eq!(site.writes(), SocketAddrV4::new(front, 1301));
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    primary.wait_followed_by(&[first, second]).await;

    site.fail_over(primary).await;
    writer.wait_writes(50).await;
    let diary = writer.stop();
    let readonly = diary.refusals.iter().any(|it| it.contains("READONLY"));
    assert!(!readonly, "a write went to a replica: {diary:?}");
}
