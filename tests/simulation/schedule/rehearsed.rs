//! Keepers that could not ask each other without ZooKeeper, while ZooKeeper is well.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Addressing, Chance, Fault, Kind, Planned, Schedule, When, Which};

/// How long it takes two rehearsals to fail after the last fault, less what order is waited for anyway, in microseconds.
const TWO_REHEARSALS: u64 = 18_000_000;

impl Schedule {
    /// Addresses of keepers may lead elsewhere or nowhere. ZooKeeper is away for a moment at most, or a keeper is restarted;
    /// then nothing happens until two rehearsals are over.
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
        // Not one of two that share an address: a rehearsal with the other one, which goes well meanwhile, comes again a minute later.
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
