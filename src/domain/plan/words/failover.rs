//! A failover by Redis's own command, in words.

use std::fmt;

use crate::domain::plan::Hold;

impl Hold {
    /// Somebody has the node fail over; it may follow a server already that is not configured.
    pub(super) fn failing_over(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::FailingOver {
            node,
            state,
            outside,
        } = self
        else {
            return Ok(());
        };
        write!(
            f,
            "{node} was told to FAILOVER (master_failover_state {state})"
        )?;
        if let Some(outside) = outside {
            write!(
                f,
                ", follows {outside}, which is not configured here, and is left alone"
            )?;
        }
        f.write_str(": it takes no writes until that ends, or until FAILOVER ABORT there, which leaves it the primary")
    }
}
