//! A keeper's contact with ZooKeeper, by its heartbeats, and its attempts to get it.

use std::time::Duration;

use crate::domain::authority::LastContact;
use crate::domain::node::Moment;

/// The wait before the first attempt after a failure; each further wait is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// The longest wait before the next attempt.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// Since when a keeper is in contact with ZooKeeper.
#[derive(Debug)]
pub struct Contact {
    started: Moment,
    /// Since when heartbeats are confirmed on this connection.
    since: Option<Moment>,
    /// When the last heartbeat was confirmed, on any connection.
    heard: Option<Moment>,
    /// The wait before the next attempt.
    retry: Duration,
    /// How often this keeper has begun on a connection.
    beginnings: u64,
}

impl Contact {
    /// The contact of a process that was started at `started`: none yet.
    pub fn new(started: Moment) -> Self {
        Self {
            started,
            since: None,
            heard: None,
            retry: FIRST_RETRY,
            beginnings: 0,
        }
    }

    /// Begins on a connection. Returns the number of this beginning.
    pub fn begins(&mut self) -> u64 {
        self.beginnings += 1;
        self.beginnings
    }

    /// Notes that this keeper has joined: the next failure is the first one again.
    pub fn joined(&mut self) {
        self.retry = FIRST_RETRY;
    }

    /// The wait before the next attempt, after a failure.
    pub fn next_retry(&mut self) -> Duration {
        let wait = self.retry;
        self.retry = (wait * 2).min(LONGEST_RETRY);
        wait
    }

    /// Notes a confirmed heartbeat.
    pub fn made(&mut self, now: Moment) {
        self.since.get_or_insert(now);
        self.heard = Some(now);
    }

    /// Notes that the connection is lost or new.
    pub fn lost(&mut self) {
        self.since = None;
    }

    /// For how long heartbeats are confirmed on this connection; `None` if none was.
    pub fn lasts(&self, now: Moment) -> Option<Duration> {
        self.since.map(|since| now.since(since))
    }

    /// When the last heartbeat was confirmed, on any connection.
    pub fn last(&self, now: Moment) -> LastContact {
        match self.heard {
            Some(heard) => LastContact::Lost(now.since(heard)),
            None => LastContact::Never(self.running(now)),
        }
    }

    /// How long this process has run.
    pub fn running(&self, now: Moment) -> Duration {
        now.since(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn contact_lasts_from_the_first_confirmed_heartbeat_of_a_connection() {
        let mut contact = Contact::new(at(1));
        let second = Duration::from_secs(1);
        assert_eq!(contact.lasts(at(2)), None);
        assert_eq!(contact.last(at(2)), LastContact::Never(second));
        contact.made(at(2));
        contact.made(at(4));
        assert_eq!(contact.lasts(at(5)), Some(3 * second));
        assert_eq!(contact.last(at(5)), LastContact::Lost(second));
        contact.lost();
        assert_eq!(contact.lasts(at(5)), None);
        assert_eq!(contact.last(at(6)), LastContact::Lost(2 * second));
        assert_eq!(contact.running(at(6)), 5 * second);
    }

    #[test]
    fn attempts_come_more_rarely_until_this_keeper_has_joined() {
        let mut contact = Contact::new(at(0));
        let waits = [(); 6].map(|()| contact.next_retry().as_millis());
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 2_000]);
        contact.joined();
        assert_eq!(contact.next_retry(), FIRST_RETRY);
    }
}
