//! What HTTP needs of the actors, as a trait: so that it knows neither the supervision tree nor where actors run.

use std::sync::Arc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::actors::cluster_api::{Answer, Ask, ClusterStatus, ClusterView, NodeView, Reason};
use crate::actors::messages::{
    MonitorState, NotAcknowledged, NotDropped, NotSwitched, SessionReport, Switched,
};
use crate::domain::explain::Explanation;
use crate::domain::failsafe::{ConsentRequest, Refusal};
use crate::domain::group::GroupAnswer;
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{ClusterName, KeeperId, Moment, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::rehearsal::RehearsalRequest;

/// How long a request waits for an actor, its restarts included: short enough for any health check, long enough for a
/// restart to pass unseen.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// Pause before a question is put again to an actor that was down.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// The actors, as HTTP sees them. Each method makes one attempt and does not wait for a restart: that is the caller's
/// part.
///
/// Shared by all worker threads; a future stays on the thread that made it. Dropping a future gives the question up.
pub trait Backend: Send + Sync {
    /// The clusters there are at this moment, by name.
    fn clusters(&self) -> Vec<ClusterName>;

    /// The first of them, and how many there are: thousands are not to be copied for everybody who asks for one that is none.
    fn first_clusters(&self, most: usize) -> (Vec<ClusterName>, usize) {
        let mut names = self.clusters();
        let count = names.len();
        names.truncate(most);
        (names, count)
    }

    /// The nodes of a cluster at this moment; none if there is no such cluster.
    fn nodes(&self, cluster: &str) -> Vec<NodeAddr>;

    /// Puts a question about one node to the cluster's actor.
    fn ask<'a>(
        &'a self,
        cluster: &'a str,
        ask: Ask,
    ) -> LocalBoxFuture<'a, Result<Answer, Unanswered>>;

    /// Asks the cluster's actor for its status. The inner `Err` says why that is unknown.
    fn status<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<ClusterStatus, Reason>, Unanswered>>;

    /// What the cluster's actor knows.
    fn inspect_cluster<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<ClusterView, Unanswered>>;

    /// What the cluster's actor is doing, and what it would do if the primary died now.
    fn explain_cluster<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Explanation, Unanswered>>;

    /// Has the cluster's actor switch over; waits until that is done, or everything is as it was.
    fn switchover<'a>(
        &'a self,
        cluster: &'a str,
        requested: Requested,
    ) -> LocalBoxFuture<'a, Result<Result<Switched, NotSwitched>, Unanswered>>;

    /// Has the cluster go on though its primary was changed from outside (RK-12).
    fn acknowledge<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<(), NotAcknowledged>, Unanswered>>;

    /// What is known of one node; `None` if the cluster does not have it.
    fn inspect_node<'a>(
        &'a self,
        cluster: &'a str,
        node: NodeAddr,
    ) -> LocalBoxFuture<'a, Result<Option<NodeReport>, Unanswered>>;

    /// What the session knows of itself and of the other keepers.
    fn inspect_session(&self) -> LocalBoxFuture<'_, Result<SessionReport, Unanswered>>;

    /// Which group this keeper belongs to, and what that looks after; `None` if it has joined none yet. Monitors of the
    /// node where another keeper has met this one look who is there (RK-12).
    fn group<'a>(
        &'a self,
        met_at: Option<&'a NodeAddr>,
    ) -> LocalBoxFuture<'a, Result<Option<GroupAnswer>, Unanswered>>;

    /// Asks for this keeper's consent to another's going on without ZooKeeper (RK-8): the process that consents.
    fn consent(
        &self,
        request: ConsentRequest,
    ) -> LocalBoxFuture<'_, Result<Result<KeeperProcess, Refusal>, Unanswered>>;

    /// Who this keeper is, for one that tries whether it could be asked for its consent (RK-8).
    fn rehearse(
        &self,
        request: RehearsalRequest,
    ) -> LocalBoxFuture<'_, Result<KeeperProcess, Unanswered>>;

    /// Why others could not be asked for their consent, as far as that is known: who, and why (RK-8).
    fn obstacles(&self) -> Arc<[String]>;

    /// Since when and why coordination is out of touch, in words; `None` while it is not.
    fn outage(&self) -> Option<String>;

    /// Takes a keeper that does not run any more off the circle (RK-8).
    fn drop_keeper(
        &self,
        keeper: KeeperId,
    ) -> LocalBoxFuture<'_, Result<Result<(), NotDropped>, Unanswered>>;

    /// Whether this keeper may answer for its clusters.
    fn readiness(&self) -> LocalBoxFuture<'_, Result<Readiness, Unanswered>>;

    /// Answered by the event loop that all actors share, whatever they do.
    fn event_loop(&self) -> LocalBoxFuture<'_, Result<(), Unanswered>>;

    /// The supervision tree, from its root.
    fn supervision(&self) -> ChildReport;
}

/// Why a question brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// There is no such cluster.
    NoSuchCluster,
    /// This keeper's file lacks the cluster, and other keepers may have it.
    NotInFile,
    /// The actor is down at this moment, or went down before it answered.
    NotAnswering,
}

/// Whether a keeper may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It may, strictly before this moment; `None` where no lease is needed.
    Ready {
        /// End of the lease.
        until: Option<Moment>,
        /// Not a lease, but the consent of all keepers: ZooKeeper does not answer.
        failsafe: bool,
    },
    /// It may not: why, in words.
    NotReady(String),
}

/// One node as its cluster, its monitor and its supervisor see it.
#[derive(Debug, Clone)]
pub struct NodeReport {
    /// The cluster's view.
    pub view: NodeView,
    /// The monitor's state; `None` while it is down.
    pub monitor: Option<MonitorState>,
    /// How often the monitor was restarted.
    pub restarts: u64,
}

/// One place in the supervision tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildReport {
    /// Its name under its supervisor.
    pub name: String,
    /// `running`, `restarting`, `stopped`, `given-up`.
    pub state: &'static str,
    /// How often it was restarted.
    pub restarts: u64,
    /// Why it ended the last time.
    pub last_exit: Option<String>,
    /// Age of its present incarnation.
    pub uptime: Duration,
    /// What it supervises.
    pub children: Vec<ChildReport>,
}

/// Makes attempts until one is answered, as long as [`PATIENCE`] lasts.
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
    tokio::time::timeout(PATIENCE, answered)
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
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_actor_that_stays_down_is_waited_for_no_longer_than_the_bound() {
        let began = Instant::now();
        let answer: Result<(), _> =
            patiently(|| std::future::ready(Err(Unanswered::NotAnswering))).await;
        assert_eq!(answer, Err(Unanswered::NotAnswering));
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_within_the_bound_passes_unseen() {
        let began = Instant::now();
        let up = began + PATIENCE / 2;
        let attempts = Cell::new(0);
        let answer = patiently(|| {
            attempts.set(attempts.get() + 1);
            let up = Instant::now() >= up;
            async move { up.then_some("yes").ok_or(Unanswered::NotAnswering) }
        })
        .await;
        assert_eq!(answer, Ok("yes"));
        assert!(attempts.get() > 1);
        assert!(began.elapsed() < PATIENCE);
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
