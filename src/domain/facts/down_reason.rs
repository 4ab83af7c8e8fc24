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
    /// It answers, but has been loading its data set past the mark-down time: down as a primary only.
    Loading,
    /// It answers, but nothing other than `BUSY` for `busy-seconds`: down as a primary only.
    Busy,
    /// Another process answers in its place, and not as the server ([`Unproven`](crate::domain::unproven::Unproven)); cast for a primary only.
    Impostor,
}

impl DownReason {
    /// It answers whoever asks, though it serves nobody: down as a primary only.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Loading | Self::Busy)
    }
}
