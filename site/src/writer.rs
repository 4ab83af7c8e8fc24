//! A client that keeps writing, and remembers which writes were acknowledged.

use std::net::SocketAddrV4;
use std::ops::RangeFrom;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::redis::{Redis, connect};
use super::wait::{SOON, eventually};
use crate::BACKGROUND;

/// The time between two writes, and before a new attempt after an error.
const PAUSE: Duration = Duration::from_millis(2);

/// The events that a [`Writer`] has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Diary {
    /// The numbers of the acknowledged writes.
    pub acknowledged: Vec<u64>,
    /// Replies that refused a write, as text: `READONLY …`, `LOADING …`.
    pub refusals: Vec<String>,
    /// Established sessions that the other side closed, or that left a write unanswered.
    pub cut_sessions: usize,
    /// Connections that never became sessions.
    pub failed_connects: usize,
    /// The longest time between two acknowledgements.
    pub longest_gap: Duration,
    latest: Option<Instant>,
}

/// Writes `writer:1`, `writer:2`, … one after another in a session. After each error it opens a new session.
pub struct Writer {
    diary: Arc<Mutex<Diary>>,
    task: AbortHandle,
}

// === impl Writer ===

impl Writer {
    /// Writes to `at`, a proxy or a server, until dropped.
    pub fn start(at: SocketAddrV4) -> Self {
        Self::start_with(at, 1)
    }

    /// Writes to `at` with numbers from `first` on, so that they differ from an earlier writer's.
    pub fn start_with(at: SocketAddrV4, first: u64) -> Self {
        let diary = Arc::default();
        let task = BACKGROUND.spawn(write(at, first.., Arc::clone(&diary)));
        let task = task.abort_handle();
        Self { diary, task }
    }

    /// The diary so far.
    pub fn diary(&self) -> Diary {
        open(&self.diary).clone()
    }

    /// Waits until `count` more writes are acknowledged.
    pub async fn wait_writes(&self, count: usize) {
        let goal = self.diary().acknowledged.len() + count;
        eventually(SOON, format_args!("{count} more writes"), async || {
            let diary = self.diary();
            let done = (diary.acknowledged.len() >= goal).then_some(());
            done.ok_or_else(|| {
                format!(
                    "{} of {goal}: {:?}",
                    diary.acknowledged.len(),
                    diary.refusals.last()
                )
            })
        })
        .await;
    }

    /// Stops writing, and returns the diary.
    pub fn stop(self) -> Diary {
        self.task.abort();
        self.diary()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Diary {
    fn acknowledge(&mut self, number: u64) {
        let now = Instant::now();
        if let Some(before) = self.latest.replace(now) {
            self.longest_gap = self.longest_gap.max(now - before);
        }
        self.acknowledged.push(number);
    }

    /// The acknowledged numbers that `redis` does not hold.
    pub async fn lost_at(&self, redis: &Redis) -> Vec<u64> {
        let mut reads = redis::pipe();
        for number in &self.acknowledged {
            reads.exists(key(*number));
        }
        let mut connection = redis.connect().await.expect("a connection");
        let held: RedisResult<Vec<bool>> = reads.query_async(&mut connection).await;
        let held = held.unwrap_or_else(|error| panic!("reading at {}: {error}", redis.at()));
        let pairs = self.acknowledged.iter().zip(held);
        pairs
            .filter(|(_, held)| !held)
            .map(|(number, _)| *number)
            .collect()
    }
}

fn key(number: u64) -> String {
    format!("writer:{number}")
}

fn open(diary: &Mutex<Diary>) -> MutexGuard<'_, Diary> {
    diary.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(at: SocketAddrV4, mut numbers: RangeFrom<u64>, diary: Arc<Mutex<Diary>>) {
    loop {
        if let Ok(session) = connect(at).await {
            use_up(session, &mut numbers, &diary).await;
            open(&diary).cut_sessions += 1;
        } else {
            open(&diary).failed_connects += 1;
        }
        sleep(PAUSE).await;
    }
}

/// Writes until the session ends.
async fn use_up(
    mut session: MultiplexedConnection,
    numbers: &mut RangeFrom<u64>,
    diary: &Mutex<Diary>,
) {
    for number in numbers {
        let mut command = redis::cmd("SET");
        command.arg(key(number)).arg(number);
        match command.query_async(&mut session).await {
            Ok(()) => open(diary).acknowledge(number),
            Err(error) if error.is_timeout() || error.is_unrecoverable_error() => return,
            Err(error) => open(diary).refusals.push(error.to_string()),
        }
        sleep(PAUSE).await;
    }
}
