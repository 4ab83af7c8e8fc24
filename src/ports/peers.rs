//! The other keepers, reached directly: requests for consent without ZooKeeper, and their rehearsal (RK-8).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures::future::LocalBoxFuture;

use crate::domain::failsafe::ConsentRequest;
use crate::domain::group::GroupAnswer;
use crate::domain::identity::KeeperProcess;
use crate::domain::node::NodeAddr;
use crate::domain::rehearsal::{RehearsalObstacle, RehearsalRequest};

/// The other keepers. The caller bounds the time for which it waits for an answer.
pub trait Peers {
    /// Asks the keeper at `rest` (`host:port` of its HTTP interface) for its consent. Returns the process that says
    /// it has consented, which may be another one than was asked. The error says in words why there is no consent:
    /// the keeper refused, or was not reached.
    fn ask_consent(
        &self,
        rest: &str,
        request: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, String>>;

    /// Asks which process answers at `rest`, on a new connection, as a request for consent would. Binds no keeper.
    fn rehearse(
        &self,
        rest: &str,
        request: &RehearsalRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, RehearsalObstacle>>;

    /// The addresses that `rest` stands for now. The error says in words why there is none.
    fn resolve(&self, rest: &str) -> LocalBoxFuture<'static, Result<BTreeSet<SocketAddr>, String>>;

    /// Asks the keeper at `rest` for its group and the clusters of that group (RK-12). `met_at` tells that keeper the
    /// node at which it was met, so that it looks there in its turn. The caller bounds the time.
    fn ask_group(
        &self,
        rest: &NodeAddr,
        met_at: Option<&NodeAddr>,
    ) -> LocalBoxFuture<'static, Result<GroupAnswer, String>>;
}
