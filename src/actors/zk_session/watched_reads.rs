//! Reads and follows what keepers share: every read sets a one-shot watch, every watch that fires reads again.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{LocalBoxFuture, join_all, ready};
use futures::{FutureExt, TryFutureExt};

use super::ZkSession;
use super::decoded::{keepers, listing, state, stored};
use super::event::{Event, PAUSE, Reply};
use super::subject::{Reading, Subject};
use crate::domain::keepers::cluster_copy::{Applied, News};
use crate::domain::keepers::failsafe_member::FailsafeMember;
use crate::domain::keepers::generations::Generations;
use crate::domain::keepers::keeper_table::Presence;
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::node::{ClusterName, KeeperId};
use crate::domain::report::KeeperReport;
use crate::layout::paths;
use crate::layout::state::Document;
use crate::ports::coordination::{CoordinationError, CreateKind, Fired, Node, Session, Watch};

/// From one listing of the clusters to the next. On the first start, thousands of clusters are created one by one.
const CLUSTERS_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl ZkSession {
    /// Reads and follows everything, `/generation` first: everything that is read later is at least as new.
    pub(super) fn read_everything(&mut self) {
        let Some(session) = self.online() else { return };
        self.spawn(session.get(paths::GENERATION).map(Event::Generation));
        self.follow(Subject::Latch);
        self.follow(Subject::Circle);
        self.follow(Subject::Keepers);
        self.follow(Subject::Clusters);
        let clusters: Vec<_> = self
            .clusters
            .iter()
            .map(|(name, c)| (name.clone(), c.serial))
            .collect();
        for (name, serial) in clusters {
            self.follow_cluster(&name, serial);
        }
    }

    pub(super) fn follow_cluster(&mut self, name: &ClusterName, serial: u64) {
        self.follow(Subject::State(name.clone(), serial));
        self.follow(Subject::Reports(name.clone(), serial));
        self.converge(name);
    }

    fn wanted(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Keepers
            | Subject::Circle
            | Subject::Registration(_)
            | Subject::Latch
            | Subject::Clusters => true,
            Subject::Keeper(keeper) | Subject::File(keeper) => self.keepers.is_online(keeper),
            Subject::State(name, serial)
            | Subject::Reports(name, serial)
            | Subject::Report(name, serial, _) => self.clusters.subscribed(name, *serial),
        }
    }

    /// Reads a subject with a watch for its next change.
    pub(super) fn follow(&mut self, subject: Subject) {
        let Some(session) = self.online().filter(|_| self.wanted(&subject)) else {
            return self.let_go(&subject);
        };
        let read: LocalBoxFuture<'static, Reply<(Reading, Watch)>> = match &subject {
            Subject::Keepers => names(&*session, paths::KEEPERS),
            Subject::Keeper(keeper) => node(&*session, &paths::keeper(keeper)),
            Subject::File(keeper) => node(&*session, &paths::file(keeper)),
            Subject::Circle => names(&*session, paths::FAILSAFE_MEMBERS),
            Subject::Registration(keeper) => node(&*session, &paths::registration(keeper)),
            Subject::Latch => names(&*session, paths::LEADER),
            Subject::Clusters => names(&*session, paths::CLUSTERS),
            Subject::Reports(name, _) => names(&*session, &paths::reports(name)),
            Subject::State(name, _) => node(&*session, &paths::cluster(name)),
            Subject::Report(name, _, keeper) => node(&*session, &paths::report(name, keeper)),
        };
        self.spawn(read.map(|outcome| Event::Read(subject, outcome)));
    }

    pub(super) fn read(&mut self, subject: Subject, outcome: Reply<(Reading, Watch)>) {
        if !self.wanted(&subject) {
            return self.let_go(&subject);
        }
        let (reading, watch) = match outcome {
            Ok(read) => read,
            Err(CoordinationError::NoNode(_)) if matches!(subject, Subject::Reports(..)) => {
                if let Subject::Reports(name, serial) = subject {
                    self.no_reports(name, serial);
                }
                return;
            }
            Err(CoordinationError::NoNode(path)) if subject.is_needed() => {
                self.report_trouble(&format!("{path} is gone, and is made anew"));
                self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::Begin));
                return;
            }
            Err(error) => {
                // A lost connection ends all of this, and everything is read again on the next one.
                match error {
                    CoordinationError::Unknown(_) | CoordinationError::Expired => {}
                    error => self.report_trouble(&format!("{subject:?}: {error}")),
                }
                self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::Changed(subject)));
                return;
            }
        };
        let owner = match &reading {
            Reading::Node(Some(node)) => node.owner,
            Reading::Node(None) | Reading::Children(_) => 0,
        };
        if self.take(&subject, reading) {
            if subject == Subject::Clusters {
                let fired = async move {
                    let _ = watch.await;
                    tokio::time::sleep(CLUSTERS_AGAIN_AFTER).await;
                    Event::Changed(Subject::Clusters)
                };
                return self.spawn(fired);
            }
            self.spawn(watch.map(move |fired| match subject {
                Subject::Keeper(keeper) => Event::KeeperFired(keeper, owner, fired),
                subject => Event::Changed(subject),
            }));
        }
    }

    /// Takes in a reading. Answers whether the subject is to be followed further.
    fn take(&mut self, subject: &Subject, reading: Reading) -> bool {
        match (subject, reading) {
            (Subject::Keepers, Reading::Children(children)) => {
                let before = self.keepers.presence();
                let now = self.dependencies.clock.now();
                let listing = listing(children);
                for keeper in self.keepers.listed(listing, &self.failsafe.group, now) {
                    self.follow_file(&keeper);
                    self.follow(Subject::Keeper(keeper));
                }
                self.share_presence(before.as_ref());
            }
            (Subject::Keeper(keeper), Reading::Node(node)) => {
                let before = self.keepers.presence();
                let now = self.dependencies.clock.now();
                let told = self.keepers.polls_by(keeper).cloned();
                let node = node.as_ref().map(stored::<KeeperRecord>);
                if let Some(error) = node.as_ref().and_then(|it| it.content.as_ref().err()) {
                    tracing::warn!(%keeper, %error, "the announcement of a keeper");
                }
                let further = self.keepers.read(keeper, node, now);
                self.share_presence(before.as_ref());
                self.share_polls(keeper, told.as_ref());
                return further;
            }
            (Subject::File(keeper), Reading::Node(node)) => self.file_read(keeper, node.as_ref()),
            (Subject::Circle, Reading::Children(children)) => {
                for keeper in self.failsafe.group.listed(listing(children)) {
                    self.follow(Subject::Registration(keeper));
                }
                self.amend_registration();
            }
            (Subject::Registration(keeper), Reading::Node(node)) => {
                let before = self.failsafe.group.edition(keeper);
                let node = node.as_ref().map(stored::<FailsafeMember>);
                if let Some(error) = node.as_ref().and_then(|it| it.content.as_ref().err()) {
                    tracing::warn!(%keeper, %error, "the registration of a keeper for failsafe");
                }
                let further = self.failsafe.group.read(keeper, node);
                if self.failsafe.group.edition(keeper) != before {
                    let now = self.dependencies.clock.now();
                    self.keepers.amended(keeper, now);
                }
                self.amend_registration();
                return further;
            }
            (Subject::Latch, Reading::Children(children)) => self.latch_read(children.names),
            (Subject::Clusters, Reading::Children(children)) => {
                self.clusters_listed(children.names);
            }
            (Subject::Reports(name, serial), Reading::Children(children)) => {
                let Some(cluster) = self.clusters.get_mut(name) else {
                    return false;
                };
                let before = cluster.reports.len();
                let fresh = cluster.list(keepers(children.names), &self.identity.me.id);
                let gone = cluster.reports.len() != before;
                let news = if gone { News::Claims } else { News::Nothing };
                for keeper in fresh {
                    self.follow(Subject::Report(name.clone(), *serial, keeper));
                }
                if !self.clusters.is_unlisted(name) {
                    self.converge(name);
                }
                self.cluster_read(name, news);
            }
            (Subject::State(name, _), Reading::Node(node)) => self.state_read(name, node.as_ref()),
            (Subject::Report(name, _, keeper), Reading::Node(node)) => {
                let Some(cluster) = self.clusters.get_mut(name) else {
                    return false;
                };
                let node = node.as_ref().map(stored::<KeeperReport>);
                let exists = node.is_some();
                if let Some(error) = node.as_ref().and_then(|it| it.content.as_ref().err()) {
                    let _in_span = tracing::error_span!("cluster", %name).entered();
                    tracing::warn!(%keeper, %error, "a report is ignored");
                }
                let news = cluster.report(keeper, node);
                self.cluster_read(name, news);
                return exists;
            }
            (subject, _) => unreachable!("{subject:?} is never read as such a reading"),
        }
        true
    }

    fn share_presence(&mut self, before: Option<&Presence>) {
        if self.keepers.presence().as_ref() != before {
            self.share_all();
        }
    }

    pub(super) fn keeper_fired(&mut self, keeper: KeeperId, session: i64, fired: Fired) {
        let now = self.dependencies.clock.now();
        match fired {
            Fired::Deleted => self.keepers.node_deleted(&keeper, session),
            Fired::Changed => self.keepers.node_changed(&keeper, session, now),
        }
        self.changed(Subject::Keeper(keeper));
    }

    /// Acts on a watch that fired. Behind a state, `/generation` is read at once, so that the change is acknowledged
    /// soon (RK-2).
    pub(super) fn changed(&mut self, subject: Subject) {
        let state = matches!(subject, Subject::State(..));
        match &subject {
            Subject::Keepers => self.keepers.changed(),
            Subject::Circle => self.failsafe.group.changed(None),
            Subject::Registration(keeper) => self.failsafe.group.changed(Some(keeper)),
            _ => {}
        }
        self.follow(subject);
        if state {
            self.look();
        }
    }

    pub(super) fn state_read(&mut self, name: &ClusterName, node: Option<&Node>) {
        let Some(cluster) = self.clusters.get_mut(name) else {
            return;
        };
        let applied = cluster.apply(node.map(state));
        match &applied {
            Applied::Older(what) => {
                tracing::warn!(cluster = %name, what, "an older published state is not applied");
            }
            Applied::SetBack(what) => {
                let what = format!("the published state of {name} went back: {what}");
                self.spawn(ready(Event::SetBack(what)));
            }
            Applied::Changed | Applied::Same => {}
        }
        let same = applied == Applied::Same;
        self.cluster_read(name, if same { News::Nothing } else { News::Claims });
    }

    /// Handles a cluster without reports, and without a node for them.
    fn no_reports(&mut self, name: ClusterName, serial: u64) {
        if !self.clusters.is_unlisted(&name) {
            return self.make_subtree(name, serial);
        }
        if let Some(cluster) = self.clusters.get_mut(&name) {
            cluster.list(BTreeSet::new(), &self.identity.me.id);
        }
        self.cluster_read(&name, News::Nothing);
        let subject = Subject::Reports(name, serial);
        let again = tokio::time::sleep(CLUSTERS_AGAIN_AFTER);
        self.spawn(again.map(|()| Event::Changed(subject)));
    }

    /// Takes in that a part of a cluster was read. Tells its actor if that has changed anything.
    fn cluster_read(&mut self, name: &ClusterName, news: News) {
        let Some(cluster) = self.clusters.get_mut(name) else {
            return;
        };
        if let Some(reading) = self.phase.reading_mut().filter(|_| cluster.complete()) {
            reading.unread.remove(name);
        }
        let first = cluster.becomes_known();
        if first || news == News::Claims {
            self.claim(name);
        }
        if first || news != News::Nothing {
            self.share(name);
        }
    }

    pub(super) fn make_subtree(&self, name: ClusterName, serial: u64) {
        // If an operator removes a cluster that this keeper does not have, it stays removed.
        let Some(session) = self.online().filter(|_| !self.clusters.is_unlisted(&name)) else {
            return;
        };
        let made = [paths::cluster(&name), paths::reports(&name)]
            .map(|path| session.create(&path, b"", CreateKind::Persistent));
        // Another keeper may have been faster: the read that follows shows it.
        self.spawn(join_all(made).map(move |_| Event::Subtree(name, serial)));
    }

    pub(super) fn subtree_made(&mut self, name: &ClusterName, serial: u64) {
        if self.clusters.subscribed(name, serial) {
            self.follow(Subject::Reports(name.clone(), serial));
            self.converge(name);
        }
    }

    pub(super) fn first_generation_read(&mut self, outcome: Reply<Option<Node>>) {
        let read = outcome.and_then(|node| {
            let node = node.ok_or_else(|| CoordinationError::NoNode(paths::GENERATION.into()))?;
            Generations::decode(&node.data)
                .map_err(|error| CoordinationError::Refused(format!("/generation {error}")))
        });
        match read {
            Ok(read) => {
                if let Some(reading) = self.phase.reading_mut() {
                    reading.first_generation = Some(read.generation);
                }
            }
            Err(error) => {
                self.report_trouble(&format!("no lease: {error}"));
                if let Some(session) = self.online() {
                    let again = async move {
                        tokio::time::sleep(PAUSE).await;
                        Event::Generation(session.get(paths::GENERATION).await)
                    };
                    self.spawn(again);
                }
            }
        }
    }

    /// Reads a cluster's state once, besides the watch on it.
    pub(super) fn fetch(&self, name: &ClusterName) {
        if let (Some(session), Some(cluster)) = (self.online(), self.clusters.get(name)) {
            let (name, serial) = (name.clone(), cluster.serial);
            let read = session.get(&paths::cluster(&name));
            self.spawn(read.map(move |outcome| Event::Fetched(name, serial, outcome)));
        }
    }

    pub(super) fn fetched(
        &mut self,
        name: &ClusterName,
        serial: u64,
        outcome: Reply<Option<Node>>,
    ) {
        if !self.clusters.subscribed(name, serial) {
            return;
        }
        if let Ok(node) = outcome {
            self.state_read(name, node.as_ref());
        } else {
            let name = name.clone();
            self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::Fetch(name)));
        }
    }

    /// Whether everything was read on this connection just now.
    pub(super) fn completed(&mut self) -> bool {
        let registered = self.failsafe.is_registered();
        let Some(reading) = self.phase.reading_mut() else {
            return false;
        };
        let complete = self.keepers.complete()
            && self.failsafe.group.complete()
            && registered
            && reading.unread.is_empty();
        let Some(generation) = reading.first_generation.filter(|_| complete) else {
            return false;
        };
        self.phase.all_read();
        self.lease_book.all_read(generation);
        self.keepers.all_read(self.dependencies.clock.now());
        self.send_heartbeat();
        true
    }
}

fn names(session: &dyn Session, path: &str) -> LocalBoxFuture<'static, Reply<(Reading, Watch)>> {
    session
        .children_and_watch(path)
        .map_ok(|(children, watch)| (Reading::Children(children), watch))
        .boxed_local()
}

fn node(session: &dyn Session, path: &str) -> LocalBoxFuture<'static, Reply<(Reading, Watch)>> {
    session
        .get_and_watch(path)
        .map_ok(|(node, watch)| (Reading::Node(node), watch))
        .boxed_local()
}
