//! The actors as the backend of the HTTP interface.

use std::sync::{Arc, OnceLock};

use actix::prelude::*;
use futures::TryFutureExt as _;
use futures::future::{FutureExt as _, LocalBoxFuture};
use tokio::sync::{oneshot, watch};

use crate::actors::Directory;
use crate::actors::cluster::ClusterActor;
use crate::actors::cluster_api::{
    AskStatus, CheckAnswer, ClusterStatus, ClusterView, ExplainCluster, InspectCluster,
    InspectNode, Reason, RunCheck,
};
use crate::actors::groups::describe;
use crate::actors::messages::{
    Acknowledge, AskConsent, DropKeeper, InspectMonitor, InspectSession, NotAcknowledged,
    NotDropped, NotSwitched, Rehearse, SessionReport, Switched, Switchover,
};
use crate::actors::zk_session::ZkSession;
use crate::domain::explain::Explanation;
use crate::domain::failsafe::{ConsentRefusal, ConsentRequest};
use crate::domain::group::GroupAnswer;
use crate::domain::identity::KeeperProcess;
use crate::domain::lease::Lease;
use crate::domain::node::{ClusterName, KeeperId, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::rehearsal::RehearsalRequest;
use crate::http::backend::{Backend, ChildReport, NodeReport, Readiness, Unanswered};
use crate::ports::clock::LeaseClock;
use crate::ports::coordination::Outage;
use crate::supervision::{ChildRef, ChildState, Tree, TreeSnapshot};

/// Asks the actors through references that stay valid across their restarts.
pub(super) struct Actors {
    pub(super) directory: Directory,
    pub(super) session: ChildRef<ZkSession>,
    pub(super) lease: watch::Receiver<Lease>,
    pub(super) obstacles: watch::Receiver<Arc<[String]>>,
    pub(super) outage: watch::Receiver<Option<Outage>>,
    pub(super) clock: Arc<dyn LeaseClock>,
    /// The thread of all actors.
    pub(super) arbiter: ArbiterHandle,
    /// The supervision tree, once it is built.
    pub(super) tree: Arc<OnceLock<Tree>>,
}

type Reply<'a, T> = LocalBoxFuture<'a, Result<T, Unanswered>>;

impl Actors {
    fn send<M>(&self, cluster: &str, message: M) -> Reply<'static, M::Result>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        ClusterActor: Handler<M>,
    {
        let actor = self.directory.get(cluster);
        // Only a keeper with a valid lease knows whether other keepers have the cluster.
        let up_to_date = self.lease.borrow().holds(self.clock.now());
        let elsewhere = !up_to_date || self.directory.may_be_elsewhere(cluster);
        let lacking = if actor.is_none() && elsewhere {
            Unanswered::NotInFile
        } else {
            Unanswered::NoSuchCluster
        };
        async move {
            let actor = actor.ok_or(lacking)?;
            actor
                .send(message)
                .await
                .map_err(|_| Unanswered::NotAnswering)
        }
        .boxed_local()
    }

    fn send_to_session<M>(&self, message: M) -> Reply<'_, M::Result>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        ZkSession: Handler<M>,
    {
        async move {
            let answer = self.session.send(message).await;
            answer.map_err(|_| Unanswered::NotAnswering)
        }
        .boxed_local()
    }
}

impl Backend for Actors {
    fn clusters(&self) -> Vec<ClusterName> {
        self.directory.names()
    }

    fn first_clusters(&self, most: usize) -> (Vec<ClusterName>, usize) {
        self.directory.first_names(most)
    }

    fn nodes(&self, cluster: &str) -> Vec<NodeAddr> {
        self.directory.nodes(cluster)
    }

    fn ask<'a>(&'a self, cluster: &'a str, ask: RunCheck) -> Reply<'a, CheckAnswer> {
        self.send(cluster, ask)
    }

    fn status<'a>(&'a self, cluster: &'a str) -> Reply<'a, Result<ClusterStatus, Reason>> {
        self.send(cluster, AskStatus)
    }

    fn inspect_cluster<'a>(&'a self, cluster: &'a str) -> Reply<'a, ClusterView> {
        self.send(cluster, InspectCluster)
    }

    fn explain_cluster<'a>(&'a self, cluster: &'a str) -> Reply<'a, Explanation> {
        self.send(cluster, ExplainCluster)
    }

    fn switchover<'a>(
        &'a self,
        cluster: &'a str,
        requested: Requested,
    ) -> Reply<'a, Result<Switched, NotSwitched>> {
        self.send(cluster, Switchover(requested))
    }

    fn acknowledge<'a>(&'a self, cluster: &'a str) -> Reply<'a, Result<(), NotAcknowledged>> {
        self.send(cluster, Acknowledge)
    }

    fn inspect_node<'a>(
        &'a self,
        cluster: &'a str,
        node: NodeAddr,
    ) -> Reply<'a, Option<NodeReport>> {
        async move {
            let Some(view) = self.send(cluster, InspectNode(node.clone())).await? else {
                return Ok(None);
            };
            let monitor = match self.directory.monitor(cluster, &node) {
                Some(monitor) => monitor.send(InspectMonitor).await.ok(),
                None => None,
            };
            let restarts = self.monitor_restarts(cluster, &node);
            Ok(Some(NodeReport {
                view,
                monitor,
                restarts,
            }))
        }
        .boxed_local()
    }

    fn inspect_session(&self) -> Reply<'_, SessionReport> {
        self.send_to_session(InspectSession)
    }

    fn group<'a>(&'a self, met_at: Option<&'a NodeAddr>) -> Reply<'a, Option<GroupAnswer>> {
        if let Some(node) = met_at {
            self.directory.request_client_lists(node);
        }
        let described = describe(&self.session, &self.directory);
        described
            .map_err(|_| Unanswered::NotAnswering)
            .boxed_local()
    }

    fn consent(&self, request: ConsentRequest) -> Reply<'_, Result<KeeperProcess, ConsentRefusal>> {
        self.send_to_session(AskConsent(request))
    }

    fn rehearse(&self, request: RehearsalRequest) -> Reply<'_, KeeperProcess> {
        self.send_to_session(Rehearse(request))
    }

    fn obstacles(&self) -> Arc<[String]> {
        self.obstacles.borrow().clone()
    }

    fn outage(&self) -> Option<String> {
        self.outage.borrow().as_ref().map(ToString::to_string)
    }

    fn drop_keeper(&self, keeper: KeeperId) -> Reply<'_, Result<(), NotDropped>> {
        self.send_to_session(DropKeeper(keeper))
    }

    fn readiness(&self) -> Reply<'_, Readiness> {
        let lease = *self.lease.borrow();
        let readiness = match lease.expired_for(self.clock.now()) {
            None => Readiness::NotReady(
                "no lease yet: coordination has not confirmed this keeper".to_owned(),
            ),
            Some(_) if lease.holds(self.clock.now()) => Readiness::Ready {
                until: lease.deadline(),
                failsafe: lease.is_consented(),
            },
            Some(since) => Readiness::NotReady(format!(
                "the lease ran out {:.1} s ago",
                since.as_secs_f64()
            )),
        };
        std::future::ready(Ok(readiness)).boxed_local()
    }

    fn event_loop(&self) -> Reply<'_, ()> {
        let (reply, answer) = oneshot::channel();
        self.arbiter.spawn(async {
            // The request may have ended meanwhile.
            let _ = reply.send(());
        });
        answer.map_err(|_| Unanswered::NotAnswering).boxed_local()
    }

    fn supervision(&self) -> ChildReport {
        match self.tree.get() {
            Some(tree) => report(tree.snapshot()),
            None => ChildReport {
                name: "root".to_owned(),
                state: "starting",
                restarts: 0,
                last_exit: None,
                uptime: std::time::Duration::ZERO,
                children: Vec::new(),
            },
        }
    }
}

impl Actors {
    fn monitor_restarts(&self, cluster: &str, node: &NodeAddr) -> u64 {
        let Some(tree) = self.tree.get() else {
            return 0;
        };
        let child = |parent: TreeSnapshot, name: String| {
            parent.children.into_iter().find(|child| child.name == name)
        };
        child(tree.snapshot(), super::tree::cluster_child(cluster))
            .and_then(|cluster| child(cluster, super::tree::node_child(node)))
            .map_or(0, |monitor| monitor.restarts)
    }
}

fn report(place: TreeSnapshot) -> ChildReport {
    ChildReport {
        name: place.name,
        state: match place.state {
            ChildState::Running => "running",
            ChildState::Restarting { .. } => "restarting",
            ChildState::Stopped => "stopped",
            ChildState::GivenUp => "given-up",
        },
        restarts: place.restarts,
        last_exit: place.last_exit,
        uptime: place.uptime,
        children: place.children.into_iter().map(report).collect(),
    }
}
