//! Why children end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::panics::Panic;

/// Why a child's task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The child stopped by itself.
    Normal,
    /// The child's task was cancelled, by its supervisor or with the whole runtime.
    Killed,
    /// The child left a ping unanswered for this long, so its task was cancelled.
    Hung(Duration),
    /// The child panicked: in its factory, in a handler, or in a future that it spawned.
    Panicked(Panic),
    /// The child is a supervisor, and one of its own children failed too often.
    GaveUp(Arc<GaveUp>),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped"),
            Self::Killed => f.write_str("killed"),
            Self::Hung(silence) => write!(f, "hung: left a ping unanswered for {silence:?}"),
            Self::Panicked(panic) => panic.fmt(f),
            Self::GaveUp(cause) => write!(f, "gave up: {cause}"),
        }
    }
}

/// A child failed more often than its supervisor's [`RestartPolicy`](super::RestartPolicy) allows.
///
/// Supervisors give up one above the other, so `exit` may hold a further `GaveUp`. Displayed, the chain ends with the
/// first cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{child} exited after {restarts} restarts within {window:?}, lastly: {exit}")]
pub struct GaveUp {
    /// Path of the child in the tree.
    pub child: String,
    /// Why it exited the last time.
    pub exit: Exit,
    /// How many restarts within `window` did not help.
    pub restarts: usize,
    /// The window of the restart policy.
    pub window: Duration,
}
