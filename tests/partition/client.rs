//! A client that writes through the proxy of its own host, and records each acknowledgement.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keeper_site::session::Session;
use redis::RedisResult;
use tokio::time::{Instant, sleep};

use super::figures::Acknowledgement;
use super::network::Host;

/// The time between two writes of a client, and before a new session after an error.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// Writes `1:1`, `1:2`, … (client number, write number) one after another, until dropped or stopped.
pub(crate) struct Client {
    diary: Arc<Mutex<Diary>>,
}

#[derive(Default)]
struct Diary {
    acknowledged: Vec<Acknowledgement>,
    stopped: bool,
}

/// The data of a client that writes.
struct Writing {
    client: usize,
    proxy: SocketAddrV4,
    start: Instant,
    diary: Arc<Mutex<Diary>>,
}

/// The key of a write.
pub(crate) fn key(client: usize, number: u64) -> String {
    format!("{client}:{number}")
}

// === impl Client ===

impl Client {
    /// Begins to write on `host`, through its port `port`. Times count from `start`.
    pub(crate) fn start(host: &Host, port: u16, start: Instant) -> Self {
        let diary = Arc::<Mutex<Diary>>::default();
        let writing = Writing {
            client: host.number(),
            proxy: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
            start,
            diary: Arc::clone(&diary),
        };
        host.start(|| writing.go_on());
        Self { diary }
    }

    /// The latest acknowledged write.
    pub(crate) fn latest(&self) -> Option<Acknowledgement> {
        self.with(|diary| diary.acknowledged.last().copied())
    }

    /// Stops writing. Returns all acknowledgements.
    pub(crate) fn stop(&self) -> Vec<Acknowledgement> {
        self.with(|diary| {
            diary.stopped = true;
            std::mem::take(&mut diary.acknowledged)
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Diary) -> T) -> T {
        look(&mut self.diary.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.with(|diary| diary.stopped = true);
    }
}

// === impl Writing ===

impl Writing {
    async fn go_on(self) {
        let mut number = 0;
        while !self.is_stopped() {
            let _ = self.use_up(&mut number).await;
            sleep(PAUSE).await;
        }
    }

    /// Writes until a session ends, or the server refuses a write.
    async fn use_up(&self, number: &mut u64) -> RedisResult<()> {
        let mut session = Session::open(self.proxy).await?;
        while !self.is_stopped() {
            *number += 1;
            let words = ["SET", &key(self.client, *number), &number.to_string()];
            session.ask::<()>(&words).await?;
            self.note(Acknowledgement {
                client: self.client,
                node: session.node(),
                number: *number,
                at: self.start.elapsed(),
            });
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn note(&self, acknowledgement: Acknowledgement) {
        let mut diary = self.diary.lock().unwrap_or_else(PoisonError::into_inner);
        if !diary.stopped {
            diary.acknowledged.push(acknowledgement);
        }
    }

    fn is_stopped(&self) -> bool {
        let diary = self.diary.lock().unwrap_or_else(PoisonError::into_inner);
        diary.stopped
    }
}
