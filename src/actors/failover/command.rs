//! A connection for one command (RK-4), whoever decided it: this keeper as the leader, or another that gave a task.

use crate::domain::node::{ClusterName, Epoch, NodeAddr};
use crate::ports::redis::{CommandConnection, CommandError, Redis};

/// A connection to `node` for one command of `epoch`, with every command that may still be under way there fenced off: an
/// older leader's, and one of this leadership whose outcome is not known. What guards the command is asked after this.
pub(super) async fn open(
    redis: &dyn Redis,
    cluster: &ClusterName,
    node: &NodeAddr,
    epoch: Epoch,
) -> Result<Box<dyn CommandConnection>, CommandError> {
    let node = redis.node(cluster, node);
    let mut connection = node.command(epoch).await?;
    connection.fence().await?;
    Ok(connection)
}
