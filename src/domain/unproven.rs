//! A server that answers at a node's address, and does not say which process it is (RK-1, RK-7).
//!
//! An answer proves the life of the process that gave it. If no process has named itself on the connection, the
//! answer does not prove that the published process lives. One of these may answer:
//! - another server, with another password;
//! - a server of another kind;
//! - the published server itself, whose password was changed.

use super::node::Moment;

/// Errors that Redis answers for a while to clients that it knows: the first word of each.
const OF_ITS_OWN: [&str; 6] = [
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
];

/// Part of the error of a server that has as many clients as it admits.
const FULL: &str = "max number of clients";

/// Whether the error shows a passing state of Redis, and nothing of which server answers.
pub fn is_passing(error: &str) -> bool {
    let code = error.split(' ').next();
    code.is_some_and(|code| OF_ITS_OWN.contains(&code)) || error.contains(FULL)
}

/// The answers at a node do not say which process gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unproven {
    /// When a process last named itself there. If none has, when this keeper began to watch the node.
    pub since: Moment,
    /// A process named itself at that moment.
    pub known: bool,
    /// When the first of the last refusals in a row came since, if any came: nobody listened, so the process had
    /// ended.
    pub refused: Option<Moment>,
    /// No plain Redis server gives such answers to any client.
    pub foreign: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_says_nothing() {
        for error in [
            "BUSY Redis is busy running a script.",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down",
            "MISCONF Redis is configured to save RDB snapshots",
            "OOM command not allowed",
            "ERR max number of clients reached",
            "LOADING",
        ] {
            assert!(is_passing(error), "{error}");
        }
        for error in [
            "NOAUTH Authentication required.",
            "ERR no upstream host",
            "BUSYGROUP",
            "",
        ] {
            assert!(!is_passing(error), "{error}");
        }
    }
}
