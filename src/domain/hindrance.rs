//! A server that lives, but answers errors of its own instead of serving its clients.
//!
//! Any answer proves life (RK-1), so such a server is not voted down as silent. Keepers report it, and may replace it
//! for other reasons.

use super::node::Moment;

/// The error that keeps a server from serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// Which kind.
    pub kind: HindranceKind,
    /// When the server first answered so, without another answer since.
    pub since: Moment,
    /// The first sentence of the error.
    pub said: String,
}

/// Kinds of hindrances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HindranceKind {
    /// The server cannot write to its disk, and refuses every write (`MISCONF`).
    Misconf,
    /// A script or a function runs in the server, and meanwhile the server serves nobody (`BUSY`).
    Busy,
}

impl HindranceKind {
    /// The hindrance that an error reply shows, if any.
    pub fn of(error: &str) -> Option<Self> {
        match error.split(' ').next()? {
            "MISCONF" => Some(Self::Misconf),
            "BUSY" => Some(Self::Busy),
            _ => None,
        }
    }
}

impl Hindrance {
    /// The hindrance after an answer at `now`, which was `error` or no error. `known` is the hindrance before.
    pub fn seen(known: Option<Self>, error: Option<&str>, now: Moment) -> Option<Self> {
        let error = error?;
        let kind = HindranceKind::of(error)?;
        let same = known.filter(|known| known.kind == kind);
        Some(Self {
            kind,
            since: same.map_or(now, |known| known.since),
            said: error.split(". ").next().unwrap_or(error).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn it_lasts_from_the_first_answer_of_its_kind_to_the_first_of_another() {
        let busy = Some("BUSY Redis is busy running a script. You can only call SCRIPT KILL");
        let first = Hindrance::seen(None, busy, at(1));
        let again = Hindrance::seen(first, busy, at(5)).expect("it lasts");
        assert_eq!((again.kind, again.since), (HindranceKind::Busy, at(1)));
        assert_eq!(again.said, "BUSY Redis is busy running a script");
        let full = Some("MISCONF Errors writing to the AOF file: No space left on device");
        let other = Hindrance::seen(Some(again.clone()), full, at(6)).expect("another");
        assert_eq!((other.kind, other.since), (HindranceKind::Misconf, at(6)));
        for well in [
            None,
            Some("BUSYGROUP name exists"),
            Some("NOAUTH"),
            Some(""),
        ] {
            assert_eq!(Hindrance::seen(Some(again.clone()), well, at(7)), None);
        }
    }
}
