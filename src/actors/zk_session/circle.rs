//! Who takes part in failsafe, and whom this keeper has declared to ask (RK-8).
//!
//! Each keeper keeps its list in a persistent node. A leader that hears nothing of a keeper reads there whether that would
//! ask it.
//!
//! A keeper may go on from before a withdrawal. Its list was committed before the heartbeat that earned its last lease, and so
//! before the withdrawal. A leader that reads the node after the withdrawal finds that list or a later one, and the keeper
//! asks everyone in either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::identity::KeeperProcess;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::rehearsal::Advertised;
use crate::layout::circle::Registration;
use crate::layout::state::Document;
use crate::ports::coordination::{Children, Node};

/// How long a keeper may go on that says of it what cannot be read.
const AGES: Duration = Duration::from_hours(24 * 365);

/// All registrations, and this keeper's own lists.
#[derive(Debug)]
pub(super) struct Circle {
    me: KeeperProcess,
    /// Listed on this connection, with ZooKeeper's count of changes.
    changes: Option<i32>,
    /// Everyone registered. What was read on an earlier connection tells where to ask, no more.
    entries: BTreeMap<KeeperId, Entry>,
    /// Lists sent, oldest first, from the one vouched for on.
    lists: Vec<List>,
    serial: u64,
    /// The list that was read back on this connection.
    confirmed: Option<u64>,
    /// What was confirmed when heartbeats were sent that have not earned a lease yet.
    declared: VecDeque<(Moment, Option<u64>)>,
    /// What was confirmed when the heartbeat was sent that earned the last lease.
    vouched: Option<u64>,
}

#[derive(Debug, Default)]
struct Entry {
    registration: Registration,
    created: i64,
    version: i32,
    read: bool,
}

#[derive(Debug)]
struct List {
    serial: u64,
    ids: BTreeSet<KeeperId>,
}

/// What is to be done about the own registration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Amendment {
    /// Make it, without a list: one that includes this keeper is read after that.
    Register(Registration),
    /// Write it at this version.
    Declare(Registration, i32),
    /// Take it back, at this version.
    Withdraw(i32),
}

// === impl Circle ===

impl Circle {
    pub(super) fn new(me: KeeperProcess) -> Self {
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

    /// What was read before may be old.
    pub(super) fn new_connection(&mut self) {
        self.changes = None;
        self.confirmed = None;
        self.declared.clear();
        for entry in self.entries.values_mut() {
            entry.read = false;
        }
    }

    /// Takes in who is registered; answers those to be followed from now on.
    pub(super) fn listed(&mut self, children: Children) -> Vec<KeeperId> {
        self.changes = Some(children.changes);
        let names: BTreeSet<KeeperId> = children.names.into_iter().map(KeeperId::new).collect();
        self.entries.retain(|keeper, _| names.contains(keeper));
        if !names.contains(&self.me.id) {
            self.confirmed = None;
        }
        let fresh = |keeper: &KeeperId| self.entries.get(keeper).is_none_or(|entry| !entry.read);
        let fresh: Vec<KeeperId> = names.into_iter().filter(fresh).collect();
        for keeper in &fresh {
            self.entries.entry(keeper.clone()).or_default();
        }
        fresh
    }

    /// Takes in a registration; answers whether it is to be followed further.
    pub(super) fn read(&mut self, keeper: &KeeperId, node: Option<&Node>) -> bool {
        let Some(node) = node else {
            self.entries.remove(keeper);
            return false;
        };
        let registration = Registration::decode(&node.data);
        if let Err(error) = &registration {
            tracing::warn!(%keeper, %error, "the registration of a keeper for failsafe");
        }
        // Whoever cannot be understood may ask anybody.
        let unknown = Registration {
            asks: Some(BTreeSet::new()),
            limit: AGES,
            ..Registration::default()
        };
        let entry = Entry {
            registration: registration.unwrap_or(unknown),
            created: node.created,
            version: node.version,
            read: true,
        };
        if *keeper == self.me.id {
            // What another process of this id has declared is not what this one would ask.
            let mine = entry.registration.nonce.as_ref() == Some(&self.me.nonce);
            let asks = entry.registration.asks.clone().filter(|_| mine);
            self.confirmed = asks.map(|ids| self.serial_of(ids));
        }
        self.entries.insert(keeper.clone(), entry);
        true
    }

    /// A watch has told that the registration has changed, or who is registered: it counts as read once it was read again.
    pub(super) fn changed(&mut self, registration: Option<&KeeperId>) {
        match registration {
            None => self.changes = None,
            Some(keeper) => {
                if let Some(entry) = self.entries.get_mut(keeper) {
                    entry.read = false;
                }
            }
        }
    }

    /// The number of the list, which may have been sent before this actor was started.
    fn serial_of(&mut self, ids: BTreeSet<KeeperId>) -> u64 {
        // The first that it may be: whatever was sent after it may still arrive.
        if let Some(list) = self.lists.iter().find(|list| list.ids == ids) {
            return list.serial;
        }
        self.serial += 1;
        let serial = self.serial;
        self.lists.push(List { serial, ids });
        serial
    }

    /// Whether all was read on this connection.
    pub(super) fn complete(&self) -> bool {
        self.changes.is_some() && self.entries.values().all(|entry| entry.read)
    }

    /// Whether a listing with this count of changes is the one that is known.
    pub(super) fn is_listed_as(&self, children: &Children) -> bool {
        self.changes == Some(children.changes)
    }

    /// What is to be done so that this keeper's registration is as it should be: as `own` but for the list, or not there.
    pub(super) fn amendment(&self, own: Option<&Registration>) -> Option<Amendment> {
        self.changes?;
        let entry = match (self.entries.get(&self.me.id), own) {
            (None, None) => return None,
            (None, Some(own)) => return Some(Amendment::Register(own.clone())),
            (Some(entry), _) if !entry.read => return None,
            (Some(entry), None) => return Some(Amendment::Withdraw(entry.version)),
            (Some(entry), Some(_)) => entry,
        };
        let wanted = Registration {
            asks: Some(self.entries.keys().cloned().collect()),
            ..own?.clone()
        };
        let changes = entry.registration != wanted;
        changes.then_some(Amendment::Declare(wanted, entry.version))
    }

    /// A list is being sent.
    pub(super) fn sending(&mut self, registration: &Registration) {
        if let Some(ids) = &registration.asks {
            self.serial += 1;
            let (serial, ids) = (self.serial, ids.clone());
            self.lists.push(List { serial, ids });
        }
    }

    /// A heartbeat is being sent.
    pub(super) fn beat(&mut self, sent: Moment) {
        self.declared.push_back((sent, self.confirmed));
    }

    /// The heartbeat sent at `sent` has earned a lease.
    pub(super) fn earned(&mut self, sent: Moment) {
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

    /// Whom this keeper has to ask past its lease; `None`: it must not go on.
    pub(super) fn to_ask(&self) -> Option<BTreeSet<KeeperId>> {
        let vouched = self.vouched?;
        let lists = self.lists.iter().filter(|list| list.serial >= vouched);
        let mut ids: BTreeSet<KeeperId> = lists.flat_map(|list| list.ids.clone()).collect();
        ids.remove(&self.me.id);
        Some(ids)
    }

    /// Everyone this keeper knows to take part, and itself.
    pub(super) fn members(&self) -> BTreeSet<KeeperId> {
        let listed = self.lists.iter().flat_map(|list| &list.ids);
        let me = std::iter::once(&self.me.id);
        self.entries
            .keys()
            .chain(listed)
            .chain(me)
            .cloned()
            .collect()
    }

    /// Everyone registered.
    pub(super) fn registered(&self) -> impl Iterator<Item = &KeeperId> {
        self.entries.keys()
    }

    /// Whether this very process is registered, as read on this connection.
    pub(super) fn has_registered(&self) -> bool {
        let entry = self.entries.get(&self.me.id);
        entry.is_some_and(|entry| {
            entry.read && entry.registration.nonce.as_ref() == Some(&self.me.nonce)
        })
    }

    /// What the keeper has registered.
    pub(super) fn registration(&self, keeper: &KeeperId) -> Option<&Registration> {
        Some(&self.entries.get(keeper)?.registration)
    }

    /// Where the keeper says that it is reached, and which process does.
    pub(super) fn advertised(&self, keeper: &KeeperId) -> Option<Advertised> {
        let registration = self.registration(keeper)?;
        Some(Advertised {
            rest: registration.rest.clone(),
            nonce: registration.nonce.clone(),
        })
    }

    /// Tells the keeper's registration from every other that it makes.
    pub(super) fn edition(&self, keeper: &KeeperId) -> Option<(i64, i32)> {
        let entry = self.entries.get(keeper)?;
        Some((entry.created, entry.version))
    }

    /// The version of the keeper's registration.
    pub(super) fn version(&self, keeper: &KeeperId) -> Option<i32> {
        Some(self.entries.get(keeper)?.version)
    }

    /// Whom the keeper asks before it goes on past its lease, and for how long it does at most; `None` if it does not.
    pub(super) fn asked_by(&self, keeper: &KeeperId) -> Option<(&BTreeSet<KeeperId>, Duration)> {
        let registration = &self.entries.get(keeper)?.registration;
        let asks = registration.asks.as_ref()?;
        Some((asks, registration.limit))
    }

    /// Whether the keeper is of a build that asks a process by its nonce. One of a former build may have taken anybody's
    /// answer for another's.
    pub(super) fn asks_processes(&self, keeper: &KeeperId) -> bool {
        self.registration(keeper)
            .is_some_and(|registration| registration.nonce.is_some())
    }

    /// How long after its lease the keeper may go on at most, whomever it asks.
    pub(super) fn limit(&self, keeper: &KeeperId) -> Duration {
        self.asked_by(keeper)
            .map_or(Duration::ZERO, |(_, limit)| limit)
    }
}

#[cfg(test)]
mod tests;
