//! Connections for commands.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use redis_keeper::domain::facts::{MinReplicas, Role};
use redis_keeper::domain::node::{Epoch, NodeAddr};
use redis_keeper::ports::redis::{CommandConnection, CommandError, Fence, Remember};

use super::{Deed, FakeServer, replica_of};

/// A command connection of the leader of an epoch.
pub(super) struct Commands {
    pub(super) server: Rc<FakeServer>,
    pub(super) run_id: String,
    pub(super) epoch: Epoch,
    pub(super) broken: bool,
}

impl Commands {
    fn run(&self, text: String, role: Role) -> Result<Vec<String>, CommandError> {
        self.server.note(Deed::Command(self.epoch, text));
        if let Some(error) = self.server.command_error.take() {
            return Err(error);
        }
        self.server.tells(|info| info.role = Some(role));
        self.server.cut();
        Ok(Vec::new())
    }
}

#[async_trait(?Send)]
impl CommandConnection for Commands {
    fn run_id(&self) -> &str {
        &self.run_id
    }

    async fn fence(&mut self, newest: Option<Epoch>) -> Result<Fence, CommandError> {
        let named = self.server.named.get();
        match named.filter(|named| *named > self.epoch) {
            Some(newer) if newest.is_none_or(|newest| newer <= newest) => Ok(Fence::Newer(newer)),
            _ => {
                self.server.named.set(None);
                Ok(Fence::Closed)
            }
        }
    }

    async fn promote(&mut self, _: Remember) -> Result<Vec<String>, CommandError> {
        assert!(!self.server.fatal.take(), "promoting this node is fatal");
        let notes = self.run("promote".to_owned(), Role::Primary { online_replicas: 0 })?;
        self.server.tells(|info| {
            let old = info.replication_id.take();
            info.replication_id = old.as_ref().map(|old| format!("{}-{old}", self.epoch));
            info.previous_replication_id = old;
        });
        Ok(notes)
    }

    async fn follow(
        &mut self,
        primary: &NodeAddr,
        _: Remember,
    ) -> Result<Vec<String>, CommandError> {
        self.run(format!("follow {primary}"), replica_of(primary))
    }

    async fn rewrite(&mut self) -> Vec<String> {
        self.server
            .note(Deed::Command(self.epoch, "rewrite".to_owned()));
        Vec::new()
    }

    async fn pause_writes(&mut self, _: Duration) -> Result<u64, CommandError> {
        self.server
            .note(Deed::Command(self.epoch, "pause".to_owned()));
        self.broken = self.server.breaks.take();
        if self.broken {
            return Err(CommandError::Unknown("connection reset".to_owned()));
        }
        self.offset().await
    }

    async fn unpause(&mut self) -> Result<(), CommandError> {
        if self.broken {
            return Err(CommandError::NotDone("connection reset".to_owned()));
        }
        self.server
            .note(Deed::Command(self.epoch, "unpause".to_owned()));
        Ok(())
    }

    async fn offset(&mut self) -> Result<u64, CommandError> {
        Ok(self.server.info.borrow().offset.unwrap_or_default())
    }

    async fn set_min_replicas(&mut self, values: MinReplicas) -> Result<Vec<String>, CommandError> {
        let text = format!("demand {} replicas", values.to_write);
        self.server.note(Deed::Command(self.epoch, text));
        if let Some(error) = self.server.command_error.take() {
            return Err(error);
        }
        self.server.min_replicas.set(values);
        Ok(Vec::new())
    }
}
