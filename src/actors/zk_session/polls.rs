//! Sends this keeper's questions and answers with its heartbeat, and tells the clusters those of the other keepers.

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;

use super::ZkSession;
use crate::actors::messages::SetPoll;
use crate::domain::confirmation::PollState;
use crate::domain::node::{ClusterName, KeeperId};

impl ZkSession {
    /// The questions and answers about one cluster, of each keeper online whose build has them.
    pub(super) fn polls_of(&self, cluster: &ClusterName) -> BTreeMap<KeeperId, PollState> {
        let announcements = self.keepers.announcements();
        announcements
            .filter_map(|(keeper, record)| {
                let polls = record?.polls.as_ref()?;
                Some((
                    keeper.clone(),
                    polls.get(cluster).cloned().unwrap_or_default(),
                ))
            })
            .collect()
    }

    /// All questions and answers of a keeper, if it is online and its build has them.
    pub(super) fn poll_states_of(
        &self,
        keeper: &KeeperId,
    ) -> Option<&BTreeMap<ClusterName, PollState>> {
        self.keepers.announcement(keeper)?.polls.as_ref()
    }

    /// Tells the clusters for which the keeper's questions and answers differ from `before`.
    pub(super) fn share_polls(
        &mut self,
        keeper: &KeeperId,
        before: Option<&BTreeMap<ClusterName, PollState>>,
    ) {
        let nothing = BTreeMap::new();
        let before = before.unwrap_or(&nothing);
        let after = self.poll_states_of(keeper).unwrap_or(&nothing);
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
