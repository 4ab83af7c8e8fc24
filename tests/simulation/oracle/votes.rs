//! The votes: which keeper votes which node down, and which nodes are down by a majority (RK-1).

use std::collections::BTreeMap;

use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::{ClusterName, KeeperId, NodeAddr};
use redis_keeper::domain::report::KeeperReport;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document as _;

use super::{Book, Oracle};
use crate::names::canonical;
use crate::tree::Tree;

/// How long a leader may count a vote that was taken back (RK-1), in microseconds: the leader reads the votes one by
/// one.
const VOTES_LINGER: u64 = 250_000;

impl Oracle {
    /// From `now` on every server answers on new connections. A keeper that votes a node down for silence later has
    /// taken a mute connection for a silent server.
    pub(crate) fn none_is_silent_from(&self, now: u64) {
        self.answering_from.set(Some(now));
    }

    fn judge_silence(&self, node: &NodeAddr, keeper: &str) {
        if self.answering_from.get().is_some() {
            self.world.violated(format_args!(
                "RK-1: {keeper} votes {node} down for its silence, though it answers on new connections"
            ));
        }
    }

    /// Whether a keeper that has fallen silent still has a vote against the node.
    pub(super) fn voted_down_by_silent(&self, book: &Book, node: &NodeAddr) -> bool {
        let heartbeats = self.heartbeats.borrow();
        let silent = |keeper: &String| {
            let last = heartbeats.of(&KeeperId::new(keeper));
            last.is_none_or(|last| self.world.now() > last.at + self.lease)
        };
        let mut votes = book.votes.iter();
        votes.any(|((voted, keeper), (_, stands))| *stands && voted == node && silent(keeper))
    }

    /// Counts the votes that are in ZooKeeper now.
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
        let mut unprobed: BTreeMap<NodeAddr, usize> = BTreeMap::new();
        let mut absent = 0;
        for keeper in keepers {
            let path = paths::report(name, &KeeperId::new(keeper));
            let report = tree.get(&path).map(|node| KeeperReport::decode(&node.data));
            if let Some(Ok(report)) = report {
                absent += usize::from(report.absent);
                for (node, reason) in &report.votes {
                    let node = canonical(node);
                    let before = book
                        .votes
                        .insert((node.clone(), keeper.clone()), (now, true));
                    let stood = before.is_some_and(|(last, _)| last == now);
                    if *reason == DownReason::Unanswered && !stood {
                        self.judge_silence(&node, keeper);
                    }
                }
                for node in report.unprobed.iter().map(canonical) {
                    *unprobed.entry(node).or_default() += 1;
                }
            }
        }
        let mut votes: BTreeMap<NodeAddr, usize> = BTreeMap::new();
        for ((node, keeper), (last, _)) in &book.votes {
            if now - last <= VOTES_LINGER && keepers.contains(keeper) {
                *votes.entry(node.clone()).or_default() += 1;
            }
        }
        let at_least_half = votes
            .iter()
            .filter(|(_, votes)| **votes * 2 + absent >= keepers.len());
        book.unseen = at_least_half.map(|(node, _)| node.clone()).collect();
        // A keeper that does not probe the node is no voter.
        votes.retain(|node, votes| {
            let probing = keepers.len() - absent - unprobed.get(node).copied().unwrap_or(0);
            *votes * 2 > probing
        });
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
