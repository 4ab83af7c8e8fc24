//! The state of the ZooKeeper session, for display.

use std::collections::BTreeMap;

use actix::Message;

use super::{FailsafeReport, KeeperAnnouncement};
use crate::domain::authority::WhoLeads;
use crate::domain::group::GroupToken;
use crate::domain::node::{Epoch, KeeperId};

/// Anyone → `ZkSession`: your state, for display.
#[derive(Debug, Message)]
#[rtype(result = "SessionReport")]
pub struct InspectSession;

/// The state of the ZooKeeper session, for display.
#[derive(Debug, Clone)]
pub struct SessionReport {
    /// The ZooKeeper servers and the prefix, as configured.
    pub coordination: String,
    /// `connecting`, `disconnected`, `joining`, `reading`, `current`, `refused`, `left`.
    pub state: &'static str,
    /// The last trouble with ZooKeeper, as it was logged; `None` once this keeper has joined.
    pub trouble: Option<String>,
    /// Session id, when there is one.
    pub session: Option<i64>,
    /// The id of this keeper.
    pub keeper: KeeperId,
    /// The group of this keeper, once it has joined (RK-12).
    pub group: Option<GroupToken>,
    /// The leader, when known.
    pub leader: Option<KeeperId>,
    /// The leader; or, in words, why no keeper leads.
    pub who_leads: WhoLeads,
    /// The epoch this keeper leads with.
    pub epoch: Option<Epoch>,
    /// The last generation that was read.
    pub generation: u64,
    /// Keepers online, as they announced themselves.
    pub keepers: Vec<KeeperAnnouncement>,
    /// The state of failsafe mode; `None` if that is switched off.
    pub failsafe: Option<FailsafeReport>,
    /// The nodes that the file of each keeper online lacks.
    pub differences: BTreeMap<String, Vec<String>>,
    /// The settings in which each keeper online differs from this keeper.
    pub settings: BTreeMap<String, Vec<String>>,
    /// For each keeper online, in words: nodes of its clusters that are published in another cluster, too.
    pub overlaps: BTreeMap<String, Vec<String>>,
}

impl SessionReport {
    /// The state in which everything is read and kept up to date.
    pub const CURRENT: &str = "current";

    /// The number of keepers online whose files lack something, or have other settings than this keeper's file.
    pub fn differing_files(&self) -> usize {
        let settings = self.settings.keys();
        let others = settings.filter(|keeper| !self.differences.contains_key(*keeper));
        self.differences.len() + others.count()
    }
}
