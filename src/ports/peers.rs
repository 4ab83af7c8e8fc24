//! The other keepers, reached directly: what is asked of them without ZooKeeper (RK-8).

use futures::future::LocalBoxFuture;

use crate::domain::failsafe::ConsentRequest;

/// The other keepers.
pub trait Peers {
    /// Asks the keeper whose HTTP interface is at `rest` (`host:port`) for its consent. The error says in words why there
    /// is none: it was refused, or the keeper was not reached. An answer that never comes is the caller's to give up on.
    fn ask_consent(
        &self,
        rest: &str,
        request: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<(), String>>;
}
