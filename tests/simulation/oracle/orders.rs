//! Judges commands to servers: the order of epochs (RK-4), and promotions (RK-2, RK-6).

use std::collections::BTreeSet;
use std::rc::Rc;

use redis_keeper::domain::node::{Epoch, NodeAddr};

use super::{Book, Oracle};
use crate::redis::commands::Order;
use crate::redis::{Condition, Fleet, Server};
use crate::world::World;

impl Oracle {
    /// Notes that a server process has answered a keeper's probe.
    pub(crate) fn read(&self, keeper: &str, run_id: String) {
        self.read.borrow_mut().insert((keeper.to_owned(), run_id));
    }

    /// Whether every keeper that reads servers has an answer of this process. A keeper without one cannot know how
    /// the process began.
    pub(crate) fn was_read_by_all(&self, run_id: &str) -> bool {
        let read = self.read.borrow();
        let keepers: BTreeSet<_> = read.iter().map(|(keeper, _)| keeper).collect();
        let readers = read.iter().filter(|(_, process)| process == run_id);
        readers.count() == keepers.len()
    }

    /// Judges a command that changes something at a server: the keeper has read this very process before (RK-4).
    pub(crate) fn proven(&self, server: &Server, keeper: &str, order: &Order) {
        let (node, run_id) = (&server.addr, server.run_id());
        if !self.read.borrow().contains(&(keeper.to_owned(), run_id)) {
            self.world.violated(format_args!(
                "RK-4: {node} executed {order:?} by {keeper}, which has never read what this server is"
            ));
        }
    }

    /// Judges a command that changes the role of a server.
    pub(crate) fn commanded(
        &self,
        fleet: &Fleet,
        server: &Rc<Server>,
        (keeper, epoch): (&str, Epoch),
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
        let mut intents = book.intents.keys();
        if let Some((_, newer)) = intents.find(|(chosen, newer)| chosen == node && *newer > epoch) {
            self.world.violated(format_args!(
                "RK-4: {node} executed {order:?} of epoch {epoch} after epoch {newer} had fenced it off and chosen it"
            ));
        }
        if let Order::Follow(primary, _) = order {
            judge_overwriting(&self.world, book, server, primary);
        }
        if !matches!(order, Order::Promote(_)) {
            return;
        }
        let choice = book.intents.get(&(node.clone(), epoch));
        if choice.is_none() {
            self.world.violated(format_args!(
                "RK-4: {node} was promoted by epoch {epoch} without a persisted intent"
            ));
        }
        // The leader that decided need not acknowledge to itself. A keeper that carries out a task for the leader has
        // to acknowledge.
        let leader = choice.map_or_else(|| keeper.to_owned(), |choice| choice.leader.clone());
        let unseen = choice.map(|choice| choice.unseen.clone());
        let unseen = unseen.unwrap_or_default();
        book.delegated_promotions += u32::from(leader != keeper);
        let leader = leader.as_str();
        let condition = server.condition();
        if condition.follows.as_ref() == Some(node) {
            return;
        }
        if book.published.as_ref().is_none_or(|it| it.epoch <= epoch) {
            self.judge_bound(book, leader);
        }
        self.judge_drain(fleet, &server.cluster, book, node, "promoted");
        let now = self.world.now();
        let heartbeats = self.heartbeats.borrow();
        // A command of an old epoch that is executed late decides nothing: a newer leader has withdrawn since (RK-4).
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
                condition.keys == 0 && book.has_data && !book.saw_linked(&condition),
                "empty while there was data, and its process was never linked to the primary's",
            ),
            (condition.foreign, "a copy of another site's data"),
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
        // An old primary that goes on at this moment sends its replicas data after the leader has read them.
        let goes_on = primary
            .as_ref()
            .and_then(|old| fleet.server(old))
            .is_some_and(|old| old.condition().up);
        for other in fleet.servers().filter(|_| self.choosy && !goes_on) {
            let its = other.condition();
            let eligible = other.cluster == server.cluster
                && Some(&other.addr) != primary.as_ref()
                && its.up
                && !unseen.contains(&other.addr)
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

    /// Judges a node that left the cluster's history: writes from after that do not outweigh data that the node lacks
    /// (RK-6).
    pub(super) fn judge_wandered(&self, fleet: &Fleet, book: &Book, node: &NodeAddr) {
        let Some(server) = fleet.server(node) else {
            return;
        };
        let Some((history, extent)) = server.condition().left else {
            return;
        };
        for other in fleet.servers().filter(|it| it.cluster == server.cluster) {
            let its = other.condition();
            let eligible = its.up
                && !book.unseen.contains(&other.addr)
                && !its.loading
                && !its.syncing
                && its.priority > 0
                && its.history == history;
            if eligible && its.offset > extent {
                self.world.violated(format_args!(
                    "RK-6: {node} was published, which left the history of {} at {extent}: that one has {}",
                    other.addr, its.offset
                ));
            }
        }
    }

    /// Judges a completed switchover: the successor has every write of the old primary, unless the old primary died
    /// meanwhile.
    pub(super) fn judge_switchover(
        &self,
        fleet: &Fleet,
        book: &Book,
        old: &NodeAddr,
        new: Option<&NodeAddr>,
    ) {
        // The last generation is the publication of the successor; the one before is the withdrawal.
        let withdrawn = book
            .generations
            .iter()
            .rev()
            .nth(1)
            .map_or(0, |(at, _)| *at);
        if book.last_down.get(old).is_some_and(|at| *at >= withdrawn) {
            // A majority no longer reaches the old primary: the change is a failover.
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
}

/// Judges that no server of another deployment with data of its own is overwritten (RK-7).
fn judge_overwriting(world: &World, book: &Book, server: &Server, primary: &NodeAddr) {
    let condition = server.condition();
    let writes = condition.follows.as_ref() == Some(&server.addr) && condition.keys > 0;
    if writes && condition.foreign && !book.processes.contains(&condition.run_id) {
        world.violated(format_args!(
            "RK-7: {} has data of another site and was made a replica of {primary}",
            server.addr
        ));
    }
}

impl Book {
    /// Whether the process was linked to the process that is published, or was published last.
    ///
    /// If so, the process has the data of that one, as far as they were sent.
    fn saw_linked(&self, condition: &Condition) -> bool {
        let published = self.published.as_ref();
        let process = published.and_then(|published| published.process());
        condition.linked_to.as_deref() == process
    }
}
