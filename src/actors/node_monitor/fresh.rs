//! New connections beside silent ones: so many at once in one process.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

/// What one process opens at once beside probes that are not answered. A firewall that forgets all flows at one moment
/// must not meet a connection for each of them in the next.
const AT_ONCE: usize = 64;

/// Trials of commands at once: they are no hurry, and take no turn from a new connection beside a silent one.
const TRIALS_AT_ONCE: usize = 8;

/// The least time that a new connection is given before it makes way for others that wait.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// The turns that the monitors of a process take.
#[derive(Debug)]
pub struct FreshConnections {
    turns: Semaphore,
    trials: Semaphore,
    waiting: Cell<usize>,
}

/// Leave to open one connection; ends when it is dropped.
pub(super) struct Turn<'f> {
    fresh: &'f FreshConnections,
    _permit: Option<SemaphorePermit<'f>>,
}

/// Counts one that waits.
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

    /// Waits for leave to try what commands would be answered; it ends when it is dropped.
    pub(super) async fn trial(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.trials.acquire().await.ok()
    }
}

// === impl Turn ===

impl Turn<'_> {
    /// Resolves once `patience` is over and others wait.
    pub(super) async fn is_wanted(&self, patience: Duration) {
        sleep(patience).await;
        while self.fresh.waiting.get() == 0 {
            sleep(PATIENCE).await;
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
