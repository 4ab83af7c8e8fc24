//! Servers with host names, which each program resolves for itself.

use std::net::Ipv4Addr;

use keeper_site::etc::Etc;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::site::{RECOMMENDED, Site};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use serde_json::json;

/// The names of the first primary and of its replicas.
pub(crate) const NAMES: [&str; 3] = ["redis-1", "redis-2", "redis-3"];

/// Servers, keepers, and HAProxy in front of them.
pub(crate) struct Named {
    pub(crate) site: Site,
    /// The files below `/etc` that each keeper sees.
    pub(crate) keepers_see: Vec<Etc>,
    /// The files below `/etc` that the servers see.
    _servers_see: Etc,
    /// An address that nothing uses.
    pub(crate) spare: Ipv4Addr,
}

pub(crate) fn ip(redis: &Redis) -> Ipv4Addr {
    *redis.at().ip()
}

/// A primary, and two replicas in step with it; they know each other by name.
async fn trio(net: &Net, etc: &Etc) -> [Redis; 3] {
    let start = async |options: &[(&str, &str)]| {
        Redis::start_by(etc.command("redis-server"), net, options).await
    };
    let primary = start(&[]).await;
    let follow = format!("{} {}", ip(&primary), primary.at().port());
    let replicas = [("replicaof", follow.as_str())];
    let (first, second) = (start(&replicas).await, start(&replicas).await);
    let redis = [primary, first, second];
    etc.set_hosts(&[0, 1, 2].map(|at| (NAMES[at], ip(&redis[at]))));
    wait_followed(&redis[0], &[&redis[1], &redis[2]]).await;
    redis
}

/// Waits until all `replicas` are linked to `primary`, under whatever name they know it.
pub(crate) async fn wait_followed(primary: &Redis, replicas: &[&Redis]) {
    for replica in replicas {
        let (ip, port) = (ip(replica), replica.at().port());
        let linked = format!("ip={ip},port={port},state=online");
        let what = format!("{} to follow {}", replica.at(), primary.at());
        eventually(SOON, what, async || {
            let info = primary.info("replication").await;
            let info = info.map_err(|error| error.to_string())?;
            let mut lines = info.values();
            lines
                .any(|line| line.starts_with(&linked))
                .then_some(())
                .ok_or(format!("{info:?}"))
        })
        .await;
    }
}

// === impl Named ===

impl Named {
    /// Keepers whose files have the servers' addresses. The keepers can resolve the servers' names.
    pub(crate) async fn open(name: &str) -> Self {
        Self::open_with(name, |redis, _| ip(redis).to_string()).await
    }

    /// Keepers whose files have the servers' names.
    pub(crate) async fn open_by_name(name: &str) -> Self {
        Self::open_with(name, |_, name| name.to_owned()).await
    }

    async fn open_with(name: &str, host: impl Fn(&Redis, &str) -> String) -> Self {
        let net = Net::fleet().await;
        let spare = net.host();
        let prefix = ZooKeeper::shared().await.prefix(name);
        let servers_see = Etc::new();
        let redis = trio(&net, &servers_see).await;
        let keepers_see: Vec<_> = (0..3).map(|_| Etc::new()).collect();
        for etc in &keepers_see {
            etc.set_hosts(&[0, 1, 2].map(|at| (NAMES[at], ip(&redis[at]))));
        }
        let nodes = redis.iter().zip(NAMES);
        let nodes = nodes.map(|(it, name)| json!({"host": host(it, name), "port": it.at().port()}));
        let settings = Settings::new()
            .set("admin-operations", true)
            .cluster_with(json!({"name": "cluster-1", "nodes": nodes.collect::<Vec<_>>()}));
        let keepers = Keepers::start_with(&keepers_see, &net, &prefix, &settings).await;
        let site = Site::open_for(net, (redis, keepers), RECOMMENDED, &[]).await;
        Self {
            site,
            keepers_see,
            _servers_see: servers_see,
            spare,
        }
    }

    /// The port of every server.
    pub(crate) fn port(&self) -> u16 {
        self.site.redis[0].at().port()
    }
}
