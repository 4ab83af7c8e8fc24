//! The judge: it checks the safety rules at every step, from commits, executed commands and answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use redis_keeper::domain::node::{ClusterName, Epoch, Generation, NodeAddr};
use redis_keeper::domain::published::{Published, Step};
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document as _;

pub(crate) use self::answers::Said;
use self::confirmations::Contacts;
use self::consents::Given;
use self::deposed::Deposed;
use self::leases::{Heartbeats, Withdrawal};
use self::proxies::Up;
use self::refusals::Refused;
use self::rest::Rest;
use super::names::by_address;
use super::redis::Fleet;
use super::tree::{NodeEvent, Tree};
use super::world::{World, note};

mod answers;
mod confirmations;
mod consents;
mod deposed;
mod leases;
mod orders;
mod proxies;
mod refusals;
mod rest;
mod votes;

/// How long before a withdrawal the votes for it may last have stood (RK-1), in microseconds.
const VOTES_STOOD: u64 = 2_000_000;

/// Judges one run.
pub(crate) struct Oracle {
    world: Rc<World>,
    /// The lease *L*, in microseconds.
    lease: u64,
    /// How long a consent lasts (*F*), in microseconds.
    consent: u64,
    times: Times,
    /// Faults strike only primaries and replication, so the promoted node has to be the best of the replicas (RK-6).
    choosy: bool,
    books: RefCell<BTreeMap<ClusterName, Book>>,
    heartbeats: RefCell<Heartbeats>,
    consents: RefCell<Given>,
    /// The pairs of a keeper and a server process that has answered that keeper.
    read: RefCell<BTreeSet<(String, String)>>,
    up: RefCell<Up>,
    refused: RefCell<Refused>,
    /// The time from which every server answers on new connections; `None` if that is not promised.
    answering_from: Cell<Option<u64>>,
    contacts: RefCell<Contacts>,
    rest: RefCell<Rest>,
    deposed: RefCell<Deposed>,
}

/// The keepers' configuration, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) mark_down: u64,
    pub(crate) tick: u64,
    pub(crate) probe_timeout: u64,
    /// `busy-seconds` is set: a primary that is busy for that long is replaced.
    pub(crate) busy: bool,
}

/// A committed transaction, with what was true before it.
struct Commit<'a> {
    fleet: &'a Fleet,
    leader: String,
    keepers: &'a [String],
    /// The primaries that were published before the transaction.
    primaries: Vec<NodeAddr>,
}

/// The judge's records of one cluster.
#[derive(Default)]
struct Book {
    published: Option<Published>,
    /// Each published primary (`None` after a withdrawal), with the time of its publication.
    primaries: Vec<(u64, Option<NodeAddr>)>,
    highest: Generation,
    /// When each generation was published.
    generations: Vec<(u64, Generation)>,
    /// The last withdrawal.
    withdrawal: Option<Withdrawal>,
    /// Candidates that were written to ZooKeeper before their promotion was commanded.
    intents: BTreeMap<(NodeAddr, Epoch), Choice>,
    /// For each node and voter: the time of the last vote, and whether the vote stands.
    votes: BTreeMap<(NodeAddr, String), (u64, bool)>,
    /// Nodes that a majority votes down now.
    down: BTreeSet<NodeAddr>,
    /// Nodes that at most half of the keepers see alive now.
    unseen: BTreeSet<NodeAddr>,
    /// The times at which a majority began to vote the published primary down.
    falls: Vec<u64>,
    /// For each node: the last time at which a majority voted it down.
    last_down: BTreeMap<NodeAddr, u64>,
    /// For each node: the newest epoch of an executed command.
    commanded: BTreeMap<NodeAddr, Epoch>,
    withdrawals: u32,
    /// How many candidates were chosen.
    choices: u32,
    /// How many promotions another keeper than the leader carried out.
    delegated_promotions: u32,
    /// A client's write was acknowledged, or the cluster began with data.
    has_data: bool,
    /// The run ids of all processes that were ever published.
    processes: BTreeSet<String>,
}

/// A candidate, as it was written to ZooKeeper.
struct Choice {
    /// The leader that chose.
    leader: String,
    /// Nodes that at most half of the keepers saw alive at the choice: none of them may take over (RK-6).
    unseen: BTreeSet<NodeAddr>,
}

// === impl Oracle ===

impl Oracle {
    pub(crate) fn new(
        world: Rc<World>,
        [lease, consent]: [u64; 2],
        times: Times,
        choosy: bool,
        clusters: impl Iterator<Item = ClusterName>,
    ) -> Rc<Self> {
        let begun = || Book {
            has_data: true,
            primaries: vec![(0, None)],
            ..Book::default()
        };
        let books = clusters.map(|name| (name, begun())).collect();
        Rc::new(Self {
            world,
            lease,
            consent,
            times,
            choosy,
            books: RefCell::new(books),
            heartbeats: RefCell::default(),
            consents: RefCell::default(),
            read: RefCell::default(),
            up: RefCell::default(),
            refused: RefCell::default(),
            answering_from: Cell::default(),
            contacts: RefCell::default(),
            rest: RefCell::default(),
            deposed: RefCell::default(),
        })
    }

    /// The published primary of a cluster.
    pub(crate) fn primary(&self, cluster: &ClusterName) -> Option<NodeAddr> {
        let books = self.books.borrow();
        books[cluster].published.as_ref()?.primary.clone()
    }

    /// How many primaries were withdrawn, in all clusters.
    pub(crate) fn withdrawals(&self) -> u32 {
        let books = self.books.borrow();
        books.values().map(|book| book.withdrawals).sum()
    }

    /// How many candidates were chosen, in all clusters.
    pub(crate) fn choices(&self) -> u32 {
        let books = self.books.borrow();
        books.values().map(|book| book.choices).sum()
    }

    /// How many promotions another keeper than the leader carried out, in all clusters.
    pub(crate) fn delegated_promotions(&self) -> u32 {
        let books = self.books.borrow();
        books.values().map(|book| book.delegated_promotions).sum()
    }

    /// Whether the process is or was the process of a published primary.
    pub(crate) fn was_published(&self, cluster: &ClusterName, run_id: &str) -> bool {
        self.books.borrow()[cluster].processes.contains(run_id)
    }

    /// The longest time without a published primary, up to now, in any cluster and in microseconds.
    pub(crate) fn longest_gap(&self) -> u64 {
        let books = self.books.borrow();
        let gap = |book: &Book| {
            let ends = book.primaries.iter().skip(1).map(|(at, _)| *at);
            let spans = book.primaries.iter().zip(ends.chain([self.world.now()]));
            let gaps = spans.filter(|((at, primary), _)| *at > 0 && primary.is_none());
            gaps.map(|((at, _), end)| end - at).max()
        };
        books.values().filter_map(gap).max().unwrap_or(0)
    }

    /// Judges a transaction with its changes; a transaction that failed has none.
    ///
    /// Returns whether a state changed or was acknowledged, so that the keepers are worth asking now.
    pub(crate) fn committed(&self, fleet: &Fleet, tree: &Tree, changes: &[NodeEvent]) -> bool {
        let now = self.world.now();
        self.judge_rest(tree, changes);
        let acknowledged = self.heartbeats.borrow_mut().note(now, tree, changes);
        let heartbeat = |change: &NodeEvent| matches!(change, NodeEvent::Set(path) if path.starts_with(paths::KEEPERS));
        if changes.iter().all(heartbeat) {
            return acknowledged;
        }
        self.consents.borrow_mut().note(now, tree);
        let keepers = tree.children(paths::KEEPERS).unwrap_or_default();
        let latches = tree.children(paths::LEADER).unwrap_or_default();
        let first = latches
            .iter()
            .filter_map(|name| paths::latch_name(name))
            .min();
        let leader = first.map_or_else(String::new, |latch| latch.keeper.to_string());
        let mut books = self.books.borrow_mut();
        let published = |book: &Book| book.published.as_ref()?.primary.clone();
        let commit = Commit {
            fleet,
            leader,
            keepers: &keepers,
            primaries: books.values().filter_map(published).collect(),
        };
        for (name, book) in books.iter_mut() {
            self.count_votes(tree, &keepers, name, book);
            let node = tree.get(&paths::cluster(name));
            let published = node.and_then(|node| Published::decode(&node.data).ok());
            let published = published.map(by_address);
            if let Some(published) = published {
                self.published(&commit, name, book, published);
            } else if book.published.is_some() {
                self.world
                    .violated(format_args!("RK-2: the state of {name} is gone"));
            }
        }
        let state = |change: &NodeEvent| matches!(change, NodeEvent::Set(path) if path == paths::GENERATION);
        acknowledged || changes.iter().any(state)
    }

    fn published(
        &self,
        commit: &Commit<'_>,
        name: &ClusterName,
        book: &mut Book,
        state: Published,
    ) {
        let (fleet, leader) = (commit.fleet, commit.leader.as_str());
        if book.published.as_ref() == Some(&state) {
            return;
        }
        let now = self.world.now();
        let before = book
            .published
            .as_ref()
            .and_then(|before| before.primary.clone());
        let Published {
            primary,
            generation,
            epoch,
            intent,
            ..
        } = &state;
        note!(
            self.world,
            "published {name}: {} generation {generation} epoch {epoch} {}",
            shown(primary.as_ref()),
            intent.as_ref().map_or_else(String::new, |intent| format!(
                "intent {:?} {} epoch {} ({})",
                intent.step,
                shown(intent.candidate.as_ref()),
                intent.epoch,
                intent.reason
            ))
        );
        if *primary != before {
            if before.is_some() && primary.is_some() {
                self.world.violated(format_args!(
                    "RK-2: {name} went from one primary to another with none between"
                ));
            }
            if *generation <= book.highest {
                self.world.violated(format_args!(
                    "RK-2: {name}: generation {generation} is not above {}",
                    book.highest
                ));
            }
            if let Some(primary) = primary {
                self.judge_drain(fleet, name, book, primary, "published");
                self.judge_wandered(fleet, book, primary);
            }
            book.primaries.push((now, primary.clone()));
        }
        if *generation < book.highest {
            self.world.violated(format_args!(
                "RK-2: {name}: generation {generation} is below {}",
                book.highest
            ));
        }
        if *generation > book.highest {
            book.highest = *generation;
            book.generations.push((now, *generation));
        }
        if let (Some(old), None) = (&before, primary) {
            book.withdrawals += 1;
            book.withdrawal = Some(Withdrawal {
                generation: *generation,
                before: self.heartbeats.borrow().clone(),
            });
            let last = book.last_down.get(old).copied();
            let voted_down = last.is_some_and(|last| now - last <= VOTES_STOOD);
            let since = book.primaries.iter().rev().nth(1).map_or(0, |(at, _)| *at);
            let planned = intent.as_ref().is_some_and(|it| it.switchover.is_some());
            if !voted_down && !planned && fleet.serves_since(old, since) {
                self.world.violated(format_args!(
                    "RK-1: {old} of {name} was withdrawn without the votes of a majority"
                ));
            }
            let busy = self.times.busy && fleet.is_busy(old);
            if !planned && !busy && fleet.serves_since(old, since) {
                self.judge_confirmation(name, book, old, commit);
            }
        }
        let intended = book
            .published
            .as_ref()
            .and_then(|state| state.intent.as_ref());
        let switched = intended.filter(|it| it.switchover.is_some() && it.switchover == *primary);
        if let Some(old) = switched.and_then(|intent| intent.old.as_ref()) {
            self.judge_switchover(fleet, book, old, primary.as_ref());
        }
        if let Some(intent) = intent
            && let (Step::Promoting, Some(candidate)) = (intent.step, &intent.candidate)
        {
            let choice = (candidate.clone(), intent.epoch);
            let made = Choice {
                leader: leader.to_owned(),
                unseen: book.unseen.clone(),
            };
            book.intents.insert(choice, made);
            book.choices += 1;
        }
        book.processes.extend(state.run_id.clone());
        book.published = Some(state);
    }
}

fn shown(node: Option<&NodeAddr>) -> String {
    node.map_or_else(|| "none".to_owned(), ToString::to_string)
}
