//! The HAProxies of a run, some with clients.

use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::task::spawn_local;

use super::Run;
use crate::clients::{Client, Writer};
use crate::network::Host;
use crate::proxies::Worker;
use crate::schedule::{CLIENTS, WITHOUT_CLIENTS};

impl Run {
    /// Starts the HAProxies of the cluster with this number.
    pub(super) fn let_haproxies_ask(&self, number: usize) {
        let (site, schedule) = (&self.site, &self.schedule);
        let small = |number: usize| Host::try_from(number).expect("few hosts");
        let (clients, without_clients) = (schedule.clients, schedule.proxies.without_clients);
        for place in 0..clients + without_clients {
            let has_clients = place < clients;
            let host = if has_clients {
                CLIENTS + small(number * clients + place)
            } else {
                WITHOUT_CLIENTS + small(number * without_clients + place - clients)
            };
            let worker = self.worker(number, place, host);
            if !has_clients {
                spawn_local(worker.run());
                continue;
            }
            let client = Rc::new(Client {
                world: Rc::clone(&site.around.world),
                network: Rc::clone(&site.around.network),
                fleet: Rc::clone(&site.around.fleet),
                host,
                cluster: worker.cluster.clone(),
                ledger: Rc::clone(&self.ledger),
                quiet: schedule.quiet.clone(),
            });
            spawn_local(Writer { worker, client }.run());
        }
    }

    fn worker(&self, number: usize, place: usize, host: Host) -> Worker {
        let (site, proxies) = (&self.site, &self.schedule.proxies);
        let world = Rc::clone(&site.around.world);
        let cluster = &site.clusters[number];
        let of_cluster = self.schedule.clients + proxies.without_clients;
        let reloads = proxies.reloads.get(number * of_cluster + place);
        Worker {
            named: if place < self.schedule.clients {
                !self.schedule.unnamed
            } else {
                !world.happens(proxies.nameless)
            },
            network: Rc::clone(&site.around.network),
            keepers: Rc::clone(&site.keepers),
            judge: Rc::clone(&site.oracle),
            host,
            cluster: cluster.clone(),
            nodes: self.nodes[cluster]
                .iter()
                .map(|(addr, _)| addr.clone())
                .collect(),
            up: BTreeMap::new(),
            turn: usize::from(host),
            reloads: reloads.cloned().unwrap_or_default(),
            world,
        }
    }
}
