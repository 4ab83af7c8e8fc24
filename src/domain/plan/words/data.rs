//! The words of holds that keep data from being lost.

use std::fmt;

use super::super::Hold;

impl Hold {
    /// A node may have data that other nodes lack (RK-6, RK-7).
    pub(super) fn of_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CameBackBehind { node, holder } => write!(
                f,
                "{node} came back with less data than {holder} had, and {holder} has not answered since: {node} is \
                 replaced once {holder} answers, accepted once a majority of the keepers holds {holder} down"
            ),
            Self::CameBack { node, holder } => write!(
                f,
                "{node} was restarted, and {holder} has not answered since: its data are compared with those of {holder}, or \
                 accepted once it has been up for the mark-down time"
            ),
            Self::BothWentOn { primary, other } => write!(
                f,
                "{other} was made a primary while {primary} was away, and was written to: neither is made a replica of the \
                 other. Have the one whose writes are to be lost follow the other (REPLICAOF)"
            ),
            Self::MayHoldMore {
                node,
                why_undecided,
                best,
                bytes,
            } => {
                let more = bytes.map_or("a newer history".to_owned(), |bytes| {
                    format!("{bytes} bytes more")
                });
                write!(
                    f,
                    "{node} was last read with {more} than {best} has, and cannot take over now ({why_undecided}): it is waited for \
                     until it can, or a majority of the keepers holds it down, for the mark-down time (twice that time if it failed a \
                     command)"
                )
            }
            _ => Ok(()),
        }
    }
}
