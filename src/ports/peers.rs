//! The other keepers, reached directly: what is asked of them without ZooKeeper, and its rehearsal (RK-8).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures::future::LocalBoxFuture;

use crate::domain::failsafe::ConsentRequest;
use crate::domain::group::GroupAnswer;
use crate::domain::identity::KeeperProcess;
use crate::domain::node::NodeAddr;
use crate::domain::rehearsal::{Obstacle, RehearsalRequest};

/// The other keepers. An answer that never comes is the caller's to give up on.
pub trait Peers {
    /// Asks the keeper whose HTTP interface is at `rest` (`host:port`) for its consent: the process that says it has
    /// consented, which may be another one than was asked. The error says in words why there is no consent: it was
    /// refused, or the keeper was not reached.
    fn ask_consent(
        &self,
        rest: &str,
        request: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, String>>;

    /// Asks who answers at `rest`, on a new connection, as a request for consent would be made. Binds nobody.
    fn rehearse(
        &self,
        rest: &str,
        request: &RehearsalRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, Obstacle>>;

    /// The addresses that `rest` stands for now; the error says in words why there is none.
    fn resolve(&self, rest: &str) -> LocalBoxFuture<'static, Result<BTreeSet<SocketAddr>, String>>;

    /// Asks the keeper at `rest` which group it belongs to and what that looks after, and tells it the node at which it
    /// was met, so that it looks there in its turn (RK-12). As above, the caller gives up on what never comes.
    fn ask_group(
        &self,
        rest: &NodeAddr,
        met_at: Option<&NodeAddr>,
    ) -> LocalBoxFuture<'static, Result<GroupAnswer, String>>;
}

/// Why a request to a keeper failed: the last cause in the chain of its error. The ones before it only introduce that.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
