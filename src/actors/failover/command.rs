//! Opens the connection for one command (RK-4). The command was decided by this keeper as the leader, or by a leader
//! that gave this keeper a task.

use crate::actors::Directory;
use crate::actors::messages::{ReadEpoch, Reconnect, WriteError};
use crate::actors::zk_session::ZkSession;
use crate::domain::node::{ClusterName, Epoch, NodeAddr};
use crate::ports::redis::{CommandConnection, CommandError, Fence, Redis};
use crate::supervision::ChildRef;

/// Everything that opening a connection needs of others.
pub(super) struct CommandContext<'a> {
    pub(super) redis: &'a dyn Redis,
    pub(super) clusters: &'a Directory,
    pub(super) session: &'a ChildRef<ZkSession>,
}

/// The server to command.
pub(super) struct Target<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) node: &'a NodeAddr,
    /// The run id in the facts from which the command was decided.
    pub(super) run_id: Option<&'a str>,
}

/// The leadership in whose name the command is sent.
pub(super) struct CommandAuthority<'a> {
    pub(super) epoch: Epoch,
    pub(super) latch: &'a str,
}

/// How often a connection is opened for one command if the server ends it each time.
const ATTEMPTS: u32 = 5;

/// Opens a connection for one command. Before it returns, these hold:
/// - The connection leads to the server that was decided about, proven by its run id.
/// - Earlier commands there are fenced off: those of older leaders, and those of this leadership with an unknown
///   outcome.
///
/// The caller asks for the guard after this call. If another server answers there now, its monitor reads it at once.
///
/// A connection that the server ends meanwhile is opened again, up to [`ATTEMPTS`] times: no command was sent on it.
pub(super) async fn open(
    means: CommandContext<'_>,
    target: Target<'_>,
    authority: CommandAuthority<'_>,
) -> Result<Box<dyn CommandConnection>, CommandError> {
    let mut attempts = 1;
    loop {
        match open_once(&means, &target, &authority).await {
            Err(CommandError::Cut(_)) if attempts < ATTEMPTS => attempts += 1,
            opened => return opened,
        }
    }
}

async fn open_once(
    means: &CommandContext<'_>,
    target: &Target<'_>,
    authority: &CommandAuthority<'_>,
) -> Result<Box<dyn CommandConnection>, CommandError> {
    let Target { cluster, node, .. } = target;
    let run_id = target.run_id.ok_or_else(|| {
        CommandError::NotDone(format!("{node}: nothing is known of the server there"))
    })?;
    let opened = means.redis.node(cluster, node);
    let mut connection = opened.command(authority.epoch).await?;
    let found = connection.run_id();
    if found != run_id {
        if let Some(monitor) = means.clusters.monitor(cluster.as_str(), node) {
            monitor.do_send(Reconnect);
        }
        return Err(CommandError::NotDone(format!(
            "{node}: another server answers there now (run_id {found}) than the one that was decided about ({run_id})"
        )));
    }
    if let Fence::Newer(seen) = connection.fence(None).await? {
        // Any client can take such a name. Only an epoch that was raised in ZooKeeper is a leader's.
        let newest = newest_epoch(means.session, authority.latch).await?;
        tracing::warn!(%node, %seen, %newest, "a connection bears a newer epoch than this leader's");
        if let Fence::Newer(newer) = connection.fence(Some(newest)).await? {
            let why = format!("{node}: epoch {newer} is at work");
            return Err(CommandError::NotDone(why));
        }
    }
    Ok(connection)
}

/// The newest epoch that was raised. The read fails if the latch node of the leader that commands is gone.
async fn newest_epoch(session: &ChildRef<ZkSession>, latch: &str) -> Result<Epoch, CommandError> {
    let latch = latch.to_owned();
    let read = session.send(ReadEpoch { latch }).await;
    read.unwrap_or_else(|gone| Err(WriteError::Unknown(gone.to_string())))
        .map_err(|error| CommandError::NotDone(format!("the newest epoch is not known: {error}")))
}
