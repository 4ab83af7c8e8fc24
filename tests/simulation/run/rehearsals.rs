//! Who could not be asked for a consent is told while ZooKeeper is well (RK-8).

use super::Run;
use crate::peers::unaskable;
use crate::schedule::Kind;

impl Run {
    /// Two rehearsals are over since anything happened. Each keeper names whom it cannot ask, and nobody else.
    pub(super) fn judge_rehearsals(&self) {
        if self.schedule.kind != Kind::Rehearsed {
            return;
        }
        let unaskable = match self.schedule.failsafe {
            Some(_) => unaskable(self.schedule.keepers, self.schedule.addressing),
            // None is to be asked.
            None => Vec::new(),
        };
        let keepers = || self.site.keepers.iter().enumerate();
        for (asker, keeper) in keepers() {
            let Some(voice) = keeper.answering() else {
                continue;
            };
            let told = voice.obstacles();
            for (asked, other) in keepers() {
                let named = format!("{} (", other.id);
                let named = told.iter().any(|obstacle| obstacle.starts_with(&named));
                let hindered = unaskable.contains(&asked);
                // Of its own address a keeper knows little.
                if named == hindered || hindered && asked == asker {
                    continue;
                }
                self.site.around.world.violated(format_args!(
                    "RK-8: {} can{} be asked without ZooKeeper, and {} tells of {told:?}",
                    other.id,
                    if hindered { "not" } else { "" },
                    keeper.id
                ));
            }
        }
    }
}
