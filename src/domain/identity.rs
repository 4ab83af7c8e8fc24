//! Which run of a keeper speaks, or is meant (RK-8).
//!
//! A keeper's id says who it is configured to be; an address says where somebody listens. Neither says which process
//! answers: several hosts may bear one name, and a name may lead back to whoever asks. So each run of the program draws
//! a nonce, and whatever binds a keeper names the run by it.

use std::fmt;

use super::node::KeeperId;

/// Drawn at random when a process starts: no two processes have the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce(String);

impl Nonce {
    /// Of a process that has drawn these bits.
    pub fn drawn(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// As another process has written it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of a keeper.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeeperProcess {
    /// The keeper that it is configured to be.
    pub id: KeeperId,
    /// What tells this run from every other.
    pub nonce: Nonce,
}

impl KeeperProcess {
    /// The run of `id` with this nonce.
    pub fn new(id: KeeperId, nonce: Nonce) -> Self {
        Self { id, nonce }
    }
}

impl fmt::Display for KeeperProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.id, self.nonce)
    }
}

/// Where a process runs, as far as loopback addresses go: processes with the same place reach each other by them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(String);

impl Place {
    /// The place with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
