//! Who votes which node down, and which nodes a majority therefore holds for down (RK-1).

use std::collections::BTreeMap;

use redis_keeper::domain::node::{ClusterName, KeeperId, NodeAddr};
use redis_keeper::domain::verdict::Report;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document as _;

use super::{Book, Oracle};
use crate::tree::Tree;

/// How long a leader may take a vote for standing that was taken back (RK-1), in microseconds: it reads one vote after
/// the other.
const VOTES_LINGER: u64 = 250_000;

impl Oracle {
    /// Notes the votes as they stand in ZooKeeper now.
    pub(super) fn count_votes(
        &self,
        tree: &Tree,
        keepers: &[String],
        name: &ClusterName,
        book: &mut Book,
    ) {
        let now = self.world.now();
        for node in &book.down {
            book.last_down.insert(node.clone(), now);
        }
        for (last, stands) in book.votes.values_mut().filter(|(_, stands)| *stands) {
            (*last, *stands) = (now, false);
        }
        for keeper in keepers {
            let path = paths::report(name, &KeeperId::new(keeper));
            let report = tree.get(&path).map(|node| Report::decode(&node.data));
            if let Some(Ok(report)) = report {
                for node in report.votes.into_keys() {
                    book.votes.insert((node, keeper.clone()), (now, true));
                }
            }
        }
        let mut votes: BTreeMap<NodeAddr, usize> = BTreeMap::new();
        for ((node, keeper), (last, _)) in &book.votes {
            if now - last <= VOTES_LINGER && keepers.contains(keeper) {
                *votes.entry(node.clone()).or_default() += 1;
            }
        }
        votes.retain(|_, votes| *votes * 2 > keepers.len());
        let primary = book.published.as_ref().and_then(|it| it.primary.as_ref());
        if primary.is_some_and(|it| votes.contains_key(it) && !book.down.contains(it)) {
            book.falls.push(now);
        }
        book.down = votes.into_keys().collect();
        for node in &book.down {
            book.last_down.insert(node.clone(), now);
        }
    }
}
