//! The heartbeat and the lease it earns (RK-3).

use actix::prelude::*;
use futures::FutureExt;
use futures::future;

use super::ZkSession;
use super::event::Event;
use super::phase::{Heartbeats, Progress};
use crate::domain::keepers::generations::Generations;
use crate::domain::keepers::lease_book::GenerationCheck;
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::lease::Lease;
use crate::domain::node::{ClusterName, Generation, Moment};
use crate::layout::paths;
use crate::layout::state::Document;
use crate::ports::coordination::{CoordinationError, Node};

impl ZkSession {
    /// Runs every heartbeat interval, with or without a connection.
    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = self.dependencies.clock.now();
        if self.leading.leads() && !self.lease_book.lease().holds(now) {
            self.stop_leading("no heartbeat was confirmed for the length of the lease");
        }
        self.send_heartbeat();
        self.depose_silent_leader(now);
        self.drop_the_dead(now);
        self.foresee(now);
        self.go_on(ctx);
        self.log_readiness(now);
        self.rehearse(now, ctx);
        self.step_down(now);
        self.look_for_given_up();
    }

    /// Writes the own heartbeat node, and reads `/generation` right behind it. `ZooKeeper` executes both in this
    /// order. So the read sees every commit from before the write.
    ///
    /// A keeper sends no heartbeat in two cases:
    /// - it has not read everything on this connection;
    /// - its lease ran out while it waits for a state to be applied.
    ///
    /// So a leader waits for the acknowledgement of this keeper no longer than its lease may last (RK-2).
    pub(super) fn send_heartbeat(&mut self) {
        let now = self.dependencies.clock.now();
        if self.lease_book.is_held_up(now) {
            return;
        }
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        let Progress::Current(heartbeats) = &mut online.progress else {
            return;
        };
        if !heartbeats.in_flight.begin(now) {
            return;
        }
        let acknowledged = self.lease_book.highest();
        self.failsafe.group.heartbeat_sent(now);
        heartbeats.acknowledged = acknowledged;
        let record = KeeperRecord {
            acknowledged,
            polls: Some(self.polls.sent()),
            ..self.identity.record.clone()
        };
        let path = paths::keeper(&self.identity.me.id);
        let session = online.session();
        let written = session.set(&path, &record.encode(), Some(online.own_version));
        let read = session.get(paths::GENERATION);
        self.spawn(
            future::join(written, read).map(move |(written, read)| Event::Heartbeat {
                sent: now,
                written,
                read,
            }),
        );
    }

    pub(super) fn heartbeat_done(
        &mut self,
        sent: Moment,
        written: Result<i32, CoordinationError>,
        read: Result<Option<Node>, CoordinationError>,
        ctx: &mut Context<Self>,
    ) {
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        if let Progress::Current(heartbeats) = &mut online.progress {
            heartbeats.in_flight.end();
        }
        match written {
            Ok(version) => online.own_version = version,
            Err(CoordinationError::NoNode(_) | CoordinationError::BadVersion(_)) => {
                return self.rejoin(ctx);
            }
            Err(error) => return tracing::debug!(%error, "a heartbeat was not confirmed"),
        }
        let now = self.dependencies.clock.now();
        self.story.latency.confirmed(now.since(sent));
        self.contact.made(now);
        self.generation_read(read, Some(sent), ctx);
        self.campaign();
    }

    /// Reads `/generation` now, so that a change is known before the next heartbeat.
    pub(super) fn look(&mut self) {
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        if online.requests.look.begin(()) {
            let read = online.connection.session.get(paths::GENERATION);
            online.connection.spawn(read.map(Event::ChangesRead));
        }
    }

    pub(super) fn changes_read(
        &mut self,
        read: Result<Option<Node>, CoordinationError>,
        ctx: &mut Context<Self>,
    ) {
        let online = self.phase.online_mut();
        let ended = online.and_then(|online| online.requests.look.end());
        self.generation_read(read, None, ctx);
        // Another change may have been committed after the read.
        if ended.is_some_and(|it| it.again) {
            self.look();
        }
    }

    fn generation_read(
        &mut self,
        read: Result<Option<Node>, CoordinationError>,
        sent: Option<Moment>,
        ctx: &mut Context<Self>,
    ) {
        let Ok(node) = read else { return };
        let Some(node) = node else {
            return self.set_back("/generation is gone", ctx);
        };
        match Generations::decode(&node.data) {
            Ok(read) => {
                let applied_of = |name: &ClusterName| self.clusters.applied(name);
                let verdict = self.lease_book.confirmed(read, sent, applied_of);
                self.act_on(verdict, ctx);
            }
            Err(error) => self.report_trouble(&format!("no lease: /generation {error}")),
        }
    }

    /// Checks, after each event, whether the event has completed one of these: the lease, an acknowledgement, or what
    /// the leader waits for.
    pub(super) fn settle(&mut self, ctx: &mut Context<Self>) {
        let completed = self.completed();
        let applied_of = |name: &ClusterName| self.clusters.applied(name);
        match self.lease_book.settle(applied_of) {
            // The missing clusters are already being read.
            Some(GenerationCheck::Missing(_)) | None => {}
            Some(verdict) => self.act_on(verdict, ctx),
        }
        if completed {
            self.campaign();
        }
        let behind = |heartbeats: &Heartbeats| heartbeats.acknowledged < self.lease_book.highest();
        if self.phase.current().is_some_and(behind) || self.polls.news() {
            self.send_heartbeat();
        }
        self.share_acknowledgements();
        self.log_keepers();
    }

    /// Shares the lease with the cluster actors, if it is longer now.
    pub(super) fn publish_lease(&self, lease: Lease) -> bool {
        self.dependencies.lease.send_if_modified(|told| {
            let later = lease.deadline() > told.deadline();
            if later {
                *told = lease;
            }
            later
        })
    }

    /// Revokes the lease when the session is over, if the lease still holds.
    ///
    /// A lease that a heartbeat earned ends long before its session does. If it still holds, this keeper's clock has
    /// stood still meanwhile. Then neither the lease nor the consents of other keepers can be trusted.
    ///
    /// A lease by consent alone outlives sessions, and is not revoked (RK-8).
    pub(super) fn revoke_lease(&mut self) {
        let now = self.dependencies.clock.now();
        if !self.lease_book.revoke(now) {
            return;
        }
        self.end_lease(now);
        tracing::warn!(
            "lease revoked: the session was over before its lease; was this machine suspended or migrated?"
        );
    }

    /// Ends every lease `now`: the one of heartbeats, and the one by consent.
    pub(super) fn end_lease(&mut self, now: Moment) {
        self.failsafe.consents.forget_received();
        self.dependencies.lease.send_modify(|told| told.end(now));
    }

    /// Reads `/generation` again, after a read that was lower than a known value. Either that read came late, or
    /// `ZooKeeper` has lost data: a read that is sent now decides.
    fn recheck_generation(&mut self) {
        let Some(session) = self.online() else { return };
        let known = self.lease_book.highest();
        let read = session.get(paths::GENERATION);
        self.spawn(read.map(move |read| Event::GenerationRechecked(known, read)));
    }

    /// Takes in `/generation`, from a read that was sent when `known` was already known.
    pub(super) fn generation_rechecked(
        &mut self,
        known: Generation,
        read: Result<Option<Node>, CoordinationError>,
        ctx: &mut Context<Self>,
    ) {
        let Ok(Some(node)) = read else { return };
        if let Ok(read) = Generations::decode(&node.data)
            && read.generation < known
        {
            let what = format!("/generation went back from {known} to {}", read.generation);
            self.set_back(&what, ctx);
        }
    }

    fn act_on(&mut self, verdict: GenerationCheck, ctx: &mut Context<Self>) {
        match verdict {
            GenerationCheck::Settled(lease) => {
                if let Some(sent) = self.lease_book.earned() {
                    self.failsafe.group.earned(sent);
                }
                if self.publish_lease(lease) && self.story.trouble.take().is_some() {
                    tracing::info!("coordination works again");
                }
            }
            GenerationCheck::Missing(names) => {
                for name in names {
                    self.fetch(&name);
                }
            }
            GenerationCheck::MissingAll => {
                tracing::warn!("more has changed than /generation names: reading everything again");
                self.begin_again(ctx);
            }
            GenerationCheck::WentBack => self.recheck_generation(),
        }
    }
}
