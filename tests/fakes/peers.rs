//! Other keepers that cannot be reached.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::domain::group::GroupAnswer;
use redis_keeper::domain::identity::KeeperProcess;
use redis_keeper::domain::node::NodeAddr;
use redis_keeper::domain::rehearsal::{RehearsalObstacle, RehearsalRequest};
use redis_keeper::ports::peers::Peers;

pub(crate) struct OutOfReach;

impl Peers for OutOfReach {
    fn ask_consent(
        &self,
        rest: &str,
        _: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, String>> {
        ready(Err(format!("{rest} is out of reach"))).boxed_local()
    }

    fn rehearse(
        &self,
        rest: &str,
        _: &RehearsalRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, RehearsalObstacle>> {
        let obstacle = RehearsalObstacle::Unreachable(format!("{rest} is out of reach"));
        ready(Err(obstacle)).boxed_local()
    }

    fn resolve(&self, rest: &str) -> LocalBoxFuture<'static, Result<BTreeSet<SocketAddr>, String>> {
        let parsed = rest.parse().map(|address| BTreeSet::from([address]));
        ready(parsed.map_err(|_| format!("{rest} is no address"))).boxed_local()
    }

    fn ask_group(
        &self,
        rest: &NodeAddr,
        _: Option<&NodeAddr>,
    ) -> LocalBoxFuture<'static, Result<GroupAnswer, String>> {
        ready(Err(format!("{rest} is out of reach"))).boxed_local()
    }
}
