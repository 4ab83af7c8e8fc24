//! HAProxies: each asks the keepers about every server of a cluster, and sends clients to the one that is writable.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::cluster_api::{Asker, Ruling};
use redis_keeper::domain::drain::Proxy;
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use tokio::time::sleep;

use super::clients::check;
use super::keeper::Keeper;
use super::network::{Host, Network};
use super::oracle::Oracle;
use super::schedule::Reload;
use super::world::{World, note};

/// The worker process of a HAProxy that checks. `fall 1 rise 1`.
pub(crate) struct Worker {
    pub(crate) world: Rc<World>,
    pub(crate) network: Rc<Network>,
    pub(crate) keepers: Rc<Vec<Rc<Keeper>>>,
    pub(crate) judge: Rc<Oracle>,
    pub(crate) host: Host,
    pub(crate) cluster: ClusterName,
    pub(crate) nodes: Vec<NodeAddr>,
    /// It says who it is.
    pub(crate) named: bool,
    /// What it takes servers for.
    pub(crate) up: BTreeMap<NodeAddr, bool>,
    /// The keeper it asks first is this one.
    pub(crate) turn: usize,
    /// When other workers take its place.
    pub(crate) reloads: Vec<Reload>,
}

impl Worker {
    /// Checks for ever, and has no clients.
    pub(crate) async fn run(mut self) {
        loop {
            sleep(self.interval()).await;
            self.reload();
            self.check_all().await;
        }
    }

    /// From one check of a server to the next.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_micros(self.world.draw(100_000..=200_000))
    }

    /// Where a new session leads: to the only server that is UP. `tcp-request connection reject if { nbsrv gt 1 }`.
    pub(crate) fn target(&self) -> Option<NodeAddr> {
        let mut up = self.up.iter().filter(|(_, up)| **up);
        let only = up.next().filter(|_| up.next().is_none());
        only.map(|(node, _)| node.clone())
    }

    pub(crate) fn is_up(&self, node: &NodeAddr) -> bool {
        self.up.get(node).copied().unwrap_or(false)
    }

    /// If it is time, another worker takes its place: it takes every server for UP or for DOWN until it has checked it. The
    /// old one checks no more, and keeps the sessions that it has. Answers whether that happened.
    ///
    /// What a worker takes a server for before it has asked is nobody's to wait for (RK-10).
    pub(crate) fn reload(&mut self) -> bool {
        let now = self.world.now();
        let Some(at) = self.reloads.iter().position(|reload| reload.at <= now) else {
            return false;
        };
        let reload = self.reloads.remove(at);
        note!(self.world, "haproxy at host {}: {reload:?}", self.host);
        self.judge.proxy_reloaded();
        for node in &self.nodes {
            self.up.insert(node.clone(), reload.begins_up);
            self.judge.proxy_says(&self.cluster, node, self.host, false);
        }
        true
    }

    /// Checks every server.
    pub(crate) async fn check_all(&mut self) {
        for node in self.nodes.clone() {
            self.turn += 1;
            let known = self.is_up(&node);
            let now = self.check(&node, known).await;
            self.judge.proxy_says(&self.cluster, &node, self.host, now);
            self.up.insert(node, now);
        }
    }

    /// One check, sent again to another keeper when one does not know.
    async fn check(&self, node: &NodeAddr, up: bool) -> bool {
        let proxy = Proxy {
            name: format!("host-{}", self.host),
            backend: self.cluster.to_string(),
            address: None,
        };
        let asker = Arc::new(if self.named {
            Asker::Proxy { proxy, up }
        } else {
            Asker::Unnamed
        });
        for step in 0..self.keepers.len() {
            let keeper = &self.keepers[(self.turn + step) % self.keepers.len()];
            if !self.network.passes(self.host, keeper.host) {
                continue;
            }
            let Some(voice) = keeper.trusted() else {
                continue;
            };
            let asker = Some(Arc::clone(&asker));
            let answer = check(&voice.clusters, &self.cluster, node, asker).await;
            match answer.reason.ruling() {
                Ruling::Yes => return true,
                Ruling::Unknown => {}
                Ruling::No | Ruling::NoSuchNode => return false,
            }
        }
        false
    }
}
