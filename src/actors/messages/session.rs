//! The state of the coordination session, for display.

use std::collections::BTreeMap;

use actix::Message;

use super::{FailsafeReport, KeeperAnnouncement};
use crate::domain::authority::WhoLeads;
use crate::domain::group::GroupToken;
use crate::domain::node::{Epoch, KeeperId};

/// Anyone → `ZkSession`: its state, for display.
#[derive(Debug, Message)]
#[rtype(result = "SessionReport")]
pub struct InspectSession;

/// The state of the coordination session, for display.
#[derive(Debug, Clone)]
pub struct SessionReport {
    /// What it talks to.
    pub coordination: String,
    /// `connecting`, `disconnected`, `joining`, `reading`, `current`, `refused`, `left`.
    pub state: &'static str,
    /// What is wrong with coordination, as told last; `None` once this keeper has joined.
    pub trouble: Option<String>,
    /// Session id, when there is one.
    pub session: Option<i64>,
    /// This keeper.
    pub keeper: KeeperId,
    /// Its group, once it has joined (RK-12).
    pub group: Option<GroupToken>,
    /// The leader, when known.
    pub leader: Option<KeeperId>,
    /// The same, and why nobody leads if nobody does, in words.
    pub who_leads: WhoLeads,
    /// The epoch this keeper leads with.
    pub epoch: Option<Epoch>,
    /// The last generation read.
    pub generation: u64,
    /// Keepers online, as they announced themselves.
    pub keepers: Vec<KeeperAnnouncement>,
    /// Its part in failsafe; `None` if that is switched off.
    pub failsafe: Option<FailsafeReport>,
    /// Where the files of keepers online differ: what each of them lacks.
    pub differences: BTreeMap<String, Vec<String>>,
    /// Where the files of keepers online have other settings than this keeper's: of each of them, which.
    pub settings: BTreeMap<String, Vec<String>>,
    /// Where one server is in two clusters, as each keeper online has them in its file.
    pub overlaps: BTreeMap<String, Vec<String>>,
}

impl SessionReport {
    /// The state in which everything is read and kept up to date.
    pub const CURRENT: &str = "current";

    /// How many keepers online have files that lack something, or have other settings than this keeper's.
    pub fn odd_files(&self) -> usize {
        let settings = self.settings.keys();
        let others = settings.filter(|keeper| !self.differences.contains_key(*keeper));
        self.differences.len() + others.count()
    }
}
