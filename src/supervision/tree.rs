//! The state of the tree, readable from any thread even while the actors hang.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::exit::{Exit, GaveUp};

/// A view of the whole tree, for any thread. Supervisors write into it, so a reader waits for no actor.
#[derive(Clone)]
pub struct Tree(pub(super) Node);

impl Tree {
    /// The tree as it is now.
    pub fn snapshot(&self) -> TreeSnapshot {
        self.0.snapshot(Instant::now())
    }
}

/// One child, and below it its own children in the order of their start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeSnapshot {
    /// Its name under its supervisor.
    pub name: String,
    /// The child's state.
    pub state: ChildState,
    /// How often its supervisor has restarted it. A restart of the supervisor itself begins a new count.
    pub restarts: u64,
    /// Why it ended the last time.
    pub last_exit: Option<String>,
    /// Age of its present incarnation; zero if there is none.
    pub uptime: Duration,
    /// Its own children, if it is a supervisor.
    pub children: Vec<TreeSnapshot>,
}

/// The state of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildState {
    /// The child is up.
    Running,
    /// The child is down and will be restarted.
    Restarting {
        /// Time left until then.
        due_in: Duration,
    },
    /// The child is down with its supervisor.
    Stopped,
    /// The child failed too often, or is the supervisor of one that did.
    GivenUp,
}

/// One place in the tree: written by the supervisor above it, and by its actor if that is a supervisor.
#[derive(Clone)]
pub(super) struct Node(Arc<Place>);

struct Place {
    path: String,
    /// Where in `path` the name begins.
    name_at: usize,
    status: Mutex<Status>,
}

struct Status {
    phase: Phase,
    restarts: u64,
    last_exit: Option<Exit>,
    children: Vec<Node>,
}

enum Phase {
    Running { since: Instant },
    Restarting { at: Instant },
    Stopped,
    GivenUp(Arc<GaveUp>),
}

impl Node {
    pub(super) fn root(name: &str) -> Self {
        Self::new(name.to_owned(), 0)
    }

    fn new(path: String, name_at: usize) -> Self {
        let status = Status {
            phase: Phase::Stopped,
            restarts: 0,
            last_exit: None,
            children: Vec::new(),
        };
        Self(Arc::new(Place {
            path,
            name_at,
            status: Mutex::new(status),
        }))
    }

    pub(super) fn path(&self) -> &str {
        &self.0.path
    }

    pub(super) fn name(&self) -> &str {
        &self.0.path[self.0.name_at..]
    }

    pub(super) fn add_child(&self, name: &str) -> Node {
        let child = Self::new(format!("{}/{name}", self.path()), self.path().len() + 1);
        self.status().children.push(child.clone());
        child
    }

    pub(super) fn remove_child(&self, child: &Node) {
        self.status()
            .children
            .retain(|other| !Arc::ptr_eq(&other.0, &child.0));
    }

    pub(super) fn clear_children(&self) {
        self.status().children.clear();
    }

    pub(super) fn running(&self, now: Instant) {
        self.status().phase = Phase::Running { since: now };
    }

    /// Returns how often this child has been restarted, this time included.
    pub(super) fn restarting(&self, exit: Exit, at: Instant) -> u64 {
        let mut status = self.status();
        status.phase = Phase::Restarting { at };
        status.last_exit = Some(exit);
        status.restarts += 1;
        status.restarts
    }

    pub(super) fn stopped(&self) {
        let mut status = self.status();
        if !matches!(status.phase, Phase::GivenUp(_)) {
            status.phase = Phase::Stopped;
        }
    }

    pub(super) fn give_up(&self, cause: Arc<GaveUp>, exit: Exit) {
        let mut status = self.status();
        status.phase = Phase::GivenUp(cause);
        status.last_exit = Some(exit);
    }

    /// The exit in full: a supervisor that gave up left its cause here and then stopped.
    pub(super) fn explain(&self, exit: Exit) -> Exit {
        match (&self.status().phase, exit) {
            (Phase::GivenUp(cause), Exit::Normal) => Exit::GaveUp(cause.clone()),
            (_, exit) => exit,
        }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.0.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self, now: Instant) -> TreeSnapshot {
        let status = self.status();
        let children = status.children.clone();
        let (state, uptime) = match status.phase {
            Phase::Running { since } => (ChildState::Running, now.duration_since(since)),
            Phase::Restarting { at } => {
                let due_in = at.duration_since(now);
                (ChildState::Restarting { due_in }, Duration::ZERO)
            }
            Phase::Stopped => (ChildState::Stopped, Duration::ZERO),
            Phase::GivenUp(_) => (ChildState::GivenUp, Duration::ZERO),
        };
        let (restarts, last_exit) = (status.restarts, status.last_exit.clone());
        drop(status); // never two locks at once
        TreeSnapshot {
            name: self.name().to_owned(),
            state,
            restarts,
            last_exit: last_exit.map(|exit| exit.to_string()),
            uptime,
            children: children.iter().map(|child| child.snapshot(now)).collect(),
        }
    }
}
