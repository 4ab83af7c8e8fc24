//! The words of holds because of Redis's own `FAILOVER` or `SHUTDOWN`.

use std::fmt;

use crate::domain::node::Moment;
use crate::domain::plan::Hold;

impl Hold {
    /// The node fails over, and may already follow a server that is not configured; or the node is shutting down.
    pub(super) fn failing_over(&self, f: &mut fmt::Formatter<'_>, now: Moment) -> fmt::Result {
        if let Self::ShuttingDown { node, until, why } = self {
            return write!(
                f,
                "{node} is shutting down: it takes no writes while it waits for replicas that lag, for another {:.1} s at most \
                 (shutdown-timeout), or until SHUTDOWN ABORT there. Nobody takes over: {why}",
                until.since(now).as_secs_f64()
            );
        }
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
