//! Keepers that could not ask each other without ZooKeeper, while ZooKeeper is well.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Addressing, Chance, Fault, Kind, Planned, Schedule, When, Which};

/// The time in which two rehearsals fail after the last fault, less the wait for order, in microseconds.
const TWO_REHEARSALS: u64 = 18_000_000;

impl Schedule {
    /// Addresses of keepers may lead elsewhere or nowhere.
    ///
    /// At most, ZooKeeper is away for a moment or a keeper is restarted. Then nothing happens until two rehearsals
    /// are over.
    pub(super) fn rehearsed(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x08e4_ea55));
        let keepers = chance.between(2, 4);
        let keepers = usize::try_from(keepers).expect("few");
        let addressing = chance.pick(&[
            Addressing::Own,
            Addressing::Loopback,
            Addressing::Mirror,
            Addressing::Swapped,
            Addressing::Reused,
            Addressing::Nowhere,
            Addressing::Nowhere,
            Addressing::Shared,
        ]);
        // Of three keepers or more, the restarted one shares no address. A rehearsal with the other keeper at that
        // address would go well meanwhile, and come again only a minute later.
        let restart = Fault::Restart(Which::Number(keepers - 1));
        let fault = chance.pick(&[None, Some(Fault::Outage), Some(restart)]);
        let (begin, lasts) = (4_000_000, chance.between(300_000, 2_000_000));
        let fault = fault.map(|fault| Planned {
            when: When::At(begin),
            lasts,
            fault,
        });
        Self {
            keepers,
            newcomers: 0,
            nodes: 2,
            clusters: 1,
            clients: 1,
            drifts: vec![0; keepers],
            faults: fault.into_iter().collect(),
            healed: begin + lasts,
            kind: Kind::Rehearsed,
            addressing,
            rest: TWO_REHEARSALS,
            ..Self::at_random(seed)
        }
    }
}
