//! The judge's record of the probes that keepers sent on new connections, and their results.
//!
//! - No healthy primary is withdrawn without being asked again (RK-2).
//! - Many primaries are not withdrawn at once by the word of one keeper (RK-11).

use std::collections::{BTreeMap, VecDeque};

use redis_keeper::domain::node::{ClusterName, NodeAddr};

use super::{Book, Commit, Oracle};
use crate::redis::Fleet;

/// The most that may pass between the answer of a successor and the question to the primary, in microseconds.
const SUCCESSOR_JUST_BEFORE: u64 = 20_000;

/// How old the leader's last answer of a server may be at a withdrawal, if the leader reaches that server, in
/// microseconds.
const JUST_READ: u64 = 100_000;

/// How long a leader waits for the findings of the other keepers after its own question to the primary, in
/// microseconds.
const POLLED_WITHIN: u64 = 1_000_000;

/// An answer that takes longer counts as none, in microseconds.
const IN_TIME: u64 = 50_000;

/// How many attempts of one keeper at one server are remembered, and for how long after an answer, in microseconds.
const REMEMBERED: usize = 12;
const FORGOTTEN_AFTER: u64 = 4_000_000;

/// By keeper and server.
pub(super) type Contacts = BTreeMap<(String, NodeAddr), Contact>;

/// The probes of a keeper at a server, and their results.
#[derive(Default)]
pub(super) struct Contact {
    /// When the server last answered, in microseconds.
    answered: u64,
    /// The server refused the last connection.
    refused: bool,
    /// Connections that the keeper opened for a probe, the newest last.
    attempts: VecDeque<Attempt>,
}

struct Attempt {
    number: u64,
    began: u64,
    /// Another server of the cluster had answered just before, and the server itself has not answered since.
    follows_successor: bool,
    answered: Option<u64>,
}

impl Attempt {
    /// Whether no answer came in time.
    fn in_vain(&self) -> bool {
        self.answered.is_none_or(|at| at - self.began >= IN_TIME)
    }
}

impl Oracle {
    /// Notes that a keeper opens a connection to a server to ask it. Returns the number of the attempt.
    pub(crate) fn asks_anew(
        &self,
        keeper: &str,
        (cluster, node): (&ClusterName, &NodeAddr),
        fleet: &Fleet,
    ) -> u64 {
        let (now, number) = (self.world.now(), self.world.number());
        let mut contacts = self.contacts.borrow_mut();
        let last = |node: &NodeAddr| {
            let contact = contacts.get(&(keeper.to_owned(), node.clone()));
            contact.map_or(0, |contact| contact.answered)
        };
        let own = last(node);
        let follows_successor = fleet
            .servers()
            .filter(|other| other.cluster == *cluster && other.addr != *node)
            .map(|other| last(&other.addr))
            .any(|at| at > own && now - at <= SUCCESSOR_JUST_BEFORE);
        let key = (keeper.to_owned(), node.clone());
        let contact = contacts.entry(key).or_default();
        contact.refused = false;
        let attempts = &mut contact.attempts;
        attempts.push_back(Attempt {
            number,
            began: now,
            follows_successor,
            answered: None,
        });
        if attempts.len() > REMEMBERED {
            attempts.pop_front();
        }
        number
    }

    /// Notes that a server, or a firewall before it, has refused a keeper's connection.
    pub(crate) fn refused(&self, keeper: &str, node: &NodeAddr) {
        let key = (keeper.to_owned(), node.clone());
        self.contacts.borrow_mut().entry(key).or_default().refused = true;
    }

    /// Notes that a server's answer to a probe has reached a keeper, on the connection of this attempt.
    pub(crate) fn answered(&self, keeper: &str, node: &NodeAddr, attempt: u64) {
        let now = self.world.now();
        let mut contacts = self.contacts.borrow_mut();
        let contact = contacts
            .entry((keeper.to_owned(), node.clone()))
            .or_default();
        contact.answered = now;
        for it in &mut contact.attempts {
            if it.number == attempt {
                it.answered = it.answered.or(Some(now));
            }
        }
        contact
            .attempts
            .retain(|it| now - it.began < FORGOTTEN_AFTER);
    }

    /// Judges a withdrawal by the votes of a majority, of a primary that has served since its publication (RK-2,
    /// RK-11).
    ///
    /// Before, the leader has asked the primary after an answer of its successor, and has got no answer. A majority
    /// that asked in vain has the same force. A primary that flaps is exempt.
    pub(super) fn judge_confirmation(
        &self,
        name: &ClusterName,
        book: &Book,
        old: &NodeAddr,
        commit: &Commit<'_>,
    ) {
        let (leader, keepers, fleet) = (commit.leader.as_str(), commit.keepers, commit.fleet);
        let now = self.world.now();
        let contacts = self.contacts.borrow();
        let contact =
            |keeper: &str, node: &NodeAddr| contacts.get(&(keeper.to_owned(), node.clone()));
        let attempts = |keeper: &str| {
            let contact = contact(keeper, old);
            contact
                .into_iter()
                .flat_map(|contact| contact.attempts.iter())
        };
        // The leader's questions to the primary that followed an answer of a successor, the oldest first.
        let asked = || attempts(leader).filter(|it| it.follows_successor);
        let majority = |since: u64| {
            let in_vain = |keeper: &&String| {
                let latest = attempts(keeper).rev().find(|it| it.began >= since);
                latest.is_some_and(Attempt::in_vain)
            };
            keepers.iter().filter(in_vain).count() * 2 > keepers.len()
        };
        // Where the leader does not reach all successors, another keeper may ask for it.
        let mut others = fleet
            .servers()
            .filter(|other| other.cluster == *name && other.addr != *old);
        let reaches_all = others.all(|other| {
            let heard = contact(leader, &other.addr);
            heard.is_some_and(|heard| now - heard.answered <= JUST_READ)
        });
        let lately = |at: &&u64| now - **at <= 10 * self.times.mark_down;
        let flaps = book.falls.iter().filter(lately).count() > 3;
        let confirmed = asked().any(Attempt::in_vain);
        // The leader may have reached no successor when it asked, and all of them since.
        let outvoted = asked()
            .find(|it| now - it.began <= 3_000_000)
            .is_some_and(|it| majority(it.began))
            || attempts(leader).any(|it| now - it.began <= POLLED_WITHIN && majority(it.began));
        if reaches_all && !confirmed && !outvoted && !flaps {
            self.world.violated(format_args!(
                "RK-2: {old} of {name} was withdrawn, and {leader} has not asked it in vain after an answer of its successor"
            ));
        }
        let answered = contact(leader, old).map_or(0, |contact| contact.answered);
        let first = asked().find(|it| it.in_vain() && it.began > answered);
        let Some(first) = first else { return };
        let waited = now - first.began;
        if let Some((silent, published)) = self.braked(&contacts, commit)
            && waited < self.times.probe_timeout
            && !majority(first.began)
        {
            self.world.violated(format_args!(
                "RK-11: {old} of {name} was withdrawn by {leader} alone, {waited} us after it was asked, while {silent} of \
                 {published} primaries were silent"
            ));
        }
    }

    /// The brake (RK-11): how many of the published primaries owe the leader an answer for two probe timeouts, and of
    /// how many.
    ///
    /// `None` unless these are more than three and more than a quarter.
    fn braked(&self, contacts: &Contacts, commit: &Commit<'_>) -> Option<(usize, usize)> {
        let since = self.times.tick + 2 * self.times.probe_timeout + 50_000;
        let silent = |primary: &&NodeAddr| {
            let contact = contacts.get(&(commit.leader.clone(), (*primary).clone()));
            contact.is_some_and(|it| {
                !it.refused && self.world.now().saturating_sub(it.answered) >= since
            })
        };
        let published = commit.primaries.len();
        let silent = commit.primaries.iter().filter(silent).count();
        (silent > 3 && silent * 4 > published).then_some((silent, published))
    }
}
