//! Names that no resolver knows for a while.

use super::{Fault, Oddity, Planned, Schedule, When, Which};

impl Schedule {
    /// Where one keeper has host names for addresses, and all flows go mute in the end: it is restarted then, and no resolver
    /// answers it at first. No server is silent.
    pub(super) fn nameless(&mut self) {
        let Some((keeper, Oddity::Named)) = self.odd_file else {
            return;
        };
        let mut faults = self.faults.iter();
        let mute = faults.find(|it| matches!(it.fault, Fault::MuteAll));
        let Some(When::At(at)) = mute.map(|it| it.when) else {
            return;
        };
        let mut strike = |after, lasts, fault| {
            let when = When::At(at + after);
            self.faults.push(Planned { when, lasts, fault });
        };
        strike(100_000, 3_500_000, Fault::NoNames);
        let restart = Fault::Restart(Which::Number(keeper));
        strike(200_000, 300_000, restart);
    }
}
