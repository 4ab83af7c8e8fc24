//! The members of the failsafe group, and this keeper's own failsafe list (RK-8).
//!
//! Each keeper keeps its list in a persistent node. A leader that hears nothing of a keeper reads there whether that
//! keeper would ask the leader.
//!
//! Why that node tells enough, although a silent keeper may go on from before a withdrawal:
//! 1. The silent keeper's list was committed before the heartbeat that earned its last lease.
//! 2. That heartbeat was committed before the withdrawal.
//! 3. A leader that reads the node after the withdrawal finds that list or a later one.
//! 4. The silent keeper asks every keeper in either list.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::failsafe_member::FailsafeMember;
use super::stored::{Listing, Stored};
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::rehearsal::Advertised;

/// How long a keeper may go on at most if its registration cannot be read.
const AGES: Duration = Duration::from_hours(24 * 365);

/// All registrations, and this keeper's own lists.
#[derive(Debug)]
pub struct FailsafeGroup {
    me: KeeperProcess,
    /// ZooKeeper's count of changes, if the group was listed on this connection.
    changes: Option<i32>,
    /// All registered keepers. An entry that was read on an earlier connection only says where to ask.
    entries: BTreeMap<KeeperId, Entry>,
    /// The lists that were sent, oldest first. The oldest is the one that the last lease vouches for.
    lists: Vec<List>,
    serial: u64,
    /// The list that was read back on this connection.
    confirmed: Option<u64>,
    /// For each heartbeat that has not earned a lease yet: when it was sent, and which list was confirmed then.
    declared: VecDeque<(Moment, Option<u64>)>,
    /// The list that was confirmed when the heartbeat was sent that earned the last lease.
    vouched: Option<u64>,
}

#[derive(Debug, Default)]
struct Entry {
    registration: FailsafeMember,
    created: i64,
    version: i32,
    read: bool,
}

#[derive(Debug)]
struct List {
    serial: u64,
    ids: BTreeSet<KeeperId>,
}

/// The next write to the own registration.
#[derive(Debug, PartialEq, Eq)]
pub enum Amendment {
    /// Create the registration, without a list. A list that includes this keeper is read afterwards.
    Register(FailsafeMember),
    /// Write the registration at this version.
    Declare(FailsafeMember, i32),
    /// Delete the registration at this version.
    Withdraw(i32),
}

// === impl FailsafeGroup ===

impl FailsafeGroup {
    /// The group as the process `me` knows it before it has read anything.
    pub fn new(me: KeeperProcess) -> Self {
        Self {
            me,
            changes: None,
            entries: BTreeMap::new(),
            lists: Vec::new(),
            serial: 0,
            confirmed: None,
            declared: VecDeque::new(),
            vouched: None,
        }
    }

    /// Marks everything that was read before as old.
    pub fn new_connection(&mut self) {
        self.changes = None;
        self.confirmed = None;
        self.declared.clear();
        for entry in self.entries.values_mut() {
            entry.read = false;
        }
    }

    /// Takes in which keepers are registered. Returns those to be followed from now on.
    pub fn listed(&mut self, listing: Listing) -> Vec<KeeperId> {
        let Listing { keepers, changes } = listing;
        self.changes = Some(changes);
        self.entries.retain(|keeper, _| keepers.contains(keeper));
        if !keepers.contains(&self.me.id) {
            self.confirmed = None;
        }
        let fresh = |keeper: &KeeperId| self.entries.get(keeper).is_none_or(|entry| !entry.read);
        let fresh: Vec<KeeperId> = keepers.into_iter().filter(fresh).collect();
        for keeper in &fresh {
            self.entries.entry(keeper.clone()).or_default();
        }
        fresh
    }

    /// Takes in a registration; `None` if it is gone. Answers whether it is to be followed further.
    pub fn read(&mut self, keeper: &KeeperId, node: Option<Stored<FailsafeMember>>) -> bool {
        let Some(Stored { stamp, content }) = node else {
            self.entries.remove(keeper);
            return false;
        };
        // A keeper whose registration cannot be read may ask any keeper.
        let unknown = FailsafeMember {
            asks: Some(BTreeSet::new()),
            limit: AGES,
            ..FailsafeMember::default()
        };
        let entry = Entry {
            registration: content.unwrap_or(unknown),
            created: stamp.created,
            version: stamp.version,
            read: true,
        };
        if *keeper == self.me.id {
            // The list of another process with this id is not the list of this process.
            let mine = entry.registration.nonce.as_ref() == Some(&self.me.nonce);
            let asks = entry.registration.asks.clone().filter(|_| mine);
            self.confirmed = asks.map(|ids| self.serial_of(ids));
        }
        self.entries.insert(keeper.clone(), entry);
        true
    }

    /// Notes that a watch has fired: the registration, or the list of members, counts as read once it was read again.
    pub fn changed(&mut self, registration: Option<&KeeperId>) {
        match registration {
            None => self.changes = None,
            Some(keeper) => {
                if let Some(entry) = self.entries.get_mut(keeper) {
                    entry.read = false;
                }
            }
        }
    }

    /// The number of a list that was read. The list may have been sent before this actor was started.
    fn serial_of(&mut self, ids: BTreeSet<KeeperId>) -> u64 {
        // The first list with this content: every later one may still arrive.
        if let Some(list) = self.lists.iter().find(|list| list.ids == ids) {
            return list.serial;
        }
        self.serial += 1;
        let serial = self.serial;
        self.lists.push(List { serial, ids });
        serial
    }

    /// Whether everything was read on this connection.
    pub fn complete(&self) -> bool {
        self.changes.is_some() && self.entries.values().all(|entry| entry.read)
    }

    /// Whether a listing with this count of changes is the known one.
    pub fn is_listed_as(&self, changes: i32) -> bool {
        self.changes == Some(changes)
    }

    /// The next write that makes this keeper's registration as it should be: like `own` apart from the list, or
    /// absent.
    pub fn amendment(&self, own: Option<&FailsafeMember>) -> Option<Amendment> {
        self.changes?;
        let entry = match (self.entries.get(&self.me.id), own) {
            (None, None) => return None,
            (None, Some(own)) => return Some(Amendment::Register(own.clone())),
            (Some(entry), _) if !entry.read => return None,
            (Some(entry), None) => return Some(Amendment::Withdraw(entry.version)),
            (Some(entry), Some(_)) => entry,
        };
        let wanted = FailsafeMember {
            asks: Some(self.entries.keys().cloned().collect()),
            ..own?.clone()
        };
        let changes = entry.registration != wanted;
        changes.then_some(Amendment::Declare(wanted, entry.version))
    }

    /// Notes that a list is being sent.
    pub fn sending(&mut self, registration: &FailsafeMember) {
        if let Some(ids) = &registration.asks {
            self.serial += 1;
            let (serial, ids) = (self.serial, ids.clone());
            self.lists.push(List { serial, ids });
        }
    }

    /// Notes that a heartbeat is being sent.
    pub fn heartbeat_sent(&mut self, sent: Moment) {
        self.declared.push_back((sent, self.confirmed));
    }

    /// Notes that the heartbeat that was sent at `sent` has earned a lease.
    pub fn earned(&mut self, sent: Moment) {
        while let Some((at, confirmed)) = self.declared.front().copied()
            && at <= sent
        {
            self.declared.pop_front();
            if at == sent {
                self.vouched = confirmed;
            }
        }
        if let Some(vouched) = self.vouched {
            self.lists.retain(|list| list.serial >= vouched);
        }
    }

    /// The keepers that this keeper has to ask past its lease; `None` if it must not go on.
    pub fn to_ask(&self) -> Option<BTreeSet<KeeperId>> {
        let vouched = self.vouched?;
        let lists = self.lists.iter().filter(|list| list.serial >= vouched);
        let mut ids: BTreeSet<KeeperId> = lists.flat_map(|list| list.ids.clone()).collect();
        ids.remove(&self.me.id);
        Some(ids)
    }

    /// All members of the failsafe group that this keeper knows, itself included.
    pub fn members(&self) -> BTreeSet<KeeperId> {
        let listed = self.lists.iter().flat_map(|list| &list.ids);
        let me = std::iter::once(&self.me.id);
        self.entries
            .keys()
            .chain(listed)
            .chain(me)
            .cloned()
            .collect()
    }

    /// All registered keepers.
    pub fn registered(&self) -> impl Iterator<Item = &KeeperId> {
        self.entries.keys()
    }

    /// Whether this process is registered, as read on this connection.
    pub fn has_registered(&self) -> bool {
        let entry = self.entries.get(&self.me.id);
        entry.is_some_and(|entry| {
            entry.read && entry.registration.nonce.as_ref() == Some(&self.me.nonce)
        })
    }

    /// The registration of a keeper.
    pub fn registration(&self, keeper: &KeeperId) -> Option<&FailsafeMember> {
        Some(&self.entries.get(keeper)?.registration)
    }

    /// The address at which the keeper says that it is reached, and its nonce.
    pub fn advertised(&self, keeper: &KeeperId) -> Option<Advertised> {
        let registration = self.registration(keeper)?;
        Some(Advertised {
            rest: registration.rest.clone(),
            nonce: registration.nonce.clone(),
        })
    }

    /// The creation and version of the keeper's registration: they differ for every change of it.
    pub fn edition(&self, keeper: &KeeperId) -> Option<(i64, i32)> {
        let entry = self.entries.get(keeper)?;
        Some((entry.created, entry.version))
    }

    /// The version of the keeper's registration.
    pub fn version(&self, keeper: &KeeperId) -> Option<i32> {
        Some(self.entries.get(keeper)?.version)
    }

    /// The keepers that this keeper asks before it goes on past its lease, and how long it goes on at most; `None` if
    /// it does not go on.
    pub fn asked_by(&self, keeper: &KeeperId) -> Option<(&BTreeSet<KeeperId>, Duration)> {
        let registration = &self.entries.get(keeper)?.registration;
        let asks = registration.asks.as_ref()?;
        Some((asks, registration.limit))
    }

    /// Whether the keeper's build asks a process by its nonce. An earlier build may have taken the answer of any
    /// process for that of another one.
    pub fn asks_processes(&self, keeper: &KeeperId) -> bool {
        self.registration(keeper)
            .is_some_and(|registration| registration.nonce.is_some())
    }

    /// How long after its lease the keeper may go on at most, whichever keepers it asks.
    pub fn limit(&self, keeper: &KeeperId) -> Duration {
        self.asked_by(keeper)
            .map_or(Duration::ZERO, |(_, limit)| limit)
    }
}

#[cfg(test)]
mod tests;
