//! A server that lives, but answers with errors of its own instead of serving. The beginning and the end are logged.

use super::NodeMonitor;
use crate::domain::hindrance::{Hindrance, HindranceKind};
use crate::domain::node::Moment;

impl NodeMonitor {
    /// Takes in whether the server answered with such an error, `at` this time.
    pub(super) fn hindrance_is(&mut self, error: Option<&str>, at: Moment) {
        let known = self.observation.hindrance.take();
        let before = known.as_ref().map(|hindrance| hindrance.kind);
        let seen = Hindrance::seen(known, error, at);
        let now = seen.as_ref().map(|hindrance| hindrance.kind);
        self.liveness.busy(at, now == Some(HindranceKind::Busy));
        self.observation.hindrance = seen;
        if before != now {
            self.log_hindrance(before);
        }
    }

    fn log_hindrance(&self, before: Option<HindranceKind>) {
        let (cluster, node) = (&self.cluster, &self.addr);
        match before {
            Some(HindranceKind::Misconf) => {
                tracing::info!(%cluster, %node, "the node can write its disk again");
            }
            Some(HindranceKind::Busy) => {
                tracing::info!(%cluster, %node, "the node's script has ended");
            }
            None => {}
        }
        let Some(Hindrance { kind, said, .. }) = &self.observation.hindrance else {
            return;
        };
        match kind {
            HindranceKind::Misconf => tracing::warn!(
                %cluster, %node, said,
                "the node refuses every write, for it cannot write its disk: free the disk, then BGSAVE"
            ),
            HindranceKind::Busy => tracing::warn!(
                %cluster, %node, said,
                "the node is busy with a script and serves nobody: SCRIPT KILL or FUNCTION KILL ends it; if it has written, only SHUTDOWN NOSAVE does"
            ),
        }
    }
}
