//! The keepers that may still answer from before a withdrawal, and until when (RK-2).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{FailsafeGroup, KeeperTable, Read, Seen, Stamp};
use crate::domain::lease::{Unacknowledged, outlasting};
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::domain::silence::{Asks, KeeperSilence};

impl KeeperTable {
    /// Returns two things:
    /// - the keepers that may still answer from a state older than `generation`;
    /// - when to check again, if nothing is read before.
    pub fn unacknowledged(
        &self,
        generation: Generation,
        failsafe_group: &FailsafeGroup,
        now: Moment,
    ) -> (Unacknowledged, Option<Moment>) {
        let left_unseen = self.left_unseen.map(|at| at.after(outlasting(self.lease)));
        let mut waiting = Unacknowledged {
            last_lease: self.last_forgotten.max(left_unseen),
            ..Unacknowledged::default()
        };
        let mut until = Vec::new();
        let mut acknowledged = BTreeSet::new();
        let read = |keeper: &KeeperId| self.acknowledgement_read(keeper, generation);
        for ((keeper, _), seen) in &self.seen {
            if *keeper == self.me || seen.acknowledged.newest() >= generation {
                acknowledged.insert(keeper);
                continue;
            }
            let silence = self.silence(keeper, seen, failsafe_group, read);
            let out = silence.out();
            let silent = now >= out;
            if !silent || !(seen.gone || seen.confirmed >= generation) {
                waiting.keepers.insert(keeper.clone());
                until.extend((!silent).then_some(out));
                waiting.goes_on(keeper, self.goes_on(keeper, &silence, now));
            } else {
                let last = waiting
                    .expired_silently
                    .entry(keeper.clone())
                    .or_insert(out);
                *last = out.max(*last);
            }
        }
        // A keeper that was restarted answers for itself, and its process knows nothing of before.
        for keeper in acknowledged {
            let out = waiting.expired_silently.remove(keeper);
            waiting.last_lease = waiting.last_lease.max(out);
        }
        let unread = self.online.iter().filter(|(_, online)| !online.read);
        waiting.keepers.extend(unread.map(|(id, _)| id.clone()));
        for keeper in self.unseen(failsafe_group) {
            let silence = self.silence_of_unseen(keeper, failsafe_group, read);
            let out = silence.map(|silence| silence.out());
            if out.is_none_or(|out| now < out) {
                waiting.keepers.insert(keeper.clone());
                until.extend(out);
                let goes_on = silence.and_then(|silence| self.goes_on(keeper, &silence, now));
                waiting.goes_on(keeper, goes_on);
            }
        }
        let possible_unseen_keepers = self
            .possible_unseen_keepers()
            .map(|at| at.after(outlasting(self.lease)));
        let silent = possible_unseen_keepers.is_some_and(|gone| now >= gone);
        if !silent || self.counted < generation || !failsafe_group.complete() {
            waiting.possible_unseen_keepers = true;
            until.extend(possible_unseen_keepers.filter(|_| !silent));
        }
        (waiting, until.into_iter().min())
    }

    /// The keepers that are not online and may go on, even if every keeper online acknowledges; each with the end of
    /// that time. A withdrawal made now would wait for them.
    pub fn foreseen(
        &self,
        failsafe_group: &FailsafeGroup,
        now: Moment,
    ) -> BTreeMap<KeeperId, Moment> {
        let mut foreseen = Unacknowledged::default();
        // Every keeper online is going to acknowledge.
        let read = |keeper: &KeeperId| self.is_online(keeper).then_some(now);
        let seen = self.seen.iter().map(|((keeper, _), seen)| {
            let silence = self.silence(keeper, seen, failsafe_group, read);
            (keeper, Some(silence))
        });
        let unseen = self.unseen(failsafe_group);
        let unseen =
            unseen.map(|keeper| (keeper, self.silence_of_unseen(keeper, failsafe_group, read)));
        for (keeper, silence) in seen.chain(unseen).filter(|(id, _)| **id != self.me) {
            let goes_on = silence.and_then(|silence| self.goes_on(keeper, &silence, now));
            foreseen.goes_on(keeper, goes_on);
        }
        foreseen.going_on
    }

    /// Until when the keeper may go on by the consent of others, if it is not online and its time is not over.
    fn goes_on(&self, keeper: &KeeperId, silence: &KeeperSilence, now: Moment) -> Option<Moment> {
        let beyond = silence.asks == Asks::Others && !silence.limit.is_zero();
        let until = silence.out();
        (beyond && !self.is_online(keeper) && now < until).then_some(until)
    }

    fn silence(
        &self,
        keeper: &KeeperId,
        seen: &Seen,
        failsafe_group: &FailsafeGroup,
        read: impl Fn(&KeeperId) -> Option<Moment>,
    ) -> KeeperSilence {
        let (limit, asks) = self.asks(keeper, failsafe_group, read);
        KeeperSilence {
            since: seen.changed,
            lease: seen.lease,
            limit,
            asks,
        }
    }

    /// The silence of a member of the failsafe group that was never seen; `None` until everything was read on this
    /// connection.
    fn silence_of_unseen(
        &self,
        keeper: &KeeperId,
        failsafe_group: &FailsafeGroup,
        read: impl Fn(&KeeperId) -> Option<Moment>,
    ) -> Option<KeeperSilence> {
        let (limit, asks) = self.asks(keeper, failsafe_group, read);
        Some(KeeperSilence {
            since: self.possible_unseen_keepers()?,
            lease: self.lease,
            limit,
            asks,
        })
    }

    /// How long the keeper may go on past its lease, and by which consent. `read` returns when the acknowledgement of
    /// another keeper was read.
    fn asks(
        &self,
        keeper: &KeeperId,
        failsafe_group: &FailsafeGroup,
        read: impl Fn(&KeeperId) -> Option<Moment>,
    ) -> (Duration, Asks) {
        let Some((asked, limit)) = failsafe_group.asked_by(keeper) else {
            return (Duration::ZERO, Asks::Others);
        };
        if !failsafe_group.asks_processes(keeper) {
            return (limit, Asks::Others);
        }
        if asked.contains(&self.me) {
            return (limit, Asks::Leader);
        }
        let others = asked.iter().filter(|asked| *asked != keeper);
        let first = others.filter_map(read).min();
        let asks = first.zip(self.consent).map(|(read, consent)| {
            // A keeper that has applied the withdrawal consents to nothing from before.
            Asks::Acknowledged { read, consent }
        });
        (limit, asks.unwrap_or(Asks::Others))
    }

    /// When it was first read that the keeper has acknowledged `generation` in its present session.
    fn acknowledgement_read(&self, keeper: &KeeperId, generation: Generation) -> Option<Moment> {
        let read = self.online.get(keeper).is_some_and(|online| online.read);
        let mut sessions = self.seen.iter().filter(|((id, _), _)| id == keeper);
        let (_, seen) = sessions.find(|(_, seen)| !seen.gone)?;
        seen.acknowledged.since(generation).filter(|_| read)
    }

    /// The members of the failsafe group that were not seen in any session, or are forgotten.
    fn unseen<'a>(&self, failsafe_group: &'a FailsafeGroup) -> impl Iterator<Item = &'a KeeperId> {
        failsafe_group
            .registered()
            .filter(|keeper| !self.has_seen(keeper))
    }

    /// The keepers whose silence is long enough for the withdrawal, but not yet surveyed. `None` if no survey is
    /// needed.
    pub fn to_survey(
        &self,
        generation: Generation,
        failsafe_group: &FailsafeGroup,
        now: Moment,
    ) -> Option<Vec<KeeperId>> {
        let read = |keeper: &KeeperId| self.acknowledgement_read(keeper, generation);
        let unconfirmed = self.seen.iter().filter(|((keeper, _), seen)| {
            let acknowledged = seen.acknowledged.newest() >= generation;
            let open = !acknowledged && seen.confirmed < generation && !seen.gone;
            *keeper != self.me
                && open
                && now >= self.silence(keeper, seen, failsafe_group, read).out()
        });
        let keepers: Vec<KeeperId> = unconfirmed.map(|((id, _), _)| id.clone()).collect();
        (self.counted < generation || !keepers.is_empty()).then_some(keepers)
    }

    /// Takes in ZooKeeper's count of arrivals and departures of keepers, as found by a survey that was sent after the
    /// withdrawal was committed. `registered` says whether the survey found the known members of the failsafe group.
    ///
    /// A difference from what is known counts for nothing here: a watch is about to report it.
    pub fn counted(&mut self, changes: i32, registered: bool, generation: Generation) {
        if registered && self.read >= Read::Listed && self.changes == changes {
            self.counted = self.counted.max(generation);
        }
    }

    /// Takes in a keeper's node, as found by such a survey. If the node is gone, the silence of that keeper begins
    /// now: no watch may have reported it.
    pub fn surveyed(
        &mut self,
        keeper: &KeeperId,
        node: Option<Stamp>,
        generation: Generation,
        now: Moment,
    ) {
        for ((id, session), seen) in &mut self.seen {
            if id != keeper {
                continue;
            }
            match node.filter(|stamp| stamp.owner == *session) {
                Some(stamp) if seen.stamp == stamp => {
                    seen.confirmed = seen.confirmed.max(generation);
                }
                Some(_) => {}
                None => seen.mark_gone(now),
            }
        }
    }
}
