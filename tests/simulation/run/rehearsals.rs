//! Judges rehearsals: while ZooKeeper is well, keepers name those that they could not ask for a consent (RK-8).

use super::Run;
use crate::peers::unaskable;
use crate::schedule::Kind;

impl Run {
    /// Judges after two rehearsals without any event: each keeper names exactly the keepers that it cannot ask.
    pub(super) fn judge_rehearsals(&self) {
        if self.schedule.kind != Kind::Rehearsed {
            return;
        }
        let unaskable = match self.schedule.failsafe {
            Some(_) => unaskable(self.schedule.keepers, self.schedule.addressing),
            // Without failsafe mode no keeper is asked.
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
                // A keeper cannot judge its own address.
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
