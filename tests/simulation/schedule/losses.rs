//! Servers that lose their data, and servers of another deployment.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Chance, Fault, Kind, Node, Planned, Schedule, When, Which};
use crate::network::Cut;
use crate::redis::Rebirth;

impl Schedule {
    /// A server of another deployment comes up at the primary's address, before or after the primary is voted down.
    ///
    /// In some runs, another such server comes up at a replica's address.
    pub(super) fn foreign(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0f0e_1611));
        let mut schedule = Self::story(seed, Kind::RebirthOnly);
        let at = chance.between(4_000_000, 6_000_000);
        let primary = Fault::Kill(Node::Primary(0), Rebirth::Foreign);
        let away = chance.pick(&[100_000, 400_000, 3_000_000]);
        schedule.strike(at, chance.between(away / 2, away), primary);
        if schedule.nodes > 2 && chance.happens(50) {
            let node = Node::Number(chance.below(schedule.nodes - 1) + 1);
            let replica = Fault::Kill(node, Rebirth::Foreign);
            // Long after the first server came up.
            schedule.strike(at + 6_000_000, chance.between(100_000, 3_000_000), replica);
        }
        schedule
    }

    /// The host of a replica leads it to a server of another site. Keepers see that, and then the primary dies.
    pub(super) fn misled(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0e15_ed00));
        let mut schedule = Self::story(seed, Kind::RebirthOnly);
        let at = chance.between(4_000_000, 5_000_000);
        let replica = chance.below(schedule.nodes - 1) + 1;
        let dies = at + chance.between(2_500_000, 4_000_000);
        let away = chance.pick(&[300_000, 4_000_000]);
        let away = chance.between(away / 2, away);
        schedule.strike(at, schedule.healed - at, Fault::Mislead(replica));
        schedule.strike(dies, away, Fault::Kill(Node::Primary(0), Rebirth::Whole));
        schedule
    }

    /// All servers stop at once, in some runs the keepers too, and come back one by one.
    ///
    /// - Servers with append-only files come back with everything, but without any history.
    /// - Without such files, replicas may come back from dumps that were made before the first write.
    pub(super) fn power_cut(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0c07_0ff5));
        let mut schedule = Self::story(seed, Kind::PowerCut);
        schedule.append_only = chance.happens(50);
        let at = chance.between(5_000_000, 6_000_000);
        for number in 0..schedule.nodes * schedule.clusters {
            let replica = number % schedule.nodes > 0;
            let old = replica && !schedule.append_only && chance.happens(60);
            let rebirth = if old {
                Rebirth::EmptyDump
            } else {
                Rebirth::Whole
            };
            let away = chance.pick(&[300_000, 1_000_000, 5_000_000]);
            let away = chance.between(away / 2, away);
            schedule.strike(at, away, Fault::Kill(Node::Number(number), rebirth));
        }
        if chance.happens(50) {
            for keeper in 0..schedule.keepers {
                let away = chance.between(300_000, 3_000_000);
                schedule.strike(at, away, Fault::Crash(Which::Number(keeper)));
            }
        }
        schedule
    }

    /// An operator promotes a replica by hand and writes to it; soon after that the primary dies. Another replica
    /// holds more of the cluster's history.
    pub(super) fn wandered(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x3a4d_e4ed));
        let mut schedule = Self {
            nodes: 3,
            ..Self::story(seed, Kind::PrimaryOnly)
        };
        let at = chance.between(5_000_000, 6_000_000);
        let number = 1 + chance.below(2);
        schedule.strike(at, 0, Fault::Wander(number));
        let dies = at + chance.between(50_000, 600_000);
        let away = schedule.healed - dies;
        schedule.strike(dies, away, Fault::Kill(Node::Primary(0), Rebirth::Whole));
        schedule
    }

    /// One replica has lost its primary's stream, and the primary dies. The other replica has everything, and freezes
    /// for a moment when the leader chooses.
    pub(super) fn ahead(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x00a4_ead0));
        let mut schedule = Self {
            nodes: 3,
            colocated: false,
            ..Self::story(seed, Kind::PrimaryOnly)
        };
        let (at, mark_down) = (
            chance.between(5_000_000, 6_000_000),
            schedule.mark_down * 1_000,
        );
        let cut = Fault::Sever(
            schedule.server_host(0),
            schedule.server_host(1),
            Cut::Silent,
        );
        schedule.strike(at, schedule.healed - at, cut);
        let dies = at + chance.between(300_000, 1_500_000);
        let away = schedule.healed - dies;
        schedule.strike(dies, away, Fault::Kill(Node::Primary(0), Rebirth::Whole));
        let stands = dies + mark_down - chance.between(20_000, 400_000);
        let still = chance.between(100_000, mark_down * 4 / 5);
        schedule.strike(stands, still, Fault::Freeze(Node::Number(2)));
        schedule
    }

    /// All replicas freeze for a moment. Meanwhile the primary is restarted without its data.
    pub(super) fn stalled(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x57a1_1ed0));
        let mut schedule = Self::story(seed, Kind::RebirthOnly);
        let at = chance.between(5_000_000, 6_000_000);
        // Too short for a vote: the mark-down time counts from the last answer before the freeze.
        let stall = (schedule.mark_down - schedule.tick) * 1_000 * 4 / 5;
        for cluster in 0..schedule.clusters {
            for replica in 1..schedule.nodes {
                let node = Node::Number(cluster * schedule.nodes + replica);
                schedule.strike(at, stall, Fault::Freeze(node));
            }
        }
        let rebirth = chance.pick(&[Rebirth::Empty, Rebirth::OldDump, Rebirth::RecentDump]);
        let dies = at + chance.between(0, stall / 4);
        let away = chance.between(20_000, stall / 2);
        schedule.strike(dies, away, Fault::Kill(Node::Primary(0), rebirth));
        schedule
    }

    /// Clients delete everything and write no more; then the primary dies.
    ///
    /// In some runs the leader is restarted at about that time. The new leader learns from other keepers what it has
    /// not seen itself.
    pub(super) fn drained(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0d4a_14ed));
        let mut schedule = Self::story(seed, Kind::Drained);
        schedule.quiet = 5_000_000..schedule.healed;
        let dies = chance.between(6_600_000, 7_600_000);
        for cluster in 0..schedule.clusters {
            let drained = chance.between(5_600_000, 6_000_000);
            schedule.strike(drained, 0, Fault::Drain(cluster));
            let away = schedule.healed - dies;
            let kill = Fault::Kill(Node::Primary(cluster), Rebirth::Whole);
            schedule.strike(dies, away, kill);
        }
        if schedule.keepers > 2 && chance.happens(50) {
            let at = chance.between(dies - 300_000, dies + 300_000);
            let back = chance.between(200_000, 800_000);
            schedule.strike(at, back, Fault::Restart(Which::Leader));
        }
        schedule
    }

    /// A run without any fault yet.
    pub(super) fn story(seed: u64, kind: Kind) -> Self {
        Self {
            faults: Vec::new(),
            healed: 18_000_000,
            kind,
            newcomers: 0,
            ..Self::at_random(seed)
        }
    }

    pub(super) fn strike(&mut self, at: u64, lasts: u64, fault: Fault) {
        let when = When::At(at);
        self.faults.push(Planned { when, lasts, fault });
    }
}
