//! A route or a packet filter bars keepers from one server, and from no other.

use std::fmt::Write as _;
use std::sync::Arc;

use keeper_site::net::Net;

use crate::TURN;
use crate::hosts::{CLIENT, Hosts, KEEPERS};
use crate::script::client::key;
use crate::script::site::CLUSTER;

/// More ticks than a mark-down time has.
const PAST_MARK_DOWN: u64 = 15;

/// Changes the routes of all keepers to the server on host `to`.
fn route(hosts: &Hosts, order: &str, kind: &str, to: usize) {
    let to = hosts.host(to).at();
    for keeper in KEEPERS {
        let namespace = hosts.host(keeper).namespace();
        namespace.ip(&format!("route {order} {kind} {to}/32\n"));
    }
}

/// The host of the server answers packets from these hosts to the server by `verdict`.
fn reject(hosts: &Hosts, server: usize, from: &[usize], verdict: &str) {
    let port = hosts.redis(server).at().port();
    let mut rules = "add table inet barred\n\
        add chain inet barred input { type filter hook input priority 0; }\n"
        .to_owned();
    for from in from.iter().map(|number| hosts.host(*number).at()) {
        writeln!(
            rules,
            "add rule inet barred input ip saddr {from} tcp dport {port} {verdict}"
        )
        .expect("a string takes all");
    }
    hosts.host(server).namespace().nft(&rules);
}

fn accept(hosts: &Hosts, server: usize) {
    let namespace = hosts.host(server).namespace();
    namespace.nft("delete table inet barred\n");
}

#[tokio::test]
async fn a_dead_primary_behind_a_barring_route_is_replaced_whatever_it_answers() {
    let _turn = (TURN.lock().await, Net::fleet().await);
    let hosts = Hosts::open().await;
    let mut primary = 1;
    for kind in ["blackhole", "prohibit", "unreachable", "throw"] {
        let old = primary;
        route(&hosts, "add", kind, old);
        hosts.redis(old).kill();
        primary = hosts.wait_failover(old).await;
        route(&hosts, "delete", kind, old);
        hosts.revive(old).await;
        hosts.wait_all_follow(primary).await;
    }
}

#[tokio::test]
async fn a_primary_that_rejects_all_keepers_is_replaced_after_its_clients_are_drained() {
    let _turn = (TURN.lock().await, Net::fleet().await);
    let hosts = Hosts::open().await;
    let falls = hosts.falls().await;
    // A single keeper that is barred has no effect on clients.
    reject(&hosts, 1, &KEEPERS[..1], "reject with tcp reset");
    let node = Arc::clone(hosts.redis(1));
    hosts
        .at_keepers(move |keeper| {
            let node = Arc::clone(&node);
            async move { keeper.wait_probes(CLUSTER, &node, PAST_MARK_DOWN).await }
        })
        .await;
    assert_eq!(hosts.falls().await, falls);
    accept(&hosts, 1);
    hosts.wait_all_follow(1).await;

    let mut order = vec![1];
    for verdict in [
        "reject with tcp reset",
        "reject",
        "reject with icmp type admin-prohibited",
    ] {
        let old = *order.last().expect("a primary");
        reject(&hosts, old, &KEEPERS, verdict);
        let new = hosts.wait_failover(old).await;
        accept(&hosts, old);
        hosts.wait_all_follow(new).await;
        order.push(new);
    }

    // Each server took writes during one time, with no other server meanwhile, and its writes are not lost.
    let acknowledged = hosts.acknowledged();
    let mut writers: Vec<_> = acknowledged.iter().map(|write| write.node).collect();
    writers.dedup();
    assert_eq!(writers, order);
    let keys = acknowledged.iter().map(|write| key(CLIENT, write.number));
    let last = *order.last().expect("a primary");
    let held = hosts.count_held(last, keys.collect()).await;
    assert_eq!(held, acknowledged.len(), "nothing is lost");
}
