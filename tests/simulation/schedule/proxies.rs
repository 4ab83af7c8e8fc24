//! HAProxies besides those of the clients, and the reloads of all HAProxies.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Chance, Fault, Kind, Node, Planned, Schedule, When};
use crate::redis::Rebirth;

/// The HAProxies of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies {
    /// How many HAProxies without clients check each cluster.
    pub(crate) without_clients: usize,
    /// The percentage of these whose checks have no state header with `node=…`.
    pub(crate) nameless: u64,
    /// The reloads of each HAProxy of each cluster; HAProxies with clients come first.
    pub(crate) reloads: Vec<Vec<Reload>>,
}

/// A reload: another worker takes the place of the worker that checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reload {
    /// The time of the reload, in microseconds.
    pub(crate) at: u64,
    /// Whether the new worker takes every server for UP until it has checked the server, or for DOWN (`init-state`).
    pub(crate) begins_up: bool,
}

impl Proxies {
    /// Draws the HAProxies. Most runs have only the clients' HAProxies, and reload none.
    pub(super) fn draw(schedule: &Schedule, seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x004a_940e));
        let without_clients = if chance.happens(4) {
            chance.between(50, 90)
        } else {
            0
        };
        let without_clients = usize::try_from(without_clients).expect("few");
        let percent = chance.pick(&[0, 0, 0, 0, 0, 50, 100]);
        Self::reloaded(schedule, without_clients, percent, &mut chance)
    }

    /// Reloads `percent` of a hundred HAProxies, each up to three times.
    fn reloaded(
        schedule: &Schedule,
        without_clients: usize,
        percent: u64,
        chance: &mut Chance,
    ) -> Self {
        let reload = |chance: &mut Chance| Reload {
            at: chance.between(4_000_000, schedule.healed),
            begins_up: chance.happens(60),
        };
        let all = (0..schedule.clusters * (schedule.clients + without_clients)).map(|_| {
            if !chance.happens(percent) {
                return Vec::new();
            }
            (0..chance.between(1, 3)).map(|_| reload(chance)).collect()
        });
        let reloads = all.collect();
        Self {
            without_clients,
            nameless: chance.pick(&[0, 10, 30]),
            reloads,
        }
    }
}

impl Schedule {
    /// More HAProxies ask than keepers remember, while primaries die, freeze or are switched over. Then nothing
    /// happens for a minute.
    pub(super) fn many_proxies(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x00c4_0d00));
        let mut schedule = Self {
            faults: Vec::new(),
            healed: 14_000_000,
            kind: Kind::Anything,
            newcomers: 0,
            rest: 60_000_000,
            ..Self::at_random(seed)
        };
        let without_clients = usize::try_from(chance.between(50, 90)).expect("few");
        schedule.proxies = Proxies::reloaded(&schedule, without_clients, 20, &mut chance);
        let primary = Node::Primary(chance.below(schedule.clusters));
        for _ in 0..chance.between(1, 2) {
            let fault = match chance.below(4) {
                0 => Fault::Kill(primary, Rebirth::Whole),
                1 | 2 => Fault::Freeze(primary),
                _ => Fault::Switchover(chance.below(schedule.clusters), None),
            };
            schedule.faults.push(Planned {
                when: When::At(chance.between(4_000_000, 10_000_000)),
                lasts: schedule.mark_down * 1_000 + chance.between(500_000, 3_000_000),
                fault,
            });
        }
        schedule
    }
}
