//! Checks whether a server would refuse writes as a primary.

use super::settings::setting;
use super::{Inspection, Stopped};
use crate::adapters::redis::reply;
use crate::adapters::redis::wire::Wire;
use crate::domain::facts::{MinReplicas, Role};
use crate::domain::hindrance::HindranceKind;
use crate::domain::info::Info;

impl Inspection {
    /// Adds a finding in these cases:
    ///
    /// - The server cannot write its disk (`MISCONF`).
    /// - The server is a primary and demands more replicas (`min-replicas-to-write`) than it has.
    /// - The server would demand more replicas than are left once it has taken over.
    ///
    /// If the settings cannot be read, the last two add nothing.
    pub(super) async fn writes(&mut self, wire: &mut Wire, info: &Info) -> Result<(), Stopped> {
        let error = reply::error(&wire.call(&["PING"]).await?);
        let misconf = error.filter(|it| HindranceKind::of(it) == Some(HindranceKind::Misconf));
        if let Some(error) = misconf {
            self.error(
                format!("refuses every write: {error}"),
                "free its disk, then have it save (BGSAVE)",
            );
        }
        let to_write = setting(wire, "min-replicas-to-write").await?;
        let max_lag = setting(wire, "min-replicas-max-lag").await?;
        let number = |setting: Option<String>| setting?.parse().ok();
        let Some((to_write, max_lag)) = number(to_write).zip(number(max_lag)) else {
            return Ok(());
        };
        let settings = MinReplicas { to_write, max_lag };
        let demanded = usize::try_from(settings.demanded()).unwrap_or(usize::MAX);
        if let (Some(Role::Primary { .. }), Some(in_touch)) = (&info.role, info.replicas_in_touch)
            && in_touch < demanded
        {
            self.error(
                format!(
                    "refuses every write (NOREPLICAS): min-replicas-to-write is {demanded}, and {in_touch} replicas are in \
                     touch with it"
                ),
                "bring a replica back, or lower min-replicas-to-write",
            );
        }
        // With `write-safety`, keepers lower the demand to half of the nodes once the node is the primary (RK-9).
        let kept = if self.write_safety {
            demanded.min(self.data_nodes / 2)
        } else {
            demanded
        };
        let left = self.data_nodes.saturating_sub(2);
        if kept > left && self.data_nodes > 1 {
            self.warn(
                format!(
                    "min-replicas-to-write is {demanded}: if the primary died and this node took over, it would have {left} \
                     replicas at most, and refuse every write"
                ),
                "lower min-replicas-to-write, or add a replica",
            );
        }
        Ok(())
    }
}
