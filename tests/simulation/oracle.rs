//! What must hold at every step, told by what really happens: commits, commands executed, answers given.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use redis_keeper::actors::cluster_api::{Answer, Ruling};
use redis_keeper::domain::facts::DownReason;
use redis_keeper::domain::node::{ClusterName, Epoch, Generation, KeeperId, NodeAddr};
use redis_keeper::domain::published::{Published, Step};
use redis_keeper::domain::verdict::Report;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document as _;

use self::leases::{Heartbeats, Withdrawal};
use self::proxies::Up;
use super::redis::commands::Order;
use super::redis::{Fleet, Server};
use super::tree::{Change, Tree};
use super::world::{World, note};

mod leases;
mod proxies;

/// How long before a withdrawal the votes for it may have stood (RK-1), in microseconds.
const VOTES_STOOD: u64 = 2_000_000;
/// How long a leader may take a vote for standing that was taken back (RK-1), in microseconds: it reads one vote after
/// the other.
const VOTES_LINGER: u64 = 250_000;
/// What the tick of the virtual clock may add to a reading, and the margin m to a wait, in microseconds.
const SLACK: u64 = 25_000;
/// What the ticks of the virtual clock, and a keeper's drift over a lease, make of an instant, at most, in microseconds.
const PRECISION: u64 = 4_000;

/// Judges one run.
pub(crate) struct Oracle {
    world: Rc<World>,
    /// L, in microseconds.
    lease: u64,
    /// Faults strike the primary and replication only, so the one promoted is the best of the others (RK-6).
    choosy: bool,
    books: RefCell<BTreeMap<ClusterName, Book>>,
    heartbeats: RefCell<Heartbeats>,
    up: RefCell<Up>,
}

/// What is known of one cluster.
#[derive(Default)]
struct Book {
    published: Option<Published>,
    /// Who was the published primary from when on.
    primaries: Vec<(u64, Option<NodeAddr>)>,
    highest: Generation,
    /// When each generation was published.
    generations: Vec<(u64, Generation)>,
    /// The last one.
    withdrawal: Option<Withdrawal>,
    /// Promotions that were persisted before they were commanded.
    intents: BTreeSet<(NodeAddr, Epoch)>,
    /// Who voted which node down, when last, and whether the vote stands.
    votes: BTreeMap<(NodeAddr, String), (u64, bool)>,
    /// When a node was last refused connections at every keeper online, by their own account.
    refused: BTreeMap<NodeAddr, u64>,
    /// Nodes that a majority votes down now.
    down: BTreeSet<NodeAddr>,
    /// When a majority voted the node down last.
    last_down: BTreeMap<NodeAddr, u64>,
    /// The newest epoch of a command executed.
    commanded: BTreeMap<NodeAddr, Epoch>,
    withdrawals: u32,
    /// How often a candidate was chosen.
    choices: u32,
    /// Somebody was acknowledged a write, or the cluster began with data.
    has_data: bool,
}

/// One answer to `is-writable`.
pub(crate) struct Said {
    pub(crate) keeper: KeeperId,
    pub(crate) cluster: ClusterName,
    pub(crate) node: NodeAddr,
    pub(crate) ruling: Ruling,
    pub(crate) generation: Option<Generation>,
    /// When the heartbeat was sent that earned the lease, in microseconds; `None` for what needs none.
    pub(crate) earned: Option<u64>,
    /// When it said so.
    pub(crate) at: u64,
    /// What it had acknowledged when it was asked.
    pub(crate) acknowledged: Generation,
}

// === impl Said ===

impl Said {
    pub(crate) fn of(
        keeper: KeeperId,
        cluster: &ClusterName,
        node: &NodeAddr,
        answer: &Answer,
        (earned, at): (Option<u64>, u64),
        acknowledged: Generation,
    ) -> Self {
        Self {
            keeper,
            cluster: cluster.clone(),
            node: node.clone(),
            ruling: answer.reason.ruling(),
            generation: answer.generation,
            earned,
            at,
            acknowledged,
        }
    }
}

// === impl Oracle ===

impl Oracle {
    pub(crate) fn new(
        world: Rc<World>,
        lease: u64,
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
            choosy,
            books: RefCell::new(books),
            heartbeats: RefCell::default(),
            up: RefCell::default(),
        })
    }

    /// The published primary of a cluster.
    pub(crate) fn primary(&self, cluster: &ClusterName) -> Option<NodeAddr> {
        let books = self.books.borrow();
        books[cluster].published.as_ref()?.primary.clone()
    }

    /// How often a primary was withdrawn, in all clusters.
    pub(crate) fn withdrawals(&self) -> u32 {
        let books = self.books.borrow();
        books.values().map(|book| book.withdrawals).sum()
    }

    /// How often a candidate was chosen, in all clusters.
    pub(crate) fn choices(&self) -> u32 {
        let books = self.books.borrow();
        books.values().map(|book| book.choices).sum()
    }

    /// A transaction was committed.
    ///
    /// Answers whether a state changed or was acknowledged, so that what keepers answer now is worth asking.
    pub(crate) fn committed(&self, fleet: &Fleet, tree: &Tree, changes: &[Change]) -> bool {
        let now = self.world.now();
        let acknowledged = self.heartbeats.borrow_mut().note(now, tree, changes);
        let heartbeat = |change: &Change| matches!(change, Change::Set(path) if path.starts_with(paths::KEEPERS));
        if changes.iter().all(heartbeat) {
            return acknowledged;
        }
        let keepers = tree.children(paths::KEEPERS).unwrap_or_default();
        let mut books = self.books.borrow_mut();
        for (name, book) in books.iter_mut() {
            self.count_votes(tree, &keepers, name, book);
            let node = tree.get(&paths::cluster(name));
            let published = node.and_then(|node| Published::decode(&node.data).ok());
            if let Some(published) = published {
                self.published(fleet, name, book, published);
            } else if book.published.is_some() {
                self.world
                    .violated(format_args!("RK-2: the state of {name} is gone"));
            }
        }
        let state =
            |change: &Change| matches!(change, Change::Set(path) if path == paths::GENERATION);
        acknowledged || changes.iter().any(state)
    }

    fn count_votes(&self, tree: &Tree, keepers: &[String], name: &ClusterName, book: &mut Book) {
        let now = self.world.now();
        for node in &book.down {
            book.last_down.insert(node.clone(), now);
        }
        for (last, stands) in book.votes.values_mut().filter(|(_, stands)| *stands) {
            (*last, *stands) = (now, false);
        }
        let mut refusing: BTreeMap<NodeAddr, usize> = BTreeMap::new();
        for keeper in keepers {
            let path = paths::report(name, &KeeperId::new(keeper));
            let report = tree.get(&path).map(|node| Report::decode(&node.data));
            if let Some(Ok(report)) = report {
                let early = report.refused.iter();
                for node in early.filter(|node| !report.votes.contains_key(*node)) {
                    *refusing.entry(node.clone()).or_default() += 1;
                }
                for (node, reason) in report.votes {
                    if reason == DownReason::Refused {
                        *refusing.entry(node.clone()).or_default() += 1;
                    }
                    book.votes.insert((node, keeper.clone()), (now, true));
                }
            }
        }
        let all = refusing.into_iter().filter(|(_, at)| *at == keepers.len());
        book.refused.extend(all.map(|(node, _)| (node, now)));
        let mut votes: BTreeMap<NodeAddr, usize> = BTreeMap::new();
        for ((node, keeper), (last, _)) in &book.votes {
            if now - last <= VOTES_LINGER && keepers.contains(keeper) {
                *votes.entry(node.clone()).or_default() += 1;
            }
        }
        votes.retain(|_, votes| *votes * 2 > keepers.len());
        book.down = votes.into_keys().collect();
        for node in &book.down {
            book.last_down.insert(node.clone(), now);
        }
    }

    fn published(&self, fleet: &Fleet, name: &ClusterName, book: &mut Book, state: Published) {
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
            book.intents.insert((candidate.clone(), intent.epoch));
            book.choices += 1;
        }
        book.published = Some(state);
    }

    /// A switchover is completed: its successor has all that the old primary took, unless that died meanwhile.
    fn judge_switchover(&self, fleet: &Fleet, book: &Book, old: &NodeAddr, new: Option<&NodeAddr>) {
        // The last generation is the successor's.
        let withdrawn = book
            .generations
            .iter()
            .rev()
            .nth(1)
            .map_or(0, |(at, _)| *at);
        if book.last_down.get(old).is_some_and(|at| *at >= withdrawn) {
            // A majority no longer reaches it: that is a failover.
            return;
        }
        let (Some(new), true) = (
            new.and_then(|new| fleet.server(new)),
            fleet.serves_since(old, withdrawn),
        ) else {
            return;
        };
        let Some(old) = fleet.server(old) else { return };
        let (had, has) = (old.writes(), new.writes());
        let lost = had.difference(&has).count();
        if lost > 0 {
            self.world.violated(format_args!(
                "switchover: {} lacks {lost} writes that {} has taken",
                new.addr, old.addr
            ));
        }
    }

    /// A server executes a command that changes its role.
    pub(crate) fn commanded(
        &self,
        fleet: &Fleet,
        server: &Rc<Server>,
        (leader, epoch): (&str, Epoch),
        order: &Order,
    ) {
        let mut books = self.books.borrow_mut();
        let book = books
            .get_mut(&server.cluster)
            .expect("every cluster has a book");
        let node = &server.addr;
        let last = book.commanded.entry(node.clone()).or_default();
        if epoch < *last {
            self.world.violated(format_args!(
                "RK-4: {node} executed {order:?} of epoch {epoch} after one of epoch {last}"
            ));
        }
        *last = epoch.max(*last);
        let mut intents = book.intents.iter();
        if let Some((_, newer)) = intents.find(|(chosen, newer)| chosen == node && *newer > epoch) {
            self.world.violated(format_args!(
                "RK-4: {node} executed {order:?} of epoch {epoch} after epoch {newer} had fenced it off and chosen it"
            ));
        }
        if *order != Order::Promote {
            return;
        }
        if !book.intents.contains(&(node.clone(), epoch)) {
            self.world.violated(format_args!(
                "RK-4: {node} was promoted by epoch {epoch} without a persisted intent"
            ));
        }
        let condition = server.condition();
        if condition.follows.as_ref() == Some(node) {
            return;
        }
        self.judge_drain(fleet, &server.cluster, book, node);
        let now = self.world.now();
        let heartbeats = self.heartbeats.borrow();
        // A command sent long before and executed late decides nothing: others have withdrawn since (RK-4).
        let overtaken = book.published.as_ref().is_some_and(|it| it.epoch > epoch);
        let withdrawal = book.withdrawal.as_ref().filter(|_| !overtaken);
        let waits_for = withdrawal
            .and_then(|withdrawal| withdrawal.waits_for(leader, now, self.lease, &heartbeats));
        if let Some(keeper) = waits_for {
            self.world.violated(format_args!(
                "RK-2: {node} was promoted while {keeper}, which has not acknowledged the withdrawal, may hold a lease"
            ));
        }
        let unfit = [
            (condition.loading, "loading"),
            (
                condition.syncing && condition.keys == 0,
                "in its first synchronisation",
            ),
            (
                condition.keys == 0 && book.has_data,
                "empty while there was data",
            ),
            (condition.priority == 0, "of priority 0"),
        ];
        for (_, what) in unfit.iter().filter(|(unfit, _)| *unfit) {
            self.world
                .violated(format_args!("RK-6: {node} was promoted though {what}"));
        }
        let primary = book
            .published
            .as_ref()
            .and_then(|state| state.intent.as_ref()?.old.clone());
        // One that goes on in this moment brings its replicas on after they were read.
        let goes_on = primary
            .as_ref()
            .and_then(|old| fleet.server(old))
            .is_some_and(|old| old.condition().up);
        for other in fleet.servers().filter(|_| self.choosy && !goes_on) {
            let its = other.condition();
            let eligible = other.cluster == server.cluster
                && Some(&other.addr) != primary.as_ref()
                && its.up
                && !its.loading
                && !its.syncing
                && its.priority > 0
                && its.history == condition.history;
            if eligible && its.offset > condition.offset {
                self.world.violated(format_args!(
                    "RK-6: {node} was promoted at {}, {} has {}",
                    condition.offset, other.addr, its.offset
                ));
            }
        }
    }

    /// What the keeper has acknowledged so far.
    pub(crate) fn acknowledged(&self, keeper: &KeeperId) -> Generation {
        let heartbeats = self.heartbeats.borrow();
        let heartbeat = heartbeats.of(keeper);
        heartbeat.map(|it| it.acknowledged).unwrap_or_default()
    }

    /// What all keepers that can answer say at this instant.
    pub(crate) fn heard(&self, said: &[Said]) {
        let books = self.books.borrow();
        for said in said {
            if let Some(earned) = said.earned {
                self.judge_lease(said, &books[&said.cluster], earned);
            }
        }
        let mut writable: BTreeMap<&ClusterName, &Said> = BTreeMap::new();
        for said in said.iter().filter(|said| said.ruling == Ruling::Yes) {
            let Said {
                keeper,
                cluster,
                node,
                ..
            } = said;
            let first = writable.entry(cluster).or_insert(said);
            if first.node != *node {
                self.world.violated(format_args!(
                    "RK-2: {} calls {} writable (generation {:?}) while {keeper} calls {node} so (generation {:?})",
                    first.keeper, first.node, first.generation, said.generation
                ));
            }
            let since = said.at.saturating_sub(self.lease + SLACK);
            if !books[cluster].was_primary(node, since) {
                self.world.violated(format_args!(
                    "RK-3: {keeper} calls {node} writable, which was not the published primary for longer than the lease"
                ));
            }
        }
    }
}

impl Oracle {
    /// The lease of an answer counts from `earned`: neither from later than a heartbeat was sent, nor from later than its
    /// state was superseded; and that is no older than was acknowledged (RK-3).
    fn judge_lease(&self, said: &Said, book: &Book, earned: u64) {
        let Said {
            keeper,
            cluster,
            node,
            generation,
            acknowledged,
            ..
        } = said;
        let heartbeats = self.heartbeats.borrow();
        let Some(heartbeat) = heartbeats.of(keeper) else {
            return self.world.violated(format_args!(
                "RK-3: {keeper} answers and has had no heartbeat"
            ));
        };
        if earned > heartbeat.at + PRECISION {
            self.world.violated(format_args!(
                "RK-3: {keeper} counts its lease from {} us after its last heartbeat",
                earned - heartbeat.at
            ));
        }
        let superseded = match generation {
            Some(from) => book.superseded(*from),
            None => book.withdrawn(node),
        };
        if let Some(at) = superseded.filter(|at| earned > at + PRECISION) {
            self.world.violated(format_args!(
                "RK-3: {keeper} prolonged its lease on {cluster} from an older state ({generation:?}), {} us too late",
                earned - at
            ));
        }
        let acknowledged = book.generation_at(*acknowledged);
        if generation.is_some_and(|from| from < acknowledged) {
            self.world.violated(format_args!(
                "RK-3: {keeper} answers for {cluster} from {generation:?} and has acknowledged {acknowledged}"
            ));
        }
    }
}

impl Book {
    /// When a newer generation than `from` was published.
    fn superseded(&self, from: Generation) -> Option<u64> {
        let place = self.generations.partition_point(|(_, it)| *it <= from);
        self.generations.get(place).map(|(at, _)| *at)
    }

    /// When `node` ceased to be the published primary the last time.
    fn withdrawn(&self, node: &NodeAddr) -> Option<u64> {
        let mut primaries = self.primaries.iter();
        let last = primaries.rposition(|(_, primary)| primary.as_ref() == Some(node))?;
        self.primaries.get(last + 1).map(|(at, _)| *at)
    }

    /// The cluster's generation when the counter stood at `counter`.
    fn generation_at(&self, counter: Generation) -> Generation {
        let place = self.generations.partition_point(|(_, it)| *it <= counter);
        let known = place.checked_sub(1).map(|place| self.generations[place].1);
        known.unwrap_or_default()
    }

    /// Whether the node was the published primary at some moment since `since`.
    fn was_primary(&self, node: &NodeAddr, since: u64) -> bool {
        for (from, primary) in self.primaries.iter().rev() {
            if primary.as_ref() == Some(node) {
                return true;
            }
            if *from <= since {
                return false;
            }
        }
        false
    }
}

fn shown(node: Option<&NodeAddr>) -> String {
    node.map_or_else(|| "none".to_owned(), ToString::to_string)
}
