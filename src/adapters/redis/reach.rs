//! Tells apart whether one destination is out of reach, or the network of this host is down (RK-1).
//!
//! A route or a policy can forbid one destination. Then `connect` fails at once, with an error that a network that is
//! down can give, too. So this module at once tries new connections to other destinations:
//!
//! - A destination on another host answers or refuses: the network works. The failure is the first destination's.
//! - Only a destination on this host answers: no proof that the network works. The answer counts only for
//!   errors that never mean a missing network (`EINVAL`, `EACCES`: a route forbids this very destination).
//! - No destination answers, or none is known: the failure is this host's own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::select_all;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The number of destinations that are remembered.
const REMEMBERED: usize = 16;

/// The number of destinations that are tried at once.
const TRIED: usize = 4;

/// The time limit for one trial.
const ANSWER_WITHIN: Duration = Duration::from_millis(50);

/// The time for which the result of a trial is used again.
const FRESH: Duration = Duration::from_secs(1);

/// The farthest destination that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reached {
    Nobody,
    ThisHost,
    AnotherHost,
}

/// The destinations to which this process has connected.
#[derive(Default)]
pub(super) struct Reach {
    /// The most recent destination comes last.
    recent: RefCell<VecDeque<Destination>>,
    found: RefCell<Option<Found>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Destination {
    addr: SocketAddr,
    on_this_host: bool,
}

/// The result of the last trial.
struct Found {
    at: Instant,
    /// The failed destination, which the trial left out.
    but: IpAddr,
    reached: Reached,
}

// === impl Reach ===

impl Reach {
    /// Remembers the destination of a connection that was made.
    pub(super) fn note(&self, connected: &TcpStream) {
        let (Ok(near), Ok(far)) = (connected.local_addr(), connected.peer_addr()) else {
            return;
        };
        let destination = Destination {
            addr: far,
            on_this_host: near.ip() == far.ip() || far.ip().is_loopback(),
        };
        let mut recent = self.recent.borrow_mut();
        recent.retain(|known| known.addr != far);
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(destination);
    }

    /// The farthest destination, other than `but`, that answers now.
    pub(super) async fn others(&self, but: IpAddr) -> Reached {
        if let Some(found) = &*self.found.borrow()
            && found.but == but
            && found.at.elapsed() < FRESH
        {
            return found.reached;
        }
        let at = Instant::now();
        let reached = self.try_others(but).await;
        self.found.replace(Some(Found { at, but, reached }));
        reached
    }

    async fn try_others(&self, but: IpAddr) -> Reached {
        let mut candidates: Vec<_> = self.recent.borrow().iter().copied().collect();
        candidates.retain(|it| it.addr.ip() != but);
        candidates.reverse();
        // A destination on another host is the best evidence, so it is tried first.
        candidates.sort_by_key(|it| it.on_this_host);
        candidates.truncate(TRIED);
        let mut trials: Vec<_> = candidates
            .into_iter()
            .map(|it| Box::pin(answers(it)))
            .collect();
        let mut most = Reached::Nobody;
        while !trials.is_empty() && most != Reached::AnotherHost {
            let (reached, _, rest) = select_all(trials).await;
            most = most.max(reached);
            trials = rest;
        }
        most
    }
}

async fn answers(destination: Destination) -> Reached {
    let connected = timeout(ANSWER_WITHIN, TcpStream::connect(destination.addr)).await;
    let answered = match connected {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    };
    match (answered, destination.on_this_host) {
        (false, _) => Reached::Nobody,
        (true, true) => Reached::ThisHost,
        (true, false) => Reached::AnotherHost,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn server(ip: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((ip, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        (listener, addr)
    }

    #[tokio::test]
    async fn without_another_destination_nobody_is_reached() {
        let reach = Reach::default();
        let (_one, addr) = server("127.0.0.1").await;
        reach.note(&TcpStream::connect(addr).await.expect("connected"));
        assert_eq!(reach.others(addr.ip()).await, Reached::Nobody);
    }

    #[tokio::test]
    async fn another_destination_counts_as_what_it_is_and_while_it_answers() {
        let reach = Reach::default();
        let (other, addr) = server("127.0.0.2").await;
        reach.note(&TcpStream::connect(addr).await.expect("connected"));
        let but = "127.0.0.1".parse().expect("an address");
        assert_eq!(reach.others(but).await, Reached::ThisHost);
        // As if the destination were on another host.
        reach.recent.borrow_mut()[0].on_this_host = false;
        reach.found.take();
        assert_eq!(reach.others(but).await, Reached::AnotherHost);
        drop(other);
        reach.found.take();
        assert_eq!(reach.others(but).await, Reached::AnotherHost, "it refuses");
        reach.recent.borrow_mut()[0].addr = "255.255.255.255:1".parse().expect("an address");
        reach.found.take();
        assert_eq!(
            reach.others(but).await,
            Reached::Nobody,
            "it is out of reach"
        );
    }
}
