//! Why a keeper votes a node down.

/// Why a keeper votes a node down (RK-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DownReason {
    /// A connection was refused.
    Refused,
    /// The connection was closed or reset before an answer.
    Closed,
    /// No answer within the probe timeout.
    Unanswered,
    /// The node answers, but has been loading its data set for longer than the mark-down time: down as a primary
    /// only.
    Loading,
    /// The node answers nothing but `BUSY` for `busy-seconds`: down as a primary only.
    Busy,
    /// Another process answers in the server's place, and not as the server
    /// ([`Unproven`](crate::domain::unproven::Unproven)). Only a primary gets this vote.
    Impostor,
}

impl DownReason {
    /// The node answers, though it serves nobody: down as a primary only.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Loading | Self::Busy)
    }
}
