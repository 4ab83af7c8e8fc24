//! Host names that no resolver knows for a while.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Chance, Fault, Oddity, Planned, Schedule, When, Which};

/// When the names are gone, in microseconds. By then the published state has their addresses.
const GONE: u64 = 5_000_000;

impl Schedule {
    /// All keepers have host names for addresses. The names are gone, a majority of the keepers is restarted, and
    /// then the primary has to be replaced.
    pub(super) fn names_gone(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0009_0a3e));
        let mut schedule = Self {
            named: true,
            ..Self::to_be_replaced(seed)
        };
        // All keepers, or all but one.
        let spared = chance.below(2 * schedule.keepers);
        let mut at = GONE + 100_000;
        let apart = chance.pick(&[0, 300_000, 1_500_000]);
        for keeper in (0..schedule.keepers).filter(|keeper| *keeper != spared) {
            let which = Which::Number(keeper);
            let restart = chance.pick(&[Fault::Restart(which), Fault::Crash(which)]);
            schedule.faults.push(Planned {
                when: When::At(at),
                lasts: chance.between(100_000, 1_000_000),
                fault: restart,
            });
            at += apart;
        }
        // By then the sessions of crashed keepers are over, and all keepers have looked.
        let dies = at + 5_000_000;
        let death = &mut schedule.faults[0];
        death.when = When::At(dies);
        schedule.healed = dies + death.lasts;
        schedule.faults.push(Planned {
            when: When::At(GONE),
            lasts: schedule.healed - GONE,
            fault: Fault::NoNames,
        });
        schedule
    }

    /// Restarts the keeper that has host names for addresses, at the time at which all flows go mute.
    ///
    /// At first no resolver answers the keeper. No server is silent.
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
