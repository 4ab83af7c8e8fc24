//! The reasons why a keeper does not go on without ZooKeeper any more, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::node::KeeperId;

/// The reason for the end of a lease by consent.
pub enum Over<'a> {
    /// This keeper has left the group.
    Left,
    /// This keeper has no lease to go on from.
    Revoked,
    /// `failsafe-max-seconds` have passed since the lease ran out.
    Limit,
    /// ZooKeeper holds a newer state than the applied one.
    Superseded,
    /// This keeper does not know which keepers have to consent.
    NobodyKnown,
    /// ZooKeeper answers.
    InTouch,
    /// Keepers refuse their consent, for these reasons.
    Refused(&'a BTreeMap<KeeperId, String>),
    /// Not all of these keepers have consented in time.
    Late(BTreeSet<KeeperId>),
}

impl fmt::Display for Over<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |items: Vec<String>, by: &str| items.join(by);
        f.write_str(match self {
            Self::Left => "this keeper takes part no more",
            Self::Revoked => "the lease was revoked",
            Self::Limit => "failsafe-max-seconds are over",
            Self::Superseded => "ZooKeeper holds a newer state, which has not been applied yet",
            Self::NobodyKnown => {
                "it is not known which keepers have to consent: ZooKeeper does not hold their registrations as they were"
            }
            Self::InTouch => "ZooKeeper answers again, and no heartbeat has earned a lease yet",
            Self::Refused(why) => {
                let why = why.iter().map(|(id, why)| format!("{id}: {why}"));
                let why = joined(why.collect(), "; ");
                return write!(f, "not all keepers consent: {why}");
            }
            Self::Late(asked) => {
                let asked = joined(asked.iter().map(ToString::to_string).collect(), ", ");
                return write!(f, "no consent in time from all of: {asked}");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_failsafe_is_over_is_always_said() {
        let keeper = KeeperId::new("k1");
        let refused = BTreeMap::from([(keeper.clone(), "it reaches ZooKeeper".to_owned())]);
        let said = [
            (
                Over::Late([keeper].into()),
                "no consent in time from all of: k1",
            ),
            (
                Over::Refused(&refused),
                "not all keepers consent: k1: it reaches ZooKeeper",
            ),
            (Over::InTouch, "answers again"),
            (Over::NobodyKnown, "not known which keepers"),
            (Over::Superseded, "newer state"),
            (Over::Limit, "failsafe-max-seconds"),
            (Over::Revoked, "revoked"),
            (Over::Left, "takes part no more"),
        ];
        for (over, wanted) in said {
            assert!(over.to_string().contains(wanted), "{over}");
        }
    }
}
