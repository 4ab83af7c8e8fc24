//! The kinds of holds, each with one word: the closed list of words for metrics and alarms.

use super::{HindranceAction, Hold};
use crate::domain::claims::OverlapRole;
use crate::domain::hindrance::HindranceKind;

macro_rules! kinds {
    ($($kind:ident $word:literal,)+) => {
        /// A kind of [`Hold`], without its nodes and figures.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum HoldKind {
            $(#[doc = concat!("`", $word, "`")] $kind,)+
        }

        impl HoldKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The word of the kind, in kebab case.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)+
                }
            }
        }
    };
}

kinds! {
    Undecided "undecided",
    Unconfirmed "unconfirmed",
    Flapping "flapping",
    Unacknowledged "unacknowledged",
    SilentKeepers "silent-keepers",
    Draining "draining",
    NoNodeUp "no-node-up",
    NoneEligible "none-eligible",
    SentinelAtWork "sentinel-at-work",
    SentinelPassedOver "sentinel-passed-over",
    SentinelChannel "sentinel-channel",
    OtherGroup "other-group",
    Overlaps "overlaps",
    OverlapsElsewhere "overlaps-elsewhere",
    Contended "contended",
    ChangedFromOutside "changed-from-outside",
    WrongMode "wrong-mode",
    SameServer "same-server",
    ReplicatesFromOutside "replicates-from-outside",
    FailingOver "failing-over",
    ShuttingDown "shutting-down",
    Astray "names-astray",
    Unrelated "unrelated",
    FollowsAnother "follows-another",
    Stranger "stranger",
    CameBack "came-back",
    CameBackBehind "came-back-behind",
    BothWentOn "both-went-on",
    MayHoldMore "may-hold-more",
    NotInFile "not-in-file",
    PrimaryLoading "primary-loading",
    FailedLately "failed-lately",
    NotCommandable "not-commandable",
    NoneCommandable "none-commandable",
    NotLinked "not-linked",
    ReplicasWaiting "replicas-waiting",
    NoSwitchover "no-switchover",
    CoolingDown "cooling-down",
    MinReplicasOutOfReach "min-replicas-out-of-reach",
    TooFewReplicas "too-few-replicas",
    RefusesWrites "refuses-writes",
    WouldRefuseWrites "would-refuse-writes",
    Misconf "misconf",
    Busy "busy",
    ReplicaHindered "replica-hindered",
}

impl Hold {
    /// The kind of the hold. Some variants have two kinds, for a harmless and a serious case: `not-commandable` and
    /// `none-commandable`, for example.
    pub fn kind(&self) -> HoldKind {
        match self {
            Self::Undecided(_) => HoldKind::Undecided,
            Self::Unconfirmed(..) => HoldKind::Unconfirmed,
            Self::Flapping(..) => HoldKind::Flapping,
            Self::Unacknowledged(_) => HoldKind::Unacknowledged,
            Self::SilentKeepers { .. } => HoldKind::SilentKeepers,
            Self::Draining { .. } => HoldKind::Draining,
            Self::NoNodeUp => HoldKind::NoNodeUp,
            Self::NoneEligible { .. } => HoldKind::NoneEligible,
            Self::SentinelAtWork { .. } => HoldKind::SentinelAtWork,
            Self::SentinelPassedOver { .. } => HoldKind::SentinelPassedOver,
            Self::SentinelChannel { .. } => HoldKind::SentinelChannel,
            Self::OtherGroup(_) => HoldKind::OtherGroup,
            Self::Overlaps {
                part: OverlapRole::Without | OverlapRole::Managed,
                ..
            } => HoldKind::OverlapsElsewhere,
            Self::Overlaps { .. } => HoldKind::Overlaps,
            Self::Contended { .. } => HoldKind::Contended,
            Self::ChangedFromOutside { .. } => HoldKind::ChangedFromOutside,
            Self::WrongMode(..) => HoldKind::WrongMode,
            Self::SameServer(..) => HoldKind::SameServer,
            Self::ReplicatesFromOutside { .. } => HoldKind::ReplicatesFromOutside,
            Self::ShuttingDown { .. } => HoldKind::ShuttingDown,
            Self::FailingOver { .. } => HoldKind::FailingOver,
            Self::Astray { .. } => HoldKind::Astray,
            Self::Unrelated { .. } => HoldKind::Unrelated,
            Self::FollowsAnother { .. } => HoldKind::FollowsAnother,
            Self::Stranger { .. } => HoldKind::Stranger,
            Self::CameBack { .. } => HoldKind::CameBack,
            Self::CameBackBehind { .. } => HoldKind::CameBackBehind,
            Self::BothWentOn { .. } => HoldKind::BothWentOn,
            Self::MayHoldMore { .. } => HoldKind::MayHoldMore,
            Self::NotInFile { .. } => HoldKind::NotInFile,
            Self::PrimaryLoading(_) => HoldKind::PrimaryLoading,
            Self::FailedLately { .. } => HoldKind::FailedLately,
            Self::NotCommandable { all: false, .. } => HoldKind::NotCommandable,
            Self::NotCommandable { all: true, .. } => HoldKind::NoneCommandable,
            Self::NotLinked(_) => HoldKind::NotLinked,
            Self::ReplicasWaiting(_) => HoldKind::ReplicasWaiting,
            Self::NoSwitchover(_) => HoldKind::NoSwitchover,
            Self::CoolingDown { .. } => HoldKind::CoolingDown,
            Self::MinReplicasOutOfReach { .. } => HoldKind::MinReplicasOutOfReach,
            Self::TooFewReplicas { .. } => HoldKind::TooFewReplicas,
            Self::Hindered {
                then: HindranceAction::Nothing,
                ..
            } => HoldKind::ReplicaHindered,
            Self::Hindered { kind, .. } => match kind {
                HindranceKind::Misconf => HoldKind::Misconf,
                HindranceKind::Busy => HoldKind::Busy,
            },
            Self::RefusesForReplicas { .. } => HoldKind::RefusesWrites,
            Self::WouldRefuseForReplicas { .. } => HoldKind::WouldRefuseWrites,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_hold_has_a_word_of_its_own_in_kebab_case() {
        let words: BTreeSet<_> = HoldKind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), HoldKind::ALL.len());
        for word in words {
            let kebab = word.bytes().all(|it| it == b'-' || it.is_ascii_lowercase());
            assert!(kebab, "{word}");
        }
    }
}
