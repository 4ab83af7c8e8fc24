//! A keeper's copy of what ZooKeeper has about one cluster: the published state, and the reports of all keepers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::report_slot::ReportSlot;
use super::stored::Stored;
use crate::domain::lease::Unacknowledged;
use crate::domain::node::{ClusterName, Generation, KeeperId, Moment};
use crate::domain::published::Published;
use crate::domain::report::KeeperReport;

/// One cluster that is followed.
#[derive(Debug)]
pub struct ClusterCopy {
    /// Tells this subscription apart from an earlier one of the same cluster.
    pub serial: u64,
    /// The node of this keeper's own report.
    pub own: ReportSlot,
    /// Reports of all keepers.
    pub reports: BTreeMap<KeeperId, KeeperReport>,
    /// The keepers to wait for, as last shared.
    pub unacknowledged: Unacknowledged,
    /// Since when no keeper online has the cluster in its file.
    given_up: Option<Moment>,
    state: State,
    /// Whether the cluster was read completely once: then it can be shared.
    known: bool,
    state_read: StateRead,
    listed: bool,
    /// The keepers whose reports are followed, and whether each report was read.
    followed: BTreeMap<KeeperId, bool>,
}

#[derive(Debug, Default)]
struct State {
    published: Option<Published>,
    version: Option<i32>,
    created: i64,
    /// Why the node cannot be read, if so. Then no primary is published, and no write may replace the node.
    unreadable: Option<String>,
}

/// Whether the state was read on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StateRead {
    Never,
    Done,
    /// The state has to be read once more.
    Doubted,
}

/// The result of applying a state that was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    /// The state has changed.
    Changed,
    /// The state was known already.
    Same,
    /// The state is older than the known one, for this reason: it is dropped.
    Older(String),
    /// The state is older than one from an earlier connection, for this reason: `ZooKeeper` has lost data.
    SetBack(String),
}

/// The consequence of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    Nothing,
    /// The shared state.
    Shared,
    /// The shared state, and the cluster's claims or the clusters for which it is held.
    Claims,
}

impl News {
    fn between(before: Option<&KeeperReport>, after: Option<&KeeperReport>) -> Self {
        let nothing = KeeperReport::default();
        let [old, new] = [before, after].map(|report| report.unwrap_or(&nothing));
        let same_file = (old.absent, &old.unprobed, &old.unpublished, &old.overlaps)
            == (new.absent, &new.unprobed, &new.unpublished, &new.overlaps);
        if before == after {
            Self::Nothing
        } else if same_file {
            Self::Shared
        } else {
            Self::Claims
        }
    }
}

impl ClusterCopy {
    /// The copy for the subscription with this number; nothing was read yet.
    pub fn new(serial: u64) -> Self {
        Self {
            serial,
            own: ReportSlot::default(),
            reports: BTreeMap::new(),
            unacknowledged: Unacknowledged::default(),
            given_up: None,
            state: State::default(),
            known: false,
            state_read: StateRead::Never,
            listed: false,
            followed: BTreeMap::new(),
        }
    }

    /// Forgets what was read: everything must be read again.
    pub fn forget(&mut self) {
        self.state_read = StateRead::Never;
        self.listed = false;
        self.followed.clear();
    }

    /// Forbids further writes until the state was read again, since the outcome of a write is unknown.
    pub fn doubt_state(&mut self) {
        if self.state_read == StateRead::Done {
            self.state_read = StateRead::Doubted;
        }
    }

    /// The published state, as far as it was applied and can be read.
    pub fn published(&self) -> Option<&Published> {
        self.state.published.as_ref()
    }

    /// Whether a keeper of those `online` has the cluster in its file, or had it within `span`. The method sees only
    /// the moments at which it is called.
    pub fn was_had(&mut self, online: &BTreeSet<KeeperId>, now: Moment, span: Duration) -> bool {
        let has = |keeper| {
            let report = self.reports.get(keeper);
            report.is_none_or(|report| !report.absent)
        };
        self.given_up = match self.given_up {
            _ if online.iter().any(has) => None,
            given_up => given_up.or(Some(now)),
        };
        self.given_up.is_none_or(|since| now.since(since) < span)
    }

    /// The clusters that keepers `online` hold because of this one, each with these keepers.
    pub fn held(&self, online: &BTreeSet<KeeperId>) -> BTreeMap<ClusterName, BTreeSet<KeeperId>> {
        let mut held: BTreeMap<ClusterName, BTreeSet<KeeperId>> = BTreeMap::new();
        for keeper in online {
            let report = self.reports.get(keeper);
            for other in report.into_iter().flat_map(|it| it.overlaps.keys()) {
                held.entry(other.clone())
                    .or_default()
                    .insert(keeper.clone());
            }
        }
        held
    }

    /// The version of the node with the published state; `None` while there is no such node.
    pub fn version(&self) -> Option<i32> {
        self.state.version
    }

    /// The applied generation. Until the state was read, it is lower than any raised one.
    pub fn generation(&self) -> Generation {
        if self.state_read != StateRead::Done {
            return Generation(0);
        }
        if self.state.unreadable.is_some() {
            // No answer comes from an older state: that is as good as having applied the unreadable one.
            return Generation(u64::MAX);
        }
        self.published_generation()
    }

    fn published_generation(&self) -> Generation {
        self.published()
            .map_or(Generation(0), |published| published.generation)
    }

    /// Whether everything was read on this connection.
    pub fn complete(&self) -> bool {
        self.state_read == StateRead::Done
            && self.listed
            && self.followed.values().all(|read| *read)
    }

    /// Whether the cluster may be shared: it was complete once, on this connection or an earlier one.
    pub fn known(&self) -> bool {
        self.known
    }

    /// Notes that a part was read. Answers whether that made the cluster known.
    pub fn becomes_known(&mut self) -> bool {
        let known = self.known || self.complete();
        known != std::mem::replace(&mut self.known, known)
    }

    /// Why the state may not be written now, if so.
    pub fn unwritable(&self) -> Option<String> {
        match &self.state.unreadable {
            Some(reason) => Some(format!("the published state {reason}")),
            None if self.state_read != StateRead::Done => {
                Some("the published state is being read again".into())
            }
            None => None,
        }
    }

    /// Takes in a state that was read: `None` if there is no node, and an empty node publishes nothing. A lower
    /// generation is never applied (RK-3).
    ///
    /// A read may arrive late, after a write of this keeper. The first read on a connection cannot:
    /// - it was sent after everything that this keeper knows;
    /// - `ZooKeeper` lets no session see less than it saw before, and a new session begins with a write.
    pub fn apply(&mut self, node: Option<Stored<Option<Published>>>) -> Applied {
        let first = self.state_read == StateRead::Never;
        self.state_read = StateRead::Done;
        let Some(Stored { stamp, content }) = node else {
            // The published state stays: generations never restart. Without a node the state can be written anew.
            let vanished = self.state.version.take().is_some();
            return if vanished {
                Applied::Changed
            } else {
                Applied::Same
            };
        };
        let (published, unreadable) = match content {
            Ok(published) => (published, None),
            Err(reason) => (None, Some(reason)),
        };
        let state = State {
            published,
            version: Some(stamp.version),
            created: stamp.created,
            unreadable,
        };
        if state.unreadable.is_none() {
            let place = |state: &State| (state.created, state.version);
            let read = state
                .published
                .as_ref()
                .map_or(Generation(0), |published| published.generation);
            let known = self.published_generation();
            let (read_at, known_at) = (place(&state), place(&self.state));
            let older = if read < known {
                Some(format!("generation {read} after {known}"))
            } else if read_at < known_at {
                let version = self.state.version.unwrap_or_default();
                Some(format!("version {} after {version}", stamp.version))
            } else {
                None
            };
            if let Some(older) = older {
                if read_at > known_at {
                    // Another program wrote an older state: the known state can be written over it.
                    self.state.version = state.version;
                    self.state.created = state.created;
                } else if first {
                    self.state_read = StateRead::Never;
                    return Applied::SetBack(older);
                }
                return Applied::Older(older);
            }
        }
        let same = self.state.published == state.published
            && self.state.version == state.version
            && self.state.unreadable == state.unreadable;
        self.state = state;
        if same {
            Applied::Same
        } else {
            Applied::Changed
        }
    }

    /// Takes in a state that this keeper has written.
    pub fn wrote(&mut self, published: Published, version: i32) {
        let newer = published.generation >= self.published_generation()
            && self.state.version.is_none_or(|known| version > known);
        if newer {
            self.state.published = Some(published);
            self.state.version = Some(version);
        }
    }

    /// Takes in the keepers that have a report. Returns the keepers to be followed from now on.
    pub fn list(&mut self, keepers: BTreeSet<KeeperId>, me: &KeeperId) -> Vec<KeeperId> {
        self.listed = true;
        self.own.listed(keepers.contains(me));
        self.reports.retain(|keeper, _| keepers.contains(keeper));
        let mut fresh = Vec::new();
        for keeper in keepers {
            if !self.followed.contains_key(&keeper) {
                self.followed.insert(keeper.clone(), false);
                fresh.push(keeper);
            }
        }
        fresh
    }

    /// Takes in one keeper's report; `None` if it is gone. Returns what that changes. A report that exists is followed
    /// further, and one that cannot be read counts as none.
    pub fn report(&mut self, keeper: &KeeperId, node: Option<Stored<KeeperReport>>) -> News {
        match node {
            Some(_) => drop(self.followed.insert(keeper.clone(), true)),
            None => drop(self.followed.remove(keeper)),
        }
        let before = match node.and_then(|node| node.content.ok()) {
            Some(report) => self.reports.insert(keeper.clone(), report),
            None => self.reports.remove(keeper),
        };
        News::between(before.as_ref(), self.reports.get(keeper))
    }
}

#[cfg(test)]
mod tests;
