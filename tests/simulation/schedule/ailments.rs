//! Servers that answer errors for a while, or answer slowly.

use super::{Chance, Fault, Kind, Node, Planned, Schedule, When};
use crate::redis::Ailment;

/// When the first fault strikes, in microseconds.
const BEGIN: u64 = 4_000_000;

impl Schedule {
    /// In some runs, gives ailments to primaries and to their likely successors.
    pub(super) fn ailments(&mut self, chance: &mut Chance) {
        if self.kind != Kind::Anything || chance.happens(80) {
            return;
        }
        for _ in 0..chance.between(1, 4) {
            let primary = Node::Primary(chance.below(self.clusters));
            let any = Node::Number(chance.below(self.nodes * self.clusters));
            let node = chance.pick(&[primary, any]);
            let takes = chance.pick(&[20_000, 60_000, 150_000, 400_000, 1_500_000]);
            let slow = Ailment::Slow(chance.between(takes / 2, takes));
            let ailment = chance.pick(&[
                Ailment::DiskFull,
                Ailment::Busy,
                Ailment::Locked,
                Ailment::Full,
                slow,
                slow,
            ]);
            let lasts = chance.pick(&[500_000, 2_000_000, 6_000_000]);
            self.faults.push(Planned {
                when: When::At(chance.between(BEGIN, self.healed)),
                lasts: chance.between(lasts / 2, lasts),
                fault: Fault::Ail(node, ailment),
            });
        }
        if chance.happens(50) {
            let planned = self.failover(chance);
            self.faults.push(planned);
        }
    }
}
