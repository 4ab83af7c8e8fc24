//! Builds the children of the supervision tree, each with its settings and its references to the others.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use actix::dev::ToEnvelope;
use actix::prelude::*;
use send_wrapper::SendWrapper;
use tokio::sync::{mpsc, watch};

use super::supervised;
use crate::actors::cluster::{ClusterActor, ClusterLinks, ClusterSettings};
use crate::actors::failover::{FailoverActor, FailoverLinks, PerformerLinks, TaskPerformer};
use crate::actors::groups::{GroupLinks, GroupWatch};
use crate::actors::messages::{Fatal, KeeperAnnouncement, ProbesNamed, Replan, ResendReport};
use crate::actors::node_monitor::{FreshConnections, MonitorLinks, MonitorSettings, NodeMonitor};
use crate::actors::zk_session::{self, ZkSession};
use crate::actors::{ClusterRefs, Directory, Outbox};
use crate::config::{ClusterConfig, Config};
use crate::domain::brake::Primaries;
use crate::domain::claims::Claims;
use crate::domain::group::GroupToken;
use crate::domain::identity::{Nonce, Place};
use crate::domain::leadership_transfer::step_down_after;
use crate::domain::lease::Lease;
use crate::domain::liveness::Limits;
use crate::domain::node::NodeAddr;
use crate::domain::policy::WriteSafety;
use crate::domain::rivals::KnownGroups;
use crate::ports::clock::LeaseClock;
use crate::ports::coordination::Coordination;
use crate::ports::peers::Peers;
use crate::ports::redis::Redis;
use crate::supervision::{ChildRef, ChildSpec, Slot, Supervisor};

/// How often a probe asks for all sections of `INFO`.
const FULL_PROBE_EVERY: Duration = Duration::from_secs(30);

/// The connections between the children. Each slot is made once, so that references stay valid across all restarts.
pub(super) struct Wiring {
    pub(super) directory: Directory,
    pub(super) session: Slot<ZkSession>,
    pub(super) leader: Slot<FailoverActor>,
    pub(super) runs: Slot<Supervisor>,
    pub(super) performer: Slot<TaskPerformer>,
    pub(super) primaries: Rc<RefCell<Primaries>>,
    pub(super) claims: Rc<RefCell<Claims>>,
    pub(super) lease: watch::Sender<Lease>,
    pub(super) obstacles: watch::Sender<Arc<[String]>>,
    pub(super) groups: Slot<GroupWatch>,
    pub(super) group: watch::Sender<Option<GroupToken>>,
    pub(super) rivals: watch::Sender<Arc<KnownGroups>>,
    /// A random number for this run of the keeper.
    pub(super) chance: u64,
    pub(super) fatal: mpsc::UnboundedSender<Fatal>,
    pub(super) redis: Rc<dyn Redis>,
    pub(super) fresh: Rc<FreshConnections>,
    pub(super) coordination: Rc<dyn Coordination>,
    pub(super) peers: Rc<dyn Peers>,
    pub(super) clock: Arc<dyn LeaseClock>,
    pub(super) nonce: Nonce,
    pub(super) place: Place,
}

/// The name of a cluster's supervisor in the tree.
pub(super) fn cluster_child(cluster: &str) -> String {
    format!("cluster:{cluster}")
}

/// The name of a node's monitor under its cluster's supervisor.
pub(super) fn node_child(node: &NodeAddr) -> String {
    format!("node:{node}")
}

/// The announcement of this keeper to the others.
fn announcement(config: &Config) -> KeeperAnnouncement {
    let host = hostname::get().map_or_else(
        |_| "unknown host".to_owned(),
        |host| host.to_string_lossy().into_owned(),
    );
    KeeperAnnouncement {
        id: config.keeper_id.clone(),
        rest: config.rest.advertise.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        process: format!("process {} on {host}", std::process::id()),
    }
}

/// An outbox that looks the actor up at each send.
fn outbox<A, M>(actor: ChildRef<A>) -> Outbox<M>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    Rc::new(move |message| {
        actor.do_send(message);
    })
}

impl Wiring {
    pub(super) fn session(&self, config: &Config) -> ChildSpec {
        let (directory, everyone) = (self.directory.clone(), self.directory.clone());
        let lacking = self.directory.clone();
        let fatal = self.fatal.clone();
        let clusters = config.clusters.iter();
        let mark_down = clusters.map(|cluster| cluster.timing.mark_down).max();
        let dependencies = SendWrapper::new(zk_session::Dependencies {
            coordination: self.coordination.clone(),
            peers: self.peers.clone(),
            clock: self.clock.clone(),
            settings: zk_session::Settings {
                announcement: announcement(config),
                nonce: self.nonce.clone(),
                place: self.place.clone(),
                clusters: config.clusters.iter().map(|it| it.name.clone()).collect(),
                file: config.compared(),
                heartbeat: config.timing.heartbeat,
                lease: config.timing.lease,
                failsafe: config.timing.failsafe,
                step_down_after: step_down_after(mark_down.unwrap_or_default()),
                group: GroupToken::drawn(self.chance),
            },
            lease: self.lease.clone(),
            obstacles: self.obstacles.clone(),
            group: self.group.clone(),
            shared: Rc::new(move |cluster, state| directory.share(cluster, state)),
            unlisted: Rc::new(move |clusters| lacking.lacks(clusters)),
            claims: self.claims.clone(),
            resend: Rc::new(move |ResendReport| {
                for actor in everyone.actors() {
                    actor.do_send(ResendReport);
                }
            }),
            leading: outbox(self.leader.reference()),
            fatal: Rc::new(move |message| {
                // The daemon that receives may have ended: then the keeper is ending anyway.
                let _ = fatal.send(message);
            }),
        });
        ChildSpec::permanent("session", &self.session, move || {
            ZkSession::new(zk_session::Dependencies::clone(&dependencies))
        })
    }

    pub(super) fn groups(&self, config: &Config) -> ChildSpec {
        let (everyone, nodes) = (self.directory.clone(), self.directory.clone());
        let advertised = &config.rest.advertise;
        let links = SendWrapper::new(GroupLinks {
            keeper: config.keeper_id.clone(),
            rest: NodeAddr::new(&*advertised.host, advertised.port),
            own: self.group.subscribe(),
            known: self.rivals.clone(),
            introduced: Rc::new(move |ProbesNamed| nodes.introduce()),
            reconsider: Rc::new(move |Replan| {
                for actor in everyone.actors() {
                    actor.do_send(Replan);
                }
            }),
            peers: self.peers.clone(),
            redis: self.redis.clone(),
            clock: self.clock.clone(),
        });
        ChildSpec::permanent("groups", &self.groups, move || {
            GroupWatch::new(GroupLinks::clone(&links))
        })
    }

    fn monitor(
        &self,
        cluster: &ClusterConfig,
        node: &NodeAddr,
        slot: &Slot<NodeMonitor>,
        actor: ChildRef<ClusterActor>,
    ) -> ChildSpec {
        let settings = MonitorSettings {
            tick: cluster.timing.tick,
            mark_down: cluster.timing.mark_down,
            probe_timeout: cluster.timing.probe_timeout,
            full_every: FULL_PROBE_EVERY,
            max_lag: cluster.policy.max_lag,
            settings: cluster.policy.write_safety != WriteSafety::None,
            busy: cluster.timing.busy,
        };
        let links = SendWrapper::new(MonitorLinks {
            redis: self.redis.clone(),
            clock: self.clock.clone(),
            fresh: self.fresh.clone(),
            observed: outbox(actor),
            met: Some(outbox(self.groups.reference())),
        });
        let (cluster, addr) = (cluster.name.clone(), node.clone());
        ChildSpec::permanent(node_child(node), slot, move || {
            let links = MonitorLinks::clone(&links);
            NodeMonitor::new(cluster.clone(), addr.clone(), settings, links)
        })
    }

    pub(super) fn failover(&self, config: &Config) -> ChildSpec {
        let reconcile_every = config
            .clusters
            .iter()
            .map(|cluster| cluster.timing.failover_tick)
            .min();
        let links = SendWrapper::new(FailoverLinks {
            clusters: self.directory.clone(),
            session: self.session.reference(),
            redis: self.redis.clone(),
            runs: self.runs.reference(),
            clock: self.clock.clone(),
            reconcile_every: reconcile_every.unwrap_or(Duration::from_secs(10)),
        });
        let leader = ChildSpec::permanent("leader", &self.leader, move || {
            FailoverActor::new(FailoverLinks::clone(&links))
        });
        let links = SendWrapper::new(PerformerLinks {
            clusters: self.directory.clone(),
            session: self.session.reference(),
            redis: self.redis.clone(),
        });
        let performer = ChildSpec::permanent("tasks", &self.performer, move || {
            TaskPerformer::new(PerformerLinks::clone(&links))
        });
        let plan = supervised().child(leader).child(performer);
        ChildSpec::supervisor("failover", &self.runs, plan)
    }

    /// Builds a cluster's supervisor with its actor and a monitor for each node. Enters the cluster into the
    /// directory.
    pub(super) fn cluster(&self, config: &Config, cluster: &ClusterConfig) -> ChildSpec {
        let actor_slot = Slot::new();
        let mut monitors = BTreeMap::new();
        let mut specs = Vec::new();
        for node in &cluster.nodes {
            let slot = Slot::new();
            monitors.insert(node.addr.clone(), slot.reference());
            specs.push(self.monitor(cluster, &node.addr, &slot, actor_slot.reference()));
        }
        let settings = ClusterSettings {
            name: cluster.name.clone(),
            keeper: config.keeper_id.clone(),
            policy: Arc::new(cluster.policy.clone()),
            read_lease: config.timing.read_lease,
            limits: Limits {
                mark_down: cluster.timing.mark_down,
                probe_timeout: cluster.timing.probe_timeout,
                busy: cluster.timing.busy,
            },
        };
        let shared = watch::Sender::new(None);
        let links = SendWrapper::new(ClusterLinks {
            monitors: monitors.clone(),
            shared: shared.subscribe(),
            lease: self.lease.subscribe(),
            rivals: self.rivals.subscribe(),
            groups: self.groups.reference(),
            clock: self.clock.clone(),
            subscribe: outbox(self.session.reference()),
            report: outbox(self.session.reference()),
            poll: outbox(self.session.reference()),
            primaries: self.primaries.clone(),
            claims: self.claims.clone(),
            leader_needed: outbox(self.leader.reference()),
            perform: outbox(self.performer.reference()),
            redis: self.redis.clone(),
        });
        let refs = ClusterRefs {
            actor: actor_slot.reference(),
            monitors,
            shared,
        };
        self.directory.insert(cluster.name.clone(), refs);
        let actor = ChildSpec::permanent("actor", &actor_slot, move || {
            ClusterActor::new(settings.clone(), ClusterLinks::clone(&links))
        });
        let plan = specs.into_iter().fold(
            supervised().child(actor),
            crate::supervision::OneForOne::child,
        );
        ChildSpec::supervisor(cluster_child(cluster.name.as_str()), &Slot::new(), plan)
    }
}
