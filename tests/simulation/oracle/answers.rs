//! Judges the answers of keepers: one primary at any moment (RK-2), under a lease that was earned (RK-3).

use std::collections::BTreeMap;

use redis_keeper::actors::cluster_api::{CheckAnswer, Reason, Ruling};
use redis_keeper::domain::node::{ClusterName, Generation, KeeperId, NodeAddr};

use super::{Book, Oracle};
use crate::keeper::Voice;
use crate::world::World;

/// The most that the tick of the virtual clock adds to a reading, with the margin *m* of a wait, in microseconds.
const SLACK: u64 = 25_000;
/// The most by which an instant is off, in microseconds: ticks of the virtual clock, and a keeper's drift over a
/// lease.
pub(super) const PRECISION: u64 = 4_000;

/// One answer of a keeper to `is-writable`.
pub(crate) struct Said {
    pub(crate) keeper: KeeperId,
    pub(crate) cluster: ClusterName,
    /// The keeper's own name for the cluster.
    pub(crate) called: ClusterName,
    pub(crate) node: NodeAddr,
    pub(crate) ruling: Ruling,
    pub(crate) generation: Option<Generation>,
    /// When the heartbeat was sent that earned the lease, in microseconds; `None` for an answer that needs no lease.
    pub(crate) earned: Option<u64>,
    /// When the keeper answered, in microseconds.
    pub(crate) at: u64,
    /// The generation that the keeper had acknowledged when it was asked.
    pub(crate) acknowledged: Generation,
    /// The keeper holds no lease, and goes on by the consent of all.
    pub(crate) consented: bool,
    /// The keeper knows the published state, and sends clients away all the same.
    pub(crate) refuses: bool,
    /// When the keeper last learned that one of its sessions was over, in microseconds.
    pub(crate) session_over: Option<u64>,
    /// The keeper's clock has stood still: the promise does not cover its answers.
    pub(crate) distrusted: bool,
    /// The answer is a firm no: HAProxy asks no other keeper.
    pub(crate) firmly: bool,
}

// === impl Said ===

impl Said {
    pub(crate) fn of(
        keeper: KeeperId,
        (cluster, called): (&ClusterName, &ClusterName),
        node: &NodeAddr,
        answer: &CheckAnswer,
        (earned, at): (Option<u64>, u64),
        acknowledged: Generation,
    ) -> Self {
        Self {
            session_over: None,
            distrusted: false,
            keeper,
            cluster: cluster.clone(),
            called: called.clone(),
            node: node.clone(),
            ruling: answer.reason.ruling(),
            generation: answer.generation,
            earned: earned.filter(|_| !answer.consented),
            at,
            acknowledged,
            consented: answer.consented,
            firmly: matches!(answer.reason.ruling(), Ruling::No | Ruling::NoSuchNode),
            refuses: answer.reason.ruling() == Ruling::No || answer.reason == Reason::RefusedHere,
        }
    }
}

// === impl Said, impl Oracle ===

impl Said {
    /// Adds what is known of the keeper that answers through `voice`.
    pub(crate) fn by(self, voice: &Voice, world: &World) -> Self {
        Self {
            session_over: voice.session_over(),
            distrusted: voice.distrusted(world),
            ..self
        }
    }
}

impl Oracle {
    /// The generation that the keeper has acknowledged so far.
    pub(crate) fn acknowledged(&self, keeper: &KeeperId) -> Generation {
        let heartbeats = self.heartbeats.borrow();
        let heartbeat = heartbeats.of(keeper);
        heartbeat.map(|it| it.acknowledged).unwrap_or_default()
    }

    /// Judges the answers of all keepers that can answer at this instant.
    pub(crate) fn heard(&self, said: &[Said]) {
        let (books, unpublished) = (self.books.borrow(), Book::default());
        let book = |cluster| books.get(cluster).unwrap_or(&unpublished);
        for said in said {
            self.judge_expiry(said);
        }
        let said: Vec<&Said> = said.iter().filter(|said| !said.distrusted).collect();
        for said in &said {
            if let Some(earned) = said.earned {
                self.judge_lease(said, book(&said.called), earned);
            }
        }
        let mut writable: BTreeMap<&ClusterName, &Said> = BTreeMap::new();
        let yes = said.into_iter().filter(|said| said.ruling == Ruling::Yes);
        for said in yes {
            let Said {
                keeper,
                cluster,
                called,
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
            let published = book(called).published.as_ref();
            let other = published.and_then(|published| published.primary.as_ref());
            if let Some(other) = other.filter(|other| *other != node) {
                self.world.violated(format_args!(
                    "RK-2: {keeper} calls {node} writable (generation {:?}) while {other} is the published primary",
                    said.generation
                ));
            }
            if said.consented {
                self.judge_consents(said);
                continue;
            }
            let since = said.at.saturating_sub(self.lease + SLACK);
            if !book(called).was_primary(node, since) {
                self.world.violated(format_args!(
                    "RK-3: {keeper} calls {node} writable, which was not the published primary for longer than the lease"
                ));
            }
        }
    }

    /// Judges the end of a session (RK-3).
    ///
    /// No lease that a heartbeat earned outlives the session of that heartbeat, once the keeper knows that the
    /// session is over. A clock that does not stop has ended the lease before.
    fn judge_expiry(&self, said: &Said) {
        let (Some(over), Some(earned)) = (said.session_over, said.earned) else {
            return;
        };
        let knew = said.at > over + PRECISION && earned + PRECISION < over;
        if knew && said.ruling == Ruling::Yes {
            let Said { keeper, node, .. } = said;
            self.world.violated(format_args!(
                "RK-3: {keeper} calls {node} writable {} us after it learned that the session of its lease is over",
                said.at - over
            ));
        }
    }

    /// Judges the lease of an answer (RK-3).
    ///
    /// - `earned` is not later than the keeper's last heartbeat.
    /// - `earned` is not later than the moment at which the keeper's state was superseded.
    /// - The state is not older than the generation that the keeper has acknowledged.
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

// === impl Book ===

impl Book {
    /// When a generation above `from` was published for the first time.
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

    /// The cluster's generation at the time when the generation counter was `counter`.
    fn generation_at(&self, counter: Generation) -> Generation {
        let place = self.generations.partition_point(|(_, it)| *it <= counter);
        let known = place.checked_sub(1).map(|place| self.generations[place].1);
        known.unwrap_or_default()
    }

    /// Whether the node was the published primary at any moment from `since` on.
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
