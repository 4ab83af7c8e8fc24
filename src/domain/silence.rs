//! When a silent keeper can no longer answer from before a withdrawal (RK-2).
//!
//! - The keeper's lease is over *L + m* after its last heartbeat was read.
//! - With failsafe mode (RK-8) the keeper may go on after that, while every keeper on its list consents. A keeper
//!   that has acknowledged the withdrawal consents to nothing older, and its earlier consents last *F + m* at most.
//! - If no keeper on the list is known to have acknowledged, the silent keeper may go on for *D*.

use std::collections::VecDeque;
use std::time::Duration;

use super::lease::outlasting;
use super::node::{Generation, Moment};

/// A silent keeper, as a leader knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeeperSilence {
    /// When the keeper's last sign of life was read.
    pub since: Moment,
    /// *L*: how long the keeper answers after a heartbeat.
    pub lease: Duration,
    /// *D*: how long the keeper goes on after that at most; zero without failsafe mode.
    pub limit: Duration,
    /// The consent that the keeper needs for that.
    pub asks: Asks,
}

/// Whose consent a silent keeper needs to go on past its lease, as its failsafe list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// The consent of the leader, which counts its own consents apart.
    Leader,
    /// The consent of a keeper that has acknowledged the withdrawal.
    Acknowledged {
        /// When the leader read the acknowledgement.
        read: Moment,
        /// *F*: how long a consent lasts that was given before.
        consent: Duration,
    },
    /// The consent of keepers that are not known to have acknowledged the withdrawal.
    Others,
}

impl KeeperSilence {
    /// The moment from which on the keeper does not answer from before the withdrawal.
    pub fn out(&self) -> Moment {
        let leased = self.since.after(outlasting(self.lease));
        let longest = self.lease.saturating_add(self.limit);
        let at_most = self.since.after(outlasting(longest));
        match self.asks {
            Asks::Leader => leased,
            Asks::Acknowledged { read, consent } => {
                leased.max(read.after(outlasting(consent))).min(at_most)
            }
            Asks::Others => at_most,
        }
    }
}

/// The generations that a keeper has acknowledged in one session, and when a leader read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    newest: Generation,
    /// Each rise of the acknowledged generation, oldest first, with the moment at which it was read.
    read: VecDeque<(Generation, Moment)>,
}

impl Acknowledged {
    /// How long rises are kept apart. An older rise counts as read when the next one was, which is never too early.
    const KEPT: Duration = Duration::from_secs(30);

    /// The newest generation.
    pub fn newest(&self) -> Generation {
        self.newest
    }

    /// Records a generation that was read at `now`.
    pub fn read(&mut self, generation: Generation, now: Moment) {
        if generation <= self.newest {
            return;
        }
        self.newest = generation;
        self.read.push_back((generation, now));
        let old = |(_, read): &(Generation, Moment)| now.since(*read) > Self::KEPT;
        while self.read.get(1).is_some_and(old) {
            self.read.pop_front();
        }
    }

    /// When `generation`, or a later one, was first read as acknowledged; `None` if it was not.
    pub fn since(&self, generation: Generation) -> Option<Moment> {
        let place = self.read.partition_point(|(at, _)| *at < generation);
        self.read.get(place).map(|(_, read)| *read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(800);
    const CONSENT: Duration = Duration::from_millis(600);

    fn at(milliseconds: u64) -> Moment {
        Moment(Duration::from_millis(milliseconds))
    }

    /// When a keeper is out that has been silent since 1,000 ms, with `limit` in seconds.
    fn out(limit: u64, asks: Asks) -> Moment {
        let silence = KeeperSilence {
            since: at(1_000),
            lease: LEASE,
            limit: Duration::from_secs(limit),
            asks,
        };
        silence.out()
    }

    fn acknowledged(read: u64) -> Asks {
        Asks::Acknowledged {
            read: at(read),
            consent: CONSENT,
        }
    }

    #[test]
    fn a_keeper_that_asks_the_leader_is_out_once_its_lease_and_the_margin_are() {
        assert_eq!(out(3_600, Asks::Leader), at(1_820));
    }

    #[test]
    fn a_keeper_that_asks_one_who_has_acknowledged_is_out_when_the_last_consent_of_that_one_is() {
        assert_eq!(out(3_600, acknowledged(5_000)), at(5_620));
        assert_eq!(out(3_600, acknowledged(0)), at(1_820), "its lease at least");
    }

    #[test]
    fn a_keeper_that_asks_only_others_goes_on_for_the_failsafe_limit() {
        assert_eq!(out(9, Asks::Others), at(1_000 + 9_800 + 196));
    }

    #[test]
    fn no_keeper_goes_on_beyond_the_failsafe_limit_and_without_failsafe_beyond_its_lease() {
        assert_eq!(out(1, acknowledged(60_000)), at(1_000 + 1_800 + 36));
        for asks in [acknowledged(60_000), Asks::Others] {
            assert_eq!(out(0, asks), at(1_820));
        }
    }

    #[test]
    fn an_acknowledgement_counts_from_when_it_or_a_later_one_was_read_first() {
        let mut acknowledged = Acknowledged::default();
        assert_eq!(acknowledged.since(Generation(1)), None);
        for (generation, read) in [(5, 100), (5, 200), (4, 300), (8, 400)] {
            acknowledged.read(Generation(generation), at(read));
        }
        let since = [4, 5, 6, 8, 9].map(|it| acknowledged.since(Generation(it)));
        let expected = [100, 100, 400, 400].map(|read| Some(at(read)));
        assert_eq!(since[..4], expected);
        assert_eq!((since[4], acknowledged.newest()), (None, Generation(8)));
    }

    #[test]
    fn an_acknowledgement_read_long_ago_counts_as_read_when_the_next_was() {
        let mut acknowledged = Acknowledged::default();
        for (generation, read) in [(1, 0), (2, 1_000), (3, 31_001)] {
            acknowledged.read(Generation(generation), at(read));
        }
        assert_eq!(acknowledged.since(Generation(1)), Some(at(1_000)));
        assert_eq!(acknowledged.since(Generation(3)), Some(at(31_001)));
    }
}
