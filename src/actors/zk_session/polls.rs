//! Sends this keeper's questions and answers with its heartbeat, and tells the clusters those of the other keepers.

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;

use super::ZkSession;
use crate::actors::messages::SetPoll;
use crate::domain::confirmation::PollState;
use crate::domain::node::{ClusterName, KeeperId};

impl ZkSession {
    /// Tells the clusters for which the keeper's questions and answers differ from `before`.
    pub(super) fn share_polls(
        &mut self,
        keeper: &KeeperId,
        before: Option<&BTreeMap<ClusterName, PollState>>,
    ) {
        let nothing = BTreeMap::new();
        let before = before.unwrap_or(&nothing);
        let after = self.keepers.polls_by(keeper).unwrap_or(&nothing);
        if before == after {
            return;
        }
        let names = before.keys().chain(after.keys());
        let changed = names.filter(|name| before.get(*name) != after.get(*name));
        for name in changed.cloned().collect::<BTreeSet<ClusterName>>() {
            self.share(&name);
        }
    }
}

impl Handler<SetPoll> for ZkSession {
    type Result = ();

    fn handle(&mut self, SetPoll { cluster, told }: SetPoll, _: &mut Self::Context) {
        self.polls.set(cluster, told);
        if self.polls.news() {
            self.send_heartbeat();
        }
    }
}
