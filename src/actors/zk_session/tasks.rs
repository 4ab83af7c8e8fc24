//! What guards the tasks that this keeper carries out for the leader (RK-4).

use actix::prelude::*;
use futures::future::ready;

use super::ZkSession;
use super::writing::{Failure, check};
use crate::actors::messages::{GuardTask, WriteError};

impl Handler<GuardTask> for ZkSession {
    type Result = ResponseActFuture<Self, Result<(), WriteError>>;

    fn handle(&mut self, guard: GuardTask, _: &mut Self::Context) -> Self::Result {
        let Some(session) = self.online() else {
            let offline = WriteError::NotDone("no connection to coordination".into());
            return Box::pin(ready(Err(offline)).into_actor(self));
        };
        let checked = check(session, guard.latch, guard.cluster, Some(guard.version));
        Box::pin(checked.into_actor(self).map(|outcome, _, _| {
            outcome.map_err(|failure| match failure {
                Failure::Deposed => {
                    WriteError::NotDone("stale: whoever gave the task leads no more".into())
                }
                Failure::Write(error) => error,
            })
        }))
    }
}
