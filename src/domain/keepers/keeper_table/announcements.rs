//! The announcements of the keepers online.

use std::collections::BTreeMap;

use super::KeeperTable;
use crate::domain::confirmation::PollState;
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::node::{ClusterName, KeeperId};

impl KeeperTable {
    /// The announcements of the keepers online; `None` where one could not be read.
    pub fn announcements(&self) -> impl Iterator<Item = (&KeeperId, Option<&KeeperRecord>)> {
        self.online
            .iter()
            .map(|(keeper, online)| (keeper, online.record.as_ref()))
    }

    /// The announcement of a keeper that is online, if it could be read.
    pub fn announcement(&self, keeper: &KeeperId) -> Option<&KeeperRecord> {
        self.online.get(keeper)?.record.as_ref()
    }

    /// The questions and answers about one cluster, of each keeper online whose build has them.
    pub fn polls_of(&self, cluster: &ClusterName) -> BTreeMap<KeeperId, PollState> {
        let polls = self.announcements().filter_map(|(keeper, record)| {
            let polls = record?.polls.as_ref()?.get(cluster);
            Some((keeper.clone(), polls.cloned().unwrap_or_default()))
        });
        polls.collect()
    }

    /// All questions and answers of a keeper, if it is online and its build has them.
    pub fn polls_by(&self, keeper: &KeeperId) -> Option<&BTreeMap<ClusterName, PollState>> {
        self.announcement(keeper)?.polls.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::keepers::stored::{Stamp, Stored};
    use crate::domain::node::{Generation, Moment};

    #[expect(clippy::unnecessary_wraps, reason = "a read gives an option")]
    fn announced(polls: Option<BTreeMap<ClusterName, PollState>>) -> Option<Stored<KeeperRecord>> {
        let record = KeeperRecord {
            rest: "there:1".to_owned(),
            version: String::new(),
            process: String::new(),
            lease: Duration::from_millis(800),
            failsafe: None,
            acknowledged: Generation::default(),
            polls,
        };
        Some(Stored {
            stamp: Stamp::default(),
            content: Ok(record),
        })
    }

    #[test]
    fn each_keeper_whose_build_has_polls_tells_its_polls_about_every_cluster() {
        let (one, now) = (ClusterName::new("one"), Moment(Duration::ZERO));
        let asks = PollState {
            asks: Some(7),
            ..PollState::default()
        };
        let [a, b, former] = ["a", "b", "former"].map(KeeperId::new);
        let mut table = KeeperTable::new(a.clone(), Duration::from_millis(800), None);
        let polls = BTreeMap::from([(one.clone(), asks.clone())]);
        table.read(&a, announced(Some(polls.clone())), now);
        table.read(&b, announced(Some(BTreeMap::new())), now);
        table.read(&former, announced(None), now);
        let told = [(a.clone(), asks), (b, PollState::default())];
        assert_eq!(table.polls_of(&one), told.into());
        assert_eq!(table.polls_by(&a), Some(&polls));
        assert_eq!(table.polls_by(&former), None);
        let rest = table.announcement(&former).map(|record| &*record.rest);
        assert_eq!(rest, Some("there:1"));
    }
}
