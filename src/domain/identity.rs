//! Identifies the process of a keeper that speaks, or that is meant (RK-8).
//!
//! A keeper's id says which keeper a process is configured to be, and an address says where some process listens.
//! Neither says which process answers: several hosts may have one name, and a name may lead back to the asker. So
//! each process draws a nonce, and whatever binds a keeper names its process by the nonce.

use std::fmt;

use super::node::KeeperId;

/// A random number that a process draws at its start: no two processes have the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce(String);

impl Nonce {
    /// The nonce of a process that has drawn these bits.
    pub fn drawn(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// A nonce that another process has written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The nonce as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One process of a keeper.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeeperProcess {
    /// The keeper that it is configured to be.
    pub id: KeeperId,
    /// The nonce of this process.
    pub nonce: Nonce,
}

impl KeeperProcess {
    /// The process of `id` with this nonce.
    pub fn new(id: KeeperId, nonce: Nonce) -> Self {
        Self { id, nonce }
    }
}

impl fmt::Display for KeeperProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.id, self.nonce)
    }
}

/// The place where a process runs, as far as loopback addresses go: processes at the same place reach each other by
/// them.
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
