//! Who leads, as the keepers say, and what was done under which epoch, as their logs say.

use super::keeper::{Keeper, Keepers};
use super::wait::{SOON, eventually};

/// The line that a leadership begins with.
pub(crate) const BEGUN: &str = "leading";
/// Lines that tell of something done as the leader.
const DEEDS: [&str; 6] = [
    "withdrawing the primary",
    "candidate chosen",
    "promoted",
    "publishing the primary",
    "made to follow the primary",
    BEGUN,
];

/// One line of a log that names an epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deed {
    /// When, as it was logged: later ones sort later.
    pub(crate) at: String,
    /// The epoch it was done under.
    pub(crate) epoch: u64,
    /// What, in the log's words.
    pub(crate) what: &'static str,
    /// The whole line.
    pub(crate) line: String,
}

// === impl Keeper ===

impl Keeper {
    /// The epoch it leads with, if it says that it leads.
    pub(crate) async fn leads_with(&self) -> Option<u64> {
        let answer = self.get("/admin/keepers").await.ok()?;
        answer.body["leading-with-epoch"].as_u64()
    }

    /// What it did as the leader, in its order.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
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
    /// Waits until one of those that run leads; its place among them.
    pub(crate) async fn wait_leader(&self) -> usize {
        self.wait_leader_other_than(None).await
    }

    /// The same, passing over one that may still believe it leads.
    pub(crate) async fn wait_leader_other_than(&self, not: Option<usize>) -> usize {
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

    /// What all of them did as leaders, in the order of time.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        let mut deeds: Vec<_> = self.iter().flat_map(Keeper::deeds).collect();
        deeds.sort();
        deeds
    }
}
