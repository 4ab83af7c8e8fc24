//! A failover by Redis's own command, in words.

use std::fmt;

use crate::domain::facts::ServerFailover;
use crate::domain::node::NodeAddr;

/// Somebody has `node` fail over; it may follow a server `outside` already, which is not configured.
pub(super) fn failing_over(
    f: &mut fmt::Formatter<'_>,
    node: &NodeAddr,
    state: ServerFailover,
    outside: Option<&NodeAddr>,
) -> fmt::Result {
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
    f.write_str(": it takes no writes until that ends, or until FAILOVER ABORT there")
}
