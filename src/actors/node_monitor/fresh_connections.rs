//! Limits how many new connections one process opens at once beside silent ones.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

/// How many connections one process opens at once beside probes without an answer. A firewall that forgets all flows
/// at one moment must not get a new connection for each of them in the next.
const AT_ONCE: usize = 64;

/// How many trials of commands run at once. A trial can wait, and takes no turn from a new connection beside a silent
/// one.
const TRIALS_AT_ONCE: usize = 8;

/// The least time that a new connection has before it makes way for others that wait.
pub(super) const LEAST_TURN: Duration = Duration::from_millis(50);

/// The turns of the monitors of a process.
#[derive(Debug)]
pub struct FreshConnections {
    turns: Semaphore,
    trials: Semaphore,
    waiting: Cell<usize>,
}

/// The permission to open one connection. The turn ends when this is dropped.
pub(super) struct Turn<'f> {
    fresh: &'f FreshConnections,
    _permit: Option<SemaphorePermit<'f>>,
}

/// Counts one monitor that waits.
struct Waits<'f>(&'f Cell<usize>);

// === impl FreshConnections ===

impl Default for FreshConnections {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            trials: Semaphore::new(TRIALS_AT_ONCE),
            waiting: Cell::new(0),
        }
    }
}

impl FreshConnections {
    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let _waits = Waits::new(&self.waiting);
        Turn {
            fresh: self,
            // The semaphore is never closed.
            _permit: self.turns.acquire().await.ok(),
        }
    }

    /// Waits for the permission to try commands. The permission ends when it is dropped.
    pub(super) async fn trial(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.trials.acquire().await.ok()
    }
}

// === impl Turn ===

impl Turn<'_> {
    /// Resolves once `patience` is over and another monitor waits.
    pub(super) async fn is_contended(&self, patience: Duration) {
        sleep(patience).await;
        while self.fresh.waiting.get() == 0 {
            sleep(LEAST_TURN).await;
        }
    }
}

// === impl Waits ===

impl<'f> Waits<'f> {
    fn new(waiting: &'f Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
