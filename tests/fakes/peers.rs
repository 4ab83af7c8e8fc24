//! Other keepers that nobody reaches.

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::ports::peers::Peers;

pub(crate) struct OutOfReach;

impl Peers for OutOfReach {
    fn ask_consent(
        &self,
        rest: &str,
        _: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        ready(Err(format!("{rest} is out of reach"))).boxed_local()
    }
}
