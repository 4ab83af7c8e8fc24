//! Stepping down for a keeper whose file has more nodes, or that sees more of them alive.

use futures::future::try_join_all;
use futures::{FutureExt, TryFutureExt};

use super::leading::Campaign;
use super::reading::Event;
use super::{Phase, ZkSession};
use crate::domain::listed::listed;
use crate::domain::names::mentioned;
use crate::domain::node::{ClusterName, KeeperId, Moment, NodeAddr};
use crate::domain::published::Published;
use crate::domain::yielding::{Lacks, Sight};
use crate::layout::paths::LatchName;

impl ZkSession {
    /// Steps down, to the end of the latch, if another keeper has seen more for long enough.
    pub(super) fn make_way(&mut self, now: Moment) {
        if self.phase != Phase::Current {
            return;
        }
        let Some(sight) = self.sight() else { return };
        let patience = self.dependencies.settings.patience;
        if !self.yielding.yields(sight, patience, now) {
            return;
        }
        let Lacks { barred, blind, .. } = sight.own;
        if sight.by_file() {
            let lacks = self.differences().remove(self.identity.id.as_str());
            let lacks = listed(lacks.unwrap_or_default());
            tracing::warn!(
                lacks,
                barred,
                "stepping down for a keeper whose file has more nodes, or lets replicas take over to which this one gives priority 0"
            );
            self.stop_leading("the file of another keeper has more");
        } else {
            tracing::warn!(
                blind,
                "stepping down for a keeper that sees more nodes alive"
            );
            self.stop_leading("another keeper sees more");
        }
        self.leave_the_latch();
    }

    fn leave_the_latch(&mut self) {
        let (Some(session), Some(line)) = (self.online(), &mut self.line) else {
            return;
        };
        let own = line.standing.as_ref().map(|standing| &standing.own);
        let latches: Vec<String> = own.into_iter().flatten().map(LatchName::path).collect();
        let left = try_join_all(latches.iter().map(|latch| session.delete(latch, None)));
        // The next read of the latch finds no own node. Then this keeper creates a new one, at the end.
        line.campaign = Campaign::Changing;
        self.spawn(left.map_ok(drop).map(Event::LatchWritten));
    }

    /// Whether the keeper's file lets no replica of the cluster take over.
    fn bars_replicas(
        &self,
        keeper: &KeeperId,
        cluster: &ClusterName,
        state: Option<&Published>,
    ) -> bool {
        let Some(state) = state else { return false };
        let old = || state.intent.as_ref()?.old.as_ref();
        let primary = state.primary.as_ref().or_else(old);
        let nodes = mentioned(state).filter(|node| Some(*node) != primary);
        let replicas: Vec<&NodeAddr> = nodes.collect();
        if *keeper == self.identity.id {
            self.settings.own_bars_all(cluster, &replicas)
        } else {
            self.settings.bars_all(keeper, cluster, &replicas)
        }
    }

    /// How much each keeper sees; `None` if that is not known, or if this keeper has no place in the latch.
    fn sight(&self) -> Option<Sight> {
        let line = self.line.as_ref()?;
        let standing = line.standing.as_ref()?;
        if standing.own.is_empty() || line.campaign != Campaign::Idle {
            return None;
        }
        let online = self.roll.online();
        let claims = self.dependencies.claims.borrow();
        // A cluster that is held because of another cluster is left out: a keeper that has it would lead it no
        // better.
        let clusters = self
            .clusters
            .iter()
            .filter(|(name, _)| !claims.outweighed(name));
        let clusters: Vec<_> = clusters.collect();
        let lacks = |keeper: &KeeperId| -> Lacks {
            let clusters = clusters.iter();
            clusters
                .map(|(name, it)| Lacks {
                    barred: usize::from(self.bars_replicas(keeper, name, it.published())),
                    ..Lacks::of(keeper, &online, &it.reports, it.published())
                })
                .sum()
        };
        let own = lacks(&self.identity.id);
        if own == Lacks::default() {
            return Some(Sight {
                own,
                best: None,
                next: None,
            });
        }
        let others = online.iter().filter(|keeper| **keeper != self.identity.id);
        let next = standing.next.as_ref();
        Some(Sight {
            own,
            best: others.map(lacks).min(),
            next: next.filter(|next| online.contains(*next)).map(lacks),
        })
    }
}
