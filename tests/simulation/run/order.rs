//! The state that a run must reach in the end: order among the servers, and no loss of what replicas held before the fault.

use std::collections::BTreeSet;
use std::rc::Rc;

use redis_keeper::actors::cluster_api::Ruling;
use redis_keeper::domain::facts::MinReplicas;
use redis_keeper::domain::node::NodeAddr;

use super::{DRAIN, LEASE, Run};
use crate::faults::Site;
use crate::oracle::Said;
use crate::redis::UNTOUCHED;
use crate::schedule::{CRASH_AFTER, Kind, OUTAGE, Oddity};

impl Run {
    /// The first thing out of order, once the faults are over.
    pub(super) fn disorder(&self, said: &[Said]) -> Option<String> {
        for (cluster, nodes) in &self.nodes {
            let Some(primary) = self.site.oracle.primary(cluster) else {
                return Some(format!("{cluster} has no published primary"));
            };
            for (node, _) in nodes {
                let server = self.site.around.fleet.server(node)?;
                let condition = server.condition();
                let published = self.site.oracle.was_published(cluster, &condition.run_id);
                // The server cannot show what it is, in either of these cases:
                //
                // - It names only the history before its last start.
                // - It began a history, and clients wrote to it before a keeper had read it.
                let cannot_show = (condition.starts > 1 || condition.written_unread)
                    && condition.follows.as_ref() == Some(node);
                if (condition.foreign || cannot_show) && !published {
                    // Such a server is reported and left alone.
                    continue;
                }
                if condition.follows.as_ref() != Some(&primary) {
                    return Some(format!("{node} does not follow {primary}"));
                }
                let demanded = self.demanded(*node == primary);
                if server.min_replicas() != demanded {
                    let seen = server.min_replicas();
                    return Some(format!("{node} has {seen:?}, not {demanded:?} (RK-9)"));
                }
            }
            let of = |said: &&Said| said.cluster == *cluster;
            let answers = said.iter().filter(of).count();
            let keepers = self.site.keepers.iter().filter(|keeper| keeper.serves());
            if answers != nodes.len() * keepers.count() {
                return Some(format!("not all keepers answer for {cluster}"));
            }
            let wrong = said
                .iter()
                .filter(of)
                .filter(|said| !self.lacks(said))
                .find(|said| (said.node == primary) != (said.ruling == Ruling::Yes));
            if let Some(Said {
                keeper,
                node,
                ruling,
                ..
            }) = wrong
            {
                return Some(format!(
                    "{keeper} says {ruling:?} to {node}, {primary} being published"
                ));
            }
        }
        None
    }

    /// Judges that a primary that dies without any data is replaced, by a server that has lost nothing (RK-6).
    pub(super) fn expect_successors(&self) {
        for (cluster, nodes) in &self.nodes {
            let (site, cluster, first) =
                (Rc::clone(&self.site), cluster.clone(), nodes[0].0.clone());
            let world = Rc::clone(&site.around.world);
            world.at(self.schedule.healed - 100_000, move || {
                let primary = site.oracle.primary(&cluster);
                if primary.as_ref().is_none_or(|primary| *primary == first) {
                    site.around.world.violated(format_args!(
                        "RK-6: nobody took over from {first}, which was drained: {primary:?} is published"
                    ));
                }
            });
        }
    }

    /// Whether the keeper's file lacks the node or has another name for the cluster. Such a keeper answers that it
    /// does not know.
    fn lacks(&self, said: &Said) -> bool {
        let Some((number, oddity)) = self.schedule.odd_file else {
            return false;
        };
        let lacks = match oddity {
            Oddity::Lacks(node) => self.nodes[&said.cluster][node].0 == said.node,
            Oddity::Called => true,
            Oddity::Named => false,
        };
        said.keeper == self.site.keepers[number].id && lacks && said.ruling == Ruling::Unknown
    }

    /// The `min-replicas` settings that a server has to have.
    fn demanded(&self, primary: bool) -> MinReplicas {
        if !(self.schedule.write_safety && primary) {
            return UNTOUCHED;
        }
        MinReplicas {
            to_write: u32::try_from(self.schedule.nodes / 2).expect("few nodes"),
            max_lag: 2,
        }
    }

    /// Judges failsafe mode: without ZooKeeper all keepers go on, and none goes on once a keeper is gone (RK-8).
    pub(super) fn judge_failsafe(&self, said: &[Said], now: u64) {
        let world = &self.site.around.world;
        let consent = self.schedule.consent * 1_000;
        let silent = OUTAGE + CRASH_AFTER + LEASE + LEASE.max(consent);
        match self.schedule.kind {
            Kind::OutageOnly if now > OUTAGE - 1_000_000 => {}
            Kind::OutageAndCrash if (silent..self.schedule.healed).contains(&now) => {
                if let Some(said) = said.iter().find(|said| said.ruling == Ruling::Yes) {
                    let (keeper, node) = (&said.keeper, &said.node);
                    world.violated(format_args!(
                        "RK-8: {keeper} calls {node} writable, though one of the keepers is gone"
                    ));
                }
                return;
            }
            _ => return,
        }
        for keeper in self.site.keepers.iter() {
            for cluster in self.nodes.keys() {
                let yes = |said: &&Said| said.keeper == keeper.id && said.cluster == *cluster;
                if !said
                    .iter()
                    .filter(yes)
                    .any(|said| said.ruling == Ruling::Yes)
                {
                    world.violated(format_args!(
                        "RK-8: {} calls no node of {cluster} writable, though all keepers are in touch",
                        keeper.id
                    ));
                }
            }
        }
    }

    /// Judges that a primary that died is replaced in time, though one keeper never comes back and another has joined
    /// (RK-2).
    pub(super) fn judge_gap(&self, now: u64) {
        let Kind::KeeperReplaced(died) = self.schedule.kind else {
            return;
        };
        let mark_down = self.schedule.mark_down * 1_000;
        let due = died + mark_down + LEASE + DRAIN + 2_000_000;
        let published = |name| self.site.oracle.primary(name);
        let primary = self.nodes.keys().next().and_then(published);
        let server = primary.and_then(|primary| self.site.around.fleet.server(&primary).cloned());
        let up = server.is_some_and(|server| server.condition().up);
        if (due..self.schedule.healed).contains(&now) && !up {
            self.site.around.world.violated(format_args!(
                "RK-2: no primary that serves {} us after the last one died, though two keepers and a replica are well",
                now - died
            ));
        }
    }

    /// Judges that faults of keepers and ZooKeeper during a switchover cost no write.
    pub(super) fn judge_losses(&self) {
        let lost = self.outcome().lost;
        let planned = [Kind::SwitchoverOnly, Kind::DiskFull];
        if planned.contains(&self.schedule.kind) && lost > 0 {
            self.site.around.world.violated(format_args!(
                "switchover: {lost} writes are lost, though no server failed"
            ));
        }
    }

    /// Judges that a primary that came back without its data cost nothing that its replicas held (RK-7).
    pub(super) fn lost_safe_writes(&self) {
        let fleet = &self.site.around.fleet;
        let primaries = self
            .site
            .clusters
            .iter()
            .filter_map(|name| self.site.oracle.primary(name));
        let servers: Vec<_> = primaries.filter_map(|addr| fleet.server(&addr)).collect();
        let lost = |write: &&u64| !servers.iter().any(|server| server.holds(**write));
        let safe = self.safe.borrow();
        let lost = safe.iter().filter(lost).count();
        if lost > 0 {
            self.site.around.world.violated(format_args!(
                "RK-7: {lost} writes that replicas held are lost"
            ));
        }
    }
}

/// The writes that every replica of the published primaries holds.
pub(super) fn held_by_replicas(site: &Site) -> BTreeSet<u64> {
    let primaries: Vec<NodeAddr> = site
        .clusters
        .iter()
        .filter_map(|name| site.oracle.primary(name))
        .collect();
    let mut held = BTreeSet::new();
    for cluster in &site.clusters {
        let servers = site.around.fleet.servers();
        let replicas = servers.filter(|it| it.cluster == *cluster && !primaries.contains(&it.addr));
        // A replica that copies another site holds nothing of this site.
        let replicas = replicas.filter(|it| !it.condition().foreign);
        let sets: Vec<BTreeSet<u64>> = replicas.map(|replica| replica.writes()).collect();
        let all = sets.into_iter().reduce(|one, other| &one & &other);
        held.extend(all.into_iter().flatten());
    }
    held
}
