//! HAProxies: each asks the keepers about every server of a cluster, and sends clients to the writable one.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::cluster_api::{ProxyCheck, ProxyState, Ruling};
use redis_keeper::domain::drain::Proxy;
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use tokio::time::sleep;

use super::clients::check;
use super::keeper::Keeper;
use super::network::{Host, Network};
use super::oracle::Oracle;
use super::schedule::Reload;
use super::world::{World, note};

/// The worker process of a HAProxy that checks, with `fall 1 rise 1`.
pub(crate) struct Worker {
    pub(crate) world: Rc<World>,
    pub(crate) network: Rc<Network>,
    pub(crate) keepers: Rc<Vec<Rc<Keeper>>>,
    pub(crate) judge: Rc<Oracle>,
    pub(crate) host: Host,
    pub(crate) cluster: ClusterName,
    pub(crate) nodes: Vec<NodeAddr>,
    /// The checks carry a state header with `node=…` (`http-check send-state`).
    pub(crate) named: bool,
    /// Which servers the worker takes for UP.
    pub(crate) up: BTreeMap<NodeAddr, bool>,
    /// The number of the check, which decides the keeper that is asked first.
    pub(crate) turn: usize,
    /// When the HAProxy is reloaded.
    pub(crate) reloads: Vec<Reload>,
}

impl Worker {
    /// Checks for ever, without clients.
    pub(crate) async fn run(mut self) {
        loop {
            sleep(self.interval()).await;
            self.reload();
            self.check_all().await;
        }
    }

    /// The time from one check of a server to the next.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_micros(self.world.draw(100_000..=200_000))
    }

    /// The server of a new session: the only one that is UP, as with `tcp-request connection reject if { nbsrv gt 1
    /// }`.
    pub(crate) fn target(&self) -> Option<NodeAddr> {
        let mut up = self.up.iter().filter(|(_, up)| **up);
        let only = up.next().filter(|_| up.next().is_none());
        only.map(|(node, _)| node.clone())
    }

    pub(crate) fn is_up(&self, node: &NodeAddr) -> bool {
        self.up.get(node).copied().unwrap_or(false)
    }

    /// Reloads the HAProxy if the time has come. Returns whether that happened.
    ///
    /// - The new worker takes every server for UP or for DOWN until it has checked the server.
    /// - The old worker checks no more, and keeps its sessions.
    /// - No leader waits for what a worker takes a server for before its first check (RK-10).
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

    /// Checks a server; asks the next keeper where one does not know the answer.
    async fn check(&self, node: &NodeAddr, up: bool) -> bool {
        let proxy = Proxy {
            name: format!("host-{}", self.host),
            backend: self.cluster.to_string(),
            address: None,
        };
        let asker = Arc::new(if self.named {
            let state = if up { ProxyState::Up } else { ProxyState::Down };
            ProxyCheck::Proxy { proxy, state }
        } else {
            ProxyCheck::Unnamed
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
