//! Servers that are told to end (`SHUTDOWN`), and wait for replicas that lag.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Called, Chance, Fault, Kind, Node, Planned, Schedule, When};

/// When the first fault strikes, in microseconds.
const BEGIN: u64 = 4_000_000;

impl Schedule {
    /// In some runs, tells servers to end, at any time.
    pub(super) fn ends(&mut self, chance: &mut Chance) {
        if chance.happens(85) {
            return;
        }
        for _ in 0..chance.between(1, 3) {
            let primary = Node::Primary(chance.below(self.clusters));
            let any = Node::Number(chance.below(self.nodes * self.clusters));
            let node = chance.pick(&[primary, primary, any]);
            let lasts = chance.pick(&[300_000, 2_000_000, 10_000_000]);
            self.faults.push(Planned {
                when: When::At(chance.between(BEGIN, self.healed)),
                lasts: chance.between(lasts / 2, lasts),
                fault: Fault::End(node, chance.pick(&[Called::On, Called::Off])),
            });
        }
    }

    /// A primary is told to end, and waits for ten seconds. Its successor loses no acknowledged write.
    pub(super) fn told_to_end(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0e4d_ed00));
        let mut schedule = Self::story(seed, Kind::SwitchoverOnly);
        let at = chance.between(BEGIN, 7_000_000);
        let called = chance.pick(&[Called::On, Called::Off]);
        schedule.strike(at, 10_000_000, Fault::End(Node::Primary(0), called));
        schedule
    }
}
