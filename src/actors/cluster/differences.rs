//! Differences between the keepers' files. This keeper resolves names that only other files have, and logs which
//! files differ.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::time::timeout;

use super::ClusterActor;
use crate::domain::files::Difference;
use crate::domain::node::KeeperId;

/// How long the resolver of this host may take for a name.
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);

/// How long differences between the keepers' files may settle before they are logged. A difference that ends sooner
/// is not logged.
const SETTLE: Duration = Duration::from_secs(1);

/// The differences that were logged last.
#[derive(Debug, Default)]
pub(super) struct DifferenceLog {
    logged: BTreeMap<KeeperId, Difference>,
    /// Whether a timer is running, after which the differences are looked at again.
    settling: bool,
}

impl ClusterActor {
    /// Resolves the names of other keepers' files: a name may mean a node that this file has under another name.
    pub(super) fn resolve_foreign_names(&mut self, ctx: &mut Context<Self>) {
        let hosts = self.state.begin_resolving(self.links.clock.now());
        if hosts.is_empty() {
            return;
        }
        let redis = self.links.redis.clone();
        let resolving = hosts.into_iter().map(move |host| {
            let redis = redis.clone();
            async move {
                let resolved = timeout(RESOLVED_WITHIN, redis.resolve(&host)).await;
                let late = |_| Err("no answer in time".to_owned());
                (host, resolved.unwrap_or_else(late))
            }
        });
        let resolved = join_all(resolving).into_actor(self);
        ctx.spawn(resolved.map(|resolved, actor, ctx| {
            let mut news = false;
            for (host, resolved) in resolved {
                match resolved {
                    Ok(addresses) => {
                        actor.state.resolved(host, addresses);
                        news = true;
                    }
                    Err(error) if actor.state.unresolved(&host) => {
                        let _in_span = actor.span.enter();
                        tracing::warn!(
                            host, error,
                            "another keeper's file has a name that does not resolve here: which node it means is not known"
                        );
                    }
                    Err(_) => {}
                }
            }
            if news {
                actor.changed(ctx);
            }
        }));
    }

    /// Sets the timer after which differences are logged, if they differ from those that were logged last.
    pub(super) fn watch_differences(&mut self, ctx: &mut Context<Self>) {
        if self.differences.settling || self.state.differing_files() == self.differences.logged {
            return;
        }
        self.differences.settling = true;
        ctx.run_later(SETTLE, |actor, _| actor.log_differences());
    }

    /// Logs which keepers' files differ from those of most keepers, whenever that has changed.
    fn log_differences(&mut self) {
        self.differences.settling = false;
        let differences = self.state.differing_files();
        if differences == self.differences.logged {
            return;
        }
        let _in_span = self.span.enter();
        for (keeper, difference) in &differences {
            if self.differences.logged.get(keeper) == Some(difference) {
                continue;
            }
            let lacks = difference.lacks.join(", ");
            if difference.adds.is_empty() {
                tracing::warn!(
                    %keeper,
                    lacks,
                    "the keepers' files differ: the file of that keeper lacks nodes of the cluster"
                );
            } else {
                let adds = difference.adds.join(", ");
                tracing::warn!(
                    %keeper,
                    adds,
                    lacks,
                    "the keepers' files differ: the file of that keeper has nodes that most keepers do not have in this cluster"
                );
            }
        }
        if differences.is_empty() {
            tracing::info!("the keepers' files differ no more");
        }
        self.differences.logged = differences;
    }
}
