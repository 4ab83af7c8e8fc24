//! The keepers' questions about published primaries, and their answers (RK-2, RK-11). Both travel with the
//! heartbeats, for all clusters at once. So a thousand primaries that fall silent do not cause a thousand writes.

use std::collections::BTreeMap;

use crate::domain::confirmation::PollState;
use crate::domain::node::ClusterName;

/// How many clusters a heartbeat carries at most, so that it stays far below ZooKeeper's limit for a node. The other
/// clusters follow as these end.
const AT_ONCE: usize = 2_000;

/// This keeper's questions and answers.
#[derive(Debug, Default)]
pub struct Polls {
    told: BTreeMap<ClusterName, PollState>,
    /// Whether no heartbeat has carried the newest ones yet.
    news: bool,
}

impl Polls {
    /// Sets this keeper's question and answers about a cluster; empty ones are not told.
    pub fn set(&mut self, cluster: ClusterName, told: PollState) {
        self.news |= if told.is_empty() {
            self.told.remove(&cluster).is_some()
        } else {
            self.told.insert(cluster, told.clone()) != Some(told)
        };
    }

    /// Forgets a cluster that is not managed any more.
    pub fn forget(&mut self, cluster: &ClusterName) {
        self.news |= self.told.remove(cluster).is_some();
    }

    /// Whether no heartbeat has carried the newest questions and answers yet.
    pub fn news(&self) -> bool {
        self.news
    }

    /// The questions and answers for the heartbeat that is sent now.
    pub fn sent(&mut self) -> BTreeMap<ClusterName, PollState> {
        self.news = false;
        let told = self.told.iter().take(AT_ONCE);
        told.map(|(cluster, told)| (cluster.clone(), told.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(polls: &mut Polls, cluster: &str, asks: Option<u64>) {
        let told = PollState {
            asks,
            ..PollState::default()
        };
        polls.set(ClusterName::new(cluster), told);
    }

    #[test]
    fn what_is_set_is_told_once_and_again_only_if_it_changes() {
        let mut polls = Polls::default();
        set(&mut polls, "a", None);
        assert!(!polls.news(), "nothing to tell");
        set(&mut polls, "a", Some(1));
        set(&mut polls, "b", Some(1));
        assert!(polls.news());
        assert_eq!(polls.sent().len(), 2);
        set(&mut polls, "a", Some(1));
        assert!(!polls.news());
        set(&mut polls, "a", None);
        assert!(polls.news());
        assert_eq!(polls.sent().len(), 1);
    }

    #[test]
    fn a_heartbeat_tells_of_so_many_clusters_at_most_and_of_the_others_later() {
        let mut polls = Polls::default();
        for number in 0..=AT_ONCE {
            set(&mut polls, &format!("{number:05}"), Some(1));
        }
        let first = polls.sent();
        assert_eq!(first.len(), AT_ONCE);
        set(&mut polls, "00000", None);
        let last = ClusterName::new(format!("{AT_ONCE:05}"));
        assert!(!first.contains_key(&last) && polls.sent().contains_key(&last));
    }
}
