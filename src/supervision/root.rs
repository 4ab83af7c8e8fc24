//! The top of the tree.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::child::{ChildSpec, ExitReport, Incarnation};
use super::exit::Exit;
use super::slot::{ChildRef, Slot};
use super::tree::{Node, Tree};
use super::{OneForOne, STOP_GRACE, Supervisor};

/// The running tree. Everything in it dies when this is dropped.
pub struct Root {
    tree: Tree,
    spec: ChildSpec,
    supervisor: ChildRef<Supervisor>,
    incarnation: Incarnation,
    ended: watch::Receiver<Option<Exit>>,
}

impl Root {
    /// Starts the tree on the current arbiter. All randomness in it (the jitter of delays) comes from `seed`.
    pub fn start(name: impl Into<Arc<str>>, seed: u64, plan: OneForOne) -> Self {
        let slot = Slot::new();
        let spec = ChildSpec::supervisor(name, &slot, plan);
        let node = Node::root(&spec.name);
        node.running(Instant::now());
        let (end, ended) = watch::channel(None);
        let report = ExitReport::new({
            let node = node.clone();
            move |exit| {
                node.stopped();
                end.send_replace(Some(node.explain(exit)));
            }
        });
        Self {
            incarnation: spec.launch.launch(&node, seed, report),
            tree: Tree(node),
            supervisor: slot.reference(),
            spec,
            ended,
        }
    }

    /// The view of the tree, for display.
    pub fn tree(&self) -> Tree {
        self.tree.clone()
    }

    /// The supervisor at the top, to start and stop its children.
    pub fn supervisor(&self) -> ChildRef<Supervisor> {
        self.supervisor.clone()
    }

    /// Resolves when the whole tree has ended: with [`Exit::Normal`] after [`Root::stop`], else with the cause, which
    /// is then to end the process.
    pub async fn ended(&self) -> Exit {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(exit)) => exit.clone(),
            _ => Exit::Killed, // the runtime is being torn down
        }
    }

    /// Stops every child, the last started first. Each child is gone before the next one is stopped. A child that
    /// takes too long is killed.
    pub async fn stop(&self) -> Exit {
        self.spec.launch.ask_to_stop();
        if let Ok(exit) = timeout(STOP_GRACE * 2, self.ended()).await {
            return exit;
        }
        self.incarnation.task.abort();
        self.ended().await
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.spec.launch.withdraw();
        self.incarnation.task.abort();
    }
}
