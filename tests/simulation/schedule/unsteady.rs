//! All keepers lose their connections to ZooKeeper at a rhythm.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Addressing, Chance, Fault, Kind, Node, Planned, Schedule, When, Which};
use crate::redis::Rebirth;

/// When the losses begin, and how long they go on, in microseconds.
const BEGIN: u64 = 4_000_000;
const LASTS: u64 = 25_000_000;

/// The time from one loss to the next, and the time without a new connection, in microseconds. Most sessions survive.
const RHYTHMS: [(u64, u64); 4] = [
    (1_000_000, 300_000),
    (1_200_000, 200_000),
    (2_000_000, 300_000),
    (5_000_000, 300_000),
];

impl Schedule {
    /// Meanwhile the primary dies for good, or freezes.
    pub(crate) fn unsteady(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0f1a_9109));
        let random = Self::at_random(seed);
        let (every, lasts) = chance.pick(&RHYTHMS);
        let mut faults = Vec::new();
        let mut strike = |at, lasts, fault| {
            let when = When::At(at);
            faults.push(Planned { when, lasts, fault });
        };
        let dies = BEGIN + chance.between(0, 5_000_000);
        let lost = if chance.happens(50) {
            Fault::Kill(Node::Primary(0), Rebirth::Whole)
        } else {
            Fault::Freeze(Node::Primary(0))
        };
        strike(dies, LASTS + 5_000_000, lost);
        for beat in 0..LASTS / every {
            for keeper in 0..3 {
                let at = BEGIN + beat * every;
                strike(at, lasts, Fault::Disconnect(Which::Number(keeper)));
            }
        }
        Self {
            keepers: 3,
            newcomers: 0,
            nodes: 3,
            clusters: 1,
            colocated: false,
            drifts: chance.drifts(3),
            faults,
            healed: BEGIN + LASTS,
            kind: Kind::Anything,
            addressing: Addressing::Own,
            odd_file: None,
            ..random
        }
    }
}
