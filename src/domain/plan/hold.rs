//! Reasons why nothing (more) is done, compared.

use std::time::Duration;

use super::Hold;

impl Hold {
    /// Whether anything is left undone for this reason.
    pub(in crate::domain) fn blocks(&self) -> bool {
        !matches!(
            self,
            Self::SentinelPassedOver { .. } | Self::SentinelChannel { .. }
        )
    }

    /// Whether it is the same reason, however much time has passed.
    pub fn same_as(&self, other: &Self) -> bool {
        let timeless = |hold: &Self| {
            let mut hold = hold.clone();
            match &mut hold {
                Self::CoolingDown { left, .. }
                | Self::Draining { left, .. }
                | Self::ChangedFromOutside { left } => {
                    *left = Duration::ZERO;
                }
                Self::SentinelAtWork { left, .. } => *left = left.map(|_| Duration::ZERO),
                Self::SilentKeepers { left, .. } => {
                    *left = left.keys().map(|it| (it.clone(), Duration::ZERO)).collect();
                }
                Self::Unconfirmed(_, reason) => *reason = reason.lasting(),
                _ => {}
            }
            hold
        };
        timeless(self) == timeless(other)
    }
}
