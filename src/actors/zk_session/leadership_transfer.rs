//! Stepping down for a keeper whose file has more nodes, or that sees more of them alive.

use futures::future::try_join_all;
use futures::{FutureExt, TryFutureExt};

use super::ZkSession;
use super::campaign::Campaign;
use super::event::Event;
use crate::domain::leadership_transfer::{DeficitComparison, LeaderDeficit};
use crate::domain::listed::listed;
use crate::domain::node::{ClusterName, KeeperId, Moment};
use crate::domain::published::Published;
use crate::layout::paths;

impl ZkSession {
    /// Steps down, to the end of the latch, if another keeper has seen more for long enough.
    pub(super) fn step_down(&mut self, now: Moment) {
        if !self.phase.is_current() {
            return;
        }
        let Some(deficits) = self.deficits() else {
            return;
        };
        let step_down_after = self.dependencies.settings.step_down_after;
        if !self
            .leading
            .transfer
            .should_step_down(deficits, step_down_after, now)
        {
            return;
        }
        let LeaderDeficit { barred, blind, .. } = deficits.own;
        if deficits.by_file() {
            let mut lacks = self.clusters.differences(&self.keepers.online());
            let lacks = lacks.remove(self.identity.me.id.as_str());
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
        self.release_latch();
    }

    fn release_latch(&mut self) {
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        let session = online.session();
        let own = online.latch_view.as_ref().map(|latch_view| &latch_view.own);
        let latches: Vec<String> = own.into_iter().flatten().map(paths::latch_path).collect();
        let left = try_join_all(latches.iter().map(|latch| session.delete(latch, None)));
        // The next read of the latch finds no own node. Then this keeper creates a new one, at the end.
        online.campaign.begin(Campaign::Changing);
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
        let replicas = state.mentioned().filter(|node| Some(*node) != primary);
        if *keeper == self.identity.me.id {
            self.other_files.own_bars_all(cluster, replicas)
        } else {
            self.other_files.bars_all(keeper, cluster, replicas)
        }
    }

    /// How much each keeper sees; `None` if that is not known, or if this keeper has no place in the latch.
    fn deficits(&self) -> Option<DeficitComparison> {
        let online = self.phase.online()?;
        let latch_view = online.latch_view.as_ref()?;
        if latch_view.own.is_empty() || online.campaign.is_under_way() {
            return None;
        }
        let claims = self.dependencies.claims.borrow();
        Some(self.clusters.compare_deficits(
            &self.identity.me.id,
            &self.keepers.online(),
            latch_view.next.as_ref(),
            // A cluster that is held because of another cluster is left out: a keeper that has it would lead it no
            // better.
            |name| !claims.outweighed(name),
            |keeper, name, state| self.bars_replicas(keeper, name, state),
        ))
    }
}
