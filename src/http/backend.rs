//! The questions of the HTTP interface to the actors, as a trait. So the interface depends neither on the supervision
//! tree nor on the threads of the actors.

use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::actors::cluster_api::{
    CheckAnswer, ClusterStatus, ClusterView, NodeView, Reason, RunCheck,
};
use crate::actors::messages::{
    MonitorState, NotAcknowledged, NotDropped, NotSwitched, SessionReport, Switched,
};
use crate::domain::explain::Explanation;
use crate::domain::failsafe::{ConsentRefusal, ConsentRequest};
use crate::domain::group::GroupAnswer;
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{ClusterName, KeeperId, Moment, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::rehearsal::RehearsalRequest;

/// How long a request waits for an actor, restarts of the actor included. The time is short enough for any health
/// check, and long enough to hide a restart.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);

/// The pause before a question goes again to an actor that was down.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// The actors, as the HTTP interface sees them. Each method makes one attempt, and does not wait for a restart of the
/// actor: the caller repeats the question.
///
/// All worker threads share one backend. A future stays on the thread that made it. To drop a future is to give up
/// the question.
pub trait Backend: Send + Sync {
    /// The names of the present clusters.
    fn clusters(&self) -> Vec<ClusterName>;

    /// The first `most` names, and the number of all clusters. An implementation need not copy thousands of names for
    /// each request about an unknown cluster.
    fn first_clusters(&self, most: usize) -> (Vec<ClusterName>, usize) {
        let mut names = self.clusters();
        let count = names.len();
        names.truncate(most);
        (names, count)
    }

    /// The present nodes of a cluster; empty if there is no such cluster.
    fn nodes(&self, cluster: &str) -> Vec<NodeAddr>;

    /// Asks the cluster's actor about one node.
    fn ask<'a>(
        &'a self,
        cluster: &'a str,
        ask: RunCheck,
    ) -> LocalBoxFuture<'a, Result<CheckAnswer, Unanswered>>;

    /// Asks the cluster's actor for its status. The inner `Err` says why the status is unknown.
    fn status<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<ClusterStatus, Reason>, Unanswered>>;

    /// Asks the cluster's actor for its knowledge.
    fn inspect_cluster<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<ClusterView, Unanswered>>;

    /// Asks the cluster's actor for its present work, and for its reaction if the primary died now.
    fn explain_cluster<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Explanation, Unanswered>>;

    /// Tells the cluster's actor to switch over. Resolves when the switchover is done, or when everything is as it
    /// was.
    fn switchover<'a>(
        &'a self,
        cluster: &'a str,
        requested: Requested,
    ) -> LocalBoxFuture<'a, Result<Result<Switched, NotSwitched>, Unanswered>>;

    /// Closes the breaker: the leader goes on although the primary was changed from outside (RK-12).
    fn acknowledge<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<(), NotAcknowledged>, Unanswered>>;

    /// Asks for a report about one node; `None` if the cluster does not have the node.
    fn inspect_node<'a>(
        &'a self,
        cluster: &'a str,
        node: NodeAddr,
    ) -> LocalBoxFuture<'a, Result<Option<NodeReport>, Unanswered>>;

    /// Asks the session for its report about itself and the other keepers.
    fn inspect_session(&self) -> LocalBoxFuture<'_, Result<SessionReport, Unanswered>>;

    /// The group of this keeper with its clusters; `None` if this keeper has not joined a group yet. `met_at` is the
    /// node where another keeper has met this one. The monitors of that node then look for other groups, too (RK-12).
    fn group<'a>(
        &'a self,
        met_at: Option<&'a NodeAddr>,
    ) -> LocalBoxFuture<'a, Result<Option<GroupAnswer>, Unanswered>>;

    /// Asks for this keeper's consent that another keeper goes on without ZooKeeper (RK-8). The answer names the
    /// process that consents.
    fn consent(
        &self,
        request: ConsentRequest,
    ) -> LocalBoxFuture<'_, Result<Result<KeeperProcess, ConsentRefusal>, Unanswered>>;

    /// The answer to a rehearsal: this keeper's process. The other keeper tries whether it could ask for consent
    /// (RK-8).
    fn rehearse(
        &self,
        request: RehearsalRequest,
    ) -> LocalBoxFuture<'_, Result<KeeperProcess, Unanswered>>;

    /// The obstacles found by rehearsals, as texts that name the keeper and the reason (RK-8).
    fn obstacles(&self) -> Arc<[String]>;

    /// The time and the cause of ZooKeeper's outage, in words; `None` without an outage.
    fn outage(&self) -> Option<String>;

    /// Removes a keeper that does not run any more from the failsafe group (RK-8).
    fn drop_keeper(
        &self,
        keeper: KeeperId,
    ) -> LocalBoxFuture<'_, Result<Result<(), NotDropped>, Unanswered>>;

    /// Whether this keeper may answer for its clusters.
    fn readiness(&self) -> LocalBoxFuture<'_, Result<Readiness, Unanswered>>;

    /// Resolves when the event loop, which all actors share, has run a task.
    fn event_loop(&self) -> LocalBoxFuture<'_, Result<(), Unanswered>>;

    /// The supervision tree, from its root.
    fn supervision(&self) -> ChildReport;
}

/// The reason why a question got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// There is no such cluster.
    NoSuchCluster,
    /// This keeper's file lacks the cluster, but other keepers may have the cluster.
    NotInFile,
    /// The actor is down now, or went down before it answered.
    NotAnswering,
}

/// Whether a keeper may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The keeper may answer strictly before `until`.
    Ready {
        /// The end of the lease; `None` if no lease is needed.
        until: Option<Moment>,
        /// Whether the lease is by consent of all keepers, because ZooKeeper does not answer.
        failsafe: bool,
    },
    /// The keeper may not answer. Holds the reason in words.
    NotReady(String),
}

/// The report about one node: from its cluster, its monitor and its supervisor.
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// The cluster's view.
    pub view: NodeView,
    /// The monitor's state; `None` while the monitor is down.
    pub monitor: Option<MonitorState>,
    /// The number of restarts of the monitor.
    pub restarts: u64,
}

/// One place in the supervision tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildReport {
    /// The child's name, unique below its supervisor.
    pub name: String,
    /// `running`, `restarting`, `stopped`, `given-up`.
    pub state: &'static str,
    /// The number of restarts.
    pub restarts: u64,
    /// The reason of the last exit.
    pub last_exit: Option<String>,
    /// The time since the last start.
    pub uptime: Duration,
    /// The children of this child, if it is a supervisor.
    pub children: Vec<ChildReport>,
}

/// Repeats `attempt` until it gets an answer, for [`ANSWER_TIMEOUT`] at most.
pub(super) async fn patiently<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, Unanswered>,
) -> Result<T, Unanswered> {
    let answered = async {
        loop {
            match attempt().await {
                Err(Unanswered::NotAnswering) => tokio::time::sleep(RETRY_PAUSE).await,
                settled => return settled,
            }
        }
    };
    tokio::time::timeout(ANSWER_TIMEOUT, answered)
        .await
        .unwrap_or(Err(Unanswered::NotAnswering))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_actor_that_hangs_is_waited_for_no_longer_than_the_bound() {
        let began = Instant::now();
        let answer: Result<(), _> = patiently(pending).await;
        assert_eq!(answer, Err(Unanswered::NotAnswering));
        assert_eq!(began.elapsed(), ANSWER_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_actor_that_stays_down_is_waited_for_no_longer_than_the_bound() {
        let began = Instant::now();
        let answer: Result<(), _> =
            patiently(|| std::future::ready(Err(Unanswered::NotAnswering))).await;
        assert_eq!(answer, Err(Unanswered::NotAnswering));
        assert_eq!(began.elapsed(), ANSWER_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_within_the_bound_passes_unseen() {
        let began = Instant::now();
        let up = began + ANSWER_TIMEOUT / 2;
        let attempts = Cell::new(0);
        let answer = patiently(|| {
            attempts.set(attempts.get() + 1);
            let up = Instant::now() >= up;
            async move { up.then_some("yes").ok_or(Unanswered::NotAnswering) }
        })
        .await;
        assert_eq!(answer, Ok("yes"));
        assert!(attempts.get() > 1);
        assert!(began.elapsed() < ANSWER_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_does_not_exist_is_not_waited_for() {
        let began = Instant::now();
        let answer: Result<(), _> =
            patiently(|| std::future::ready(Err(Unanswered::NoSuchCluster))).await;
        assert_eq!(answer, Err(Unanswered::NoSuchCluster));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
