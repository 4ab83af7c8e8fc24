//! The leader and its epoch, as the keepers say, and the deeds of each epoch, as their logs say.

use super::keeper::{Keeper, Keepers};
use super::wait::{SOON, eventually};

/// The log line with which a leadership begins.
pub const BEGUN: &str = "leading";
/// The log line with which a leader begins to publish a primary.
pub const PUBLISHING: &str = "publishing the primary";
/// Log lines of a leader's deeds. `tests/chaos/words.rs` compares them with the words of the keepers.
const DEEDS: [&str; 6] = [
    "withdrawing the primary",
    "candidate chosen",
    "promoted",
    PUBLISHING,
    "made to follow the primary",
    BEGUN,
];

/// A log line that names an epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deed {
    /// The logged time; later times sort later.
    pub at: String,
    /// The epoch of the deed.
    pub epoch: u64,
    /// The deed, in the log's words.
    pub what: &'static str,
    /// The whole line.
    pub line: String,
}

// === impl Keeper ===

impl Keeper {
    /// The epoch with which the keeper leads, if it says that it leads.
    pub async fn leads_with(&self) -> Option<u64> {
        let answer = self.get("/admin/keepers").await.ok()?;
        answer.body["leading-with-epoch"].as_u64()
    }

    /// The keeper's deeds as the leader, in order.
    pub fn deeds(&self) -> Vec<Deed> {
        let log = self.process().log();
        let deed = |line: &str| {
            let (at, rest) = line.split_once(' ')?;
            let (_level, rest) = rest.trim_start().split_once(' ')?;
            let told = rest.rsplit_once("}: ").map_or(rest, |(_spans, told)| told);
            let what = DEEDS
                .into_iter()
                .find(|deed| told.starts_with(&format!("{deed} epoch=")))?;
            let epoch = told.split_once("epoch=")?.1.split(' ').next()?;
            Some(Deed {
                at: at.to_owned(),
                epoch: epoch.parse().ok()?,
                what,
                line: line.to_owned(),
            })
        };
        log.lines().filter_map(deed).collect()
    }
}

// === impl Keepers ===

impl Keepers {
    /// Waits until a running keeper leads. Returns its index.
    pub async fn wait_leader(&self) -> usize {
        self.wait_leader_other_than(None).await
    }

    /// Waits until a keeper other than `not` leads. The keeper `not` may still believe that it leads.
    pub async fn wait_leader_other_than(&self, not: Option<usize>) -> usize {
        eventually(SOON, "a leader", async || {
            for (place, keeper) in self.iter().enumerate() {
                if Some(place) != not && keeper.leads_with().await.is_some() {
                    return Ok(place);
                }
            }
            Err("none leads")
        })
        .await
    }

    /// The deeds of all keepers as leaders, in order of time.
    pub fn deeds(&self) -> Vec<Deed> {
        let mut deeds: Vec<_> = self.iter().flat_map(Keeper::deeds).collect();
        deeds.sort();
        deeds
    }
}
