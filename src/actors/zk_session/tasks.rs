//! Guards for commands that the leader's own writes do not guard (RK-4). These are tasks, and connections whose name
//! has a newer epoch.

use actix::prelude::*;
use futures::future::ready;

use super::ZkSession;
use super::guarded_write::{GuardError, check, newest_epoch};
use crate::actors::messages::{GuardTask, ReadEpoch, WriteError};
use crate::domain::node::Epoch;

impl Handler<GuardTask> for ZkSession {
    type Result = ResponseActFuture<Self, Result<(), WriteError>>;

    fn handle(&mut self, guard: GuardTask, _: &mut Self::Context) -> Self::Result {
        let Some(session) = self.online() else {
            return Box::pin(ready(Err(offline())).into_actor(self));
        };
        let checked = check(session, guard.latch, guard.cluster, Some(guard.version));
        Box::pin(
            checked
                .into_actor(self)
                .map(|outcome, _, _| outcome.map_err(refused)),
        )
    }
}

impl Handler<ReadEpoch> for ZkSession {
    type Result = ResponseActFuture<Self, Result<Epoch, WriteError>>;

    fn handle(&mut self, ReadEpoch { latch }: ReadEpoch, _: &mut Self::Context) -> Self::Result {
        let Some(session) = self.online() else {
            return Box::pin(ready(Err(offline())).into_actor(self));
        };
        let read = newest_epoch(session, latch);
        Box::pin(
            read.into_actor(self)
                .map(|outcome, _, _| outcome.map_err(refused)),
        )
    }
}

fn offline() -> WriteError {
    WriteError::NotDone("no connection to coordination".into())
}

fn refused(failure: GuardError) -> WriteError {
    match failure {
        GuardError::Deposed => WriteError::NotDone("stale: whoever commands leads no more".into()),
        GuardError::Write(error) => error,
    }
}
