//! Primaries that live and do not serve: one cannot write its disk, another is busy with a script.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Chance, Fault, Kind, Node, Schedule, Which};
use crate::redis::Ailment;

impl Schedule {
    /// The primary's disk is full, and stays full: a switchover loses nothing.
    ///
    /// In some runs a replica's disk is full, too. In some the leader is restarted meanwhile.
    pub(super) fn disk_full(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0d15_cf01));
        let mut schedule = Self::story(seed, Kind::DiskFull);
        // A keeper that has just started leaves a primary alone for the cool-down time.
        schedule.healed = 30_000_000;
        let at = chance.between(5_000_000, 8_000_000);
        schedule.ails(at, 0, Ailment::DiskFull);
        if schedule.nodes > 2 && chance.happens(50) {
            let replica = 1 + chance.below(schedule.nodes - 1);
            let at = chance.between(4_000_000, 6_000_000);
            schedule.ails(at, replica, Ailment::DiskFull);
        }
        if schedule.keepers > 2 && chance.happens(50) {
            let at = chance.between(at, 12_000_000);
            let back = chance.between(200_000, 800_000);
            schedule.strike(at, back, Fault::Restart(Which::Leader));
        }
        schedule
    }

    /// A script runs in the primary, and does not end.
    ///
    /// The primary is replaced once it has answered only BUSY for `busy-seconds`. When the script ends, the old
    /// primary is no primary of the cluster any more.
    pub(super) fn busy(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x00b0_5ca1));
        let mut schedule = Self::story(seed, Kind::ToBeReplaced);
        schedule.busy = Some(chance.between(1_500, 4_000));
        let at = chance.between(5_000_000, 7_000_000);
        schedule.ails(at, 0, Ailment::Busy);
        if schedule.keepers > 2 && chance.happens(50) {
            let at = chance.between(at, 9_000_000);
            let back = chance.between(200_000, 800_000);
            schedule.strike(at, back, Fault::Restart(Which::Leader));
        }
        schedule
    }

    /// Gives the node with this number an ailment until the end; node 0 is the primary at first.
    fn ails(&mut self, at: u64, number: usize, ailment: Ailment) {
        let ails = Fault::Ail(Node::Number(number), ailment);
        self.strike(at, self.healed - at, ails);
    }
}
