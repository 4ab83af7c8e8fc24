//! The keepers' questions about published primaries, and their answers (RK-2, RK-11). Both travel with the
//! heartbeats, for all clusters at once. So a thousand primaries that fall silent do not cause a thousand writes.

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;

use super::ZkSession;
use crate::actors::messages::SetPoll;
use crate::domain::confirmation::PollState;
use crate::domain::node::{ClusterName, KeeperId};

/// How many clusters a heartbeat carries at most, so that it stays far below ZooKeeper's limit for a node. The other
/// clusters follow as these end.
const AT_ONCE: usize = 2_000;

/// This keeper's questions and answers.
#[derive(Debug, Default)]
pub(super) struct Polls {
    told: BTreeMap<ClusterName, PollState>,
    /// Whether no heartbeat has carried the newest ones yet.
    news: bool,
}

impl Polls {
    fn set(&mut self, SetPoll { cluster, told }: SetPoll) {
        self.news |= if told.is_empty() {
            self.told.remove(&cluster).is_some()
        } else {
            self.told.insert(cluster, told.clone()) != Some(told)
        };
    }

    /// Forgets a cluster that is not managed any more.
    pub(super) fn forget(&mut self, cluster: &ClusterName) {
        self.news |= self.told.remove(cluster).is_some();
    }

    /// Whether no heartbeat has carried the newest questions and answers yet.
    pub(super) fn news(&self) -> bool {
        self.news
    }

    /// The questions and answers for the heartbeat that is sent now.
    pub(super) fn sent(&mut self) -> BTreeMap<ClusterName, PollState> {
        self.news = false;
        let told = self.told.iter().take(AT_ONCE);
        told.map(|(cluster, told)| (cluster.clone(), told.clone()))
            .collect()
    }
}

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
        let mut announcements = self.keepers.announcements();
        let (_, record) = announcements.find(|(id, _)| *id == keeper)?;
        record?.polls.as_ref()
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

    fn handle(&mut self, set: SetPoll, _: &mut Self::Context) {
        self.polls.set(set);
        if self.polls.news() {
            self.send_heartbeat();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cluster: &str, asks: Option<u64>) -> SetPoll {
        SetPoll {
            cluster: ClusterName::new(cluster),
            told: PollState {
                asks,
                ..PollState::default()
            },
        }
    }

    #[test]
    fn what_is_set_is_told_once_and_again_only_if_it_changes() {
        let mut polls = Polls::default();
        polls.set(set("a", None));
        assert!(!polls.news(), "nothing to tell");
        polls.set(set("a", Some(1)));
        polls.set(set("b", Some(1)));
        assert!(polls.news());
        assert_eq!(polls.sent().len(), 2);
        polls.set(set("a", Some(1)));
        assert!(!polls.news());
        polls.set(set("a", None));
        assert!(polls.news());
        assert_eq!(polls.sent().len(), 1);
    }

    #[test]
    fn a_heartbeat_tells_of_so_many_clusters_at_most_and_of_the_others_later() {
        let mut polls = Polls::default();
        for number in 0..=AT_ONCE {
            polls.set(set(&format!("{number:05}"), Some(1)));
        }
        let first = polls.sent();
        assert_eq!(first.len(), AT_ONCE);
        polls.set(set("00000", None));
        let last = ClusterName::new(format!("{AT_ONCE:05}"));
        assert!(!first.contains_key(&last) && polls.sent().contains_key(&last));
    }
}
