//! Keepers that die for good, and others that join under ids of their own.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{
    Addressing, Chance, Fault, KEEPERS, Kind, Node, Oddity, Planned, SERVERS, Schedule, When, Which,
};
use crate::network::{Cut, Host};
use crate::redis::Rebirth;
use crate::schedule::ENSEMBLE;

/// When the first fault strikes, in microseconds.
const BEGIN: u64 = 4_000_000;

/// How long keepers take to forget a keeper after the last of them came back, in microseconds: a session and a lease.
const SETTLED: u64 = 3_500_000;

/// Cuts a keeper off from ZooKeeper.
fn lost(keeper: Host, cut: Cut) -> Fault {
    Fault::Sever(KEEPERS + keeper, ENSEMBLE, cut)
}

impl Schedule {
    /// A keeper dies for good, and another joins. The others are restarted, so that leaders come that never saw the
    /// dead keeper. Then the primary dies.
    pub(crate) fn replaced_keeper(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0001_dea7));
        let gone = chance.below(3);
        let mut faults = Vec::new();
        let mut strike = |at, lasts, fault| {
            let when = When::At(at);
            faults.push(Planned { when, lasts, fault });
        };
        strike(BEGIN, 0, Fault::Retire(Which::Number(gone)));
        let joined = BEGIN + chance.between(100_000, 4_000_000);
        strike(joined, 0, Fault::Join(3));
        // Both at once, one right after the other, or some time apart.
        let mut at = joined + chance.between(500_000, 3_000_000);
        let mut back = at;
        let apart = chance.pick(&[0, 300_000, 4_000_000]);
        for other in (0..3).filter(|other| *other != gone) {
            let lasts = chance.between(100_000, 2_500_000);
            let fault = if chance.happens(50) {
                Fault::Crash(Which::Number(other))
            } else {
                Fault::Restart(Which::Number(other))
            };
            strike(at, lasts, fault);
            // A keeper that is asked to end is started again after a second.
            back = back.max(at + lasts.max(1_500_000));
            at += apart;
        }
        let dies = back + SETTLED + chance.between(0, 2_000_000);
        let lasts = 20_000_000;
        let fault = if chance.happens(50) {
            Fault::Kill(Node::Primary(0), Rebirth::Whole)
        } else {
            Fault::Freeze(Node::Primary(0))
        };
        strike(dies, lasts, fault);
        let random = Self::at_random(seed);
        Self {
            keepers: 3,
            newcomers: 1,
            nodes: 3,
            clusters: 1,
            colocated: false,
            drifts: chance.drifts(3),
            faults,
            healed: dies + random.mark_down * 1_000 + 6_000_000,
            kind: Kind::KeeperReplaced(dies),
            failsafe: Some(3_600),
            addressing: Addressing::Own,
            consent: chance.pick(&[600, 800]),
            ..random
        }
    }

    /// A keeper joins whose file has another name for the cluster, and may lead when the primary dies.
    ///
    /// That keeper publishes no second cluster with the servers of a published one.
    pub(crate) fn called_otherwise(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0ca1_1ed0));
        let random = Self::at_random(seed);
        let odd = random.keepers;
        let mut schedule = Self {
            newcomers: 1,
            kind: Kind::Anything,
            addressing: Addressing::Own,
            odd_file: Some((odd, Oddity::Called)),
            ..random
        };
        let joins = |fault: &Planned| matches!(fault.fault, Fault::Join(_) | Fault::Retire(_));
        schedule.faults.retain(|fault| !joins(fault));
        let mut strike = |at, lasts, fault| {
            let when = When::At(at);
            schedule.faults.push(Planned { when, lasts, fault });
        };
        let joined = BEGIN + chance.between(0, 2_000_000);
        strike(joined, 0, Fault::Join(odd));
        // The keepers that come before the newcomer in the latch.
        let dies = joined + chance.between(1_000_000, 4_000_000);
        if chance.happens(70) {
            for other in 0..odd {
                let lasts = chance.between(300_000, 3_000_000);
                strike(dies, lasts, Fault::Crash(Which::Number(other)));
            }
        }
        let fault = Fault::Kill(Node::Primary(0), Rebirth::Whole);
        strike(dies + chance.between(0, 300_000), 20_000_000, fault);
        schedule
    }

    /// The first keeper publishes the clusters under names of its own. Then two keepers join that agree on another
    /// name.
    ///
    /// - The name of the two takes over, though any of the three keepers may fail for a while.
    /// - The primary under that name is replaced when it dies.
    pub(crate) fn renamed(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x4e_a3ed));
        let random = Self::at_random(seed);
        let mut faults = Vec::new();
        let mut strike = |at, lasts, fault| {
            let when = When::At(at);
            faults.push(Planned { when, lasts, fault });
        };
        for joins in [1, 2] {
            let at = BEGIN + chance.between(0, 2_000_000);
            strike(at, 0, Fault::Join(joins));
        }
        for _ in 0..chance.between(0, 4) {
            let which = chance.pick(&[Which::Leader, Which::Leader, Which::Number(0)]);
            let fault = chance.pick(&[
                Fault::Pause(which),
                Fault::Expire(which),
                Fault::Disconnect(which),
                Fault::Believe(which),
            ]);
            let at = BEGIN + chance.between(0, 6_000_000);
            strike(at, chance.between(100_000, 2_000_000), fault);
        }
        let dies = BEGIN + chance.between(9_000_000, 12_000_000);
        if chance.happens(30) {
            strike(dies, 20_000_000, Fault::Crash(Which::Number(0)));
        }
        let primary = Fault::Kill(Node::Primary(0), Rebirth::Whole);
        strike(dies + chance.between(0, 300_000), 20_000_000, primary);
        Self {
            keepers: 1,
            newcomers: 2,
            drifts: vec![0],
            faults,
            healed: dies + random.mark_down * 1_000 + 6_000_000,
            kind: Kind::Anything,
            addressing: Addressing::Own,
            odd_file: Some((0, Oddity::Called)),
            ..random
        }
    }

    /// Two keepers lose ZooKeeper and go on by each other's consent. Meanwhile a newcomer that neither of them asks
    /// comes to lead.
    pub(crate) fn late_leader(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x1a7e_1ead));
        let mut random = Self::at_random(seed);
        let mut faults = Vec::new();
        if chance.happens(30) {
            Self::hasty_leader(&mut chance, &mut faults);
            random.consent = chance.pick(&[600, 800]);
        } else {
            Self::blind_late_leader(random.latency, &mut chance, &mut faults);
            random.consent = chance.pick(&[800, 6_000, 6_000]);
        }
        Self {
            keepers: 2,
            newcomers: 1,
            nodes: 3,
            clusters: 1,
            colocated: false,
            drifts: chance.drifts(2),
            faults,
            healed: BEGIN + 20_000_000,
            kind: Kind::Anything,
            failsafe: Some(3_600),
            addressing: Addressing::Own,
            ..random
        }
    }

    /// One of the two comes back before the other. The leader does not see the primary, which the other keeper still
    /// calls writable.
    fn blind_late_leader(latency: u64, chance: &mut Chance, faults: &mut Vec<Planned>) {
        let mut strike = |when, lasts, fault| faults.push(Planned { when, lasts, fault });
        let cut = chance.pick(&[Cut::Silent, Cut::Resets]);
        // Longer than a consent lasts: a leader that has just started is bound for that time anyway.
        let away = chance.between(9_000_000, 11_000_000);
        strike(When::At(BEGIN), 19_000_000, lost(0, cut));
        let at = BEGIN + chance.between(0, 200_000);
        strike(When::At(at), away, lost(1, cut));
        // While the sessions of the two last, or later.
        let joins = chance.pick(&[200_000, 2_300_000]) + chance.between(0, 300_000);
        strike(When::At(BEGIN + joins), 0, Fault::Join(2));
        let blind = chance.pick(&[Cut::Silent, Cut::Resets]);
        for host in [KEEPERS + 1, KEEPERS + 2] {
            let blinded = Fault::Sever(host, SERVERS, blind);
            strike(When::At(BEGIN), 19_000_000, blinded);
        }
        if chance.happens(30) {
            // Just before the keeper would acknowledge, or just after.
            let after = chance.between(0, 4 * latency);
            let when = When::Withdrawal { number: 1, after };
            strike(when, 5_000_000, lost(1, Cut::Silent));
        }
    }

    /// An operator asks the leader for a switchover while the sessions of the two last.
    fn hasty_leader(chance: &mut Chance, faults: &mut Vec<Planned>) {
        let mut strike = |at, lasts, fault| {
            let when = When::At(at);
            faults.push(Planned { when, lasts, fault });
        };
        for keeper in [0, 1] {
            strike(BEGIN, 19_000_000, lost(keeper, Cut::Silent));
        }
        strike(BEGIN + chance.between(0, 100_000), 0, Fault::Join(2));
        for tenth in 9..20 {
            let at = BEGIN + tenth * 100_000 + chance.between(0, 50_000);
            strike(at, 0, Fault::Switchover(0, Some(1)));
        }
    }

    /// In some runs, a keeper dies for good, and another joins.
    pub(super) fn newcomer(&mut self, chance: &mut Chance) {
        if self.keepers < 2 || chance.happens(80) {
            return;
        }
        let latest = BEGIN + (self.healed - BEGIN) / 2;
        let which = if chance.happens(50) {
            Which::Leader
        } else {
            Which::Number(chance.below(self.keepers))
        };
        for fault in [Fault::Retire(which), Fault::Join(self.keepers)] {
            self.faults.push(Planned {
                when: When::At(chance.between(BEGIN, latest)),
                lasts: 0,
                fault,
            });
        }
        self.newcomers = 1;
    }
}
