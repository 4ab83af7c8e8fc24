//! Stories: faults that belong together, and that chance alone would rarely bring about.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{
    Addressing, CRASH_AFTER, Chance, Fault, KEEPERS, Kind, Node, OUTAGE, Planned, SERVERS,
    Schedule, When, Which,
};
use crate::network::{Cut, Host};
use crate::redis::{Rebirth, Squatter};
use crate::schedule::ENSEMBLE;

/// How long after the mark-down time a primary that is down may stay published, in microseconds.
const REPLACED_WITHIN: u64 = 3_000_000;

impl Schedule {
    /// ZooKeeper is away once. With `crash`, keeper 0 dies meanwhile.
    pub(crate) fn outage(seed: u64, crash: bool) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0a7a_6e00));
        let lasts = chance.pick(&[200_000, 900_000, 3_000_000, 9_000_000]);
        let lasts = if crash {
            9_000_000
        } else {
            chance.between(lasts / 2, lasts * 2)
        };
        let at = |at, lasts, fault| Planned {
            when: When::At(at),
            lasts,
            fault,
        };
        let mut faults = vec![at(OUTAGE, lasts, Fault::Outage)];
        if crash {
            let crash = Fault::Crash(Which::Number(0));
            faults.push(at(OUTAGE + CRASH_AFTER, lasts, crash));
        }
        Self {
            faults,
            healed: OUTAGE + lasts,
            keepers: if crash { 3 } else { chance.pick(&[1, 2, 3, 5]) },
            drifts: chance.drifts(5),
            kind: if crash {
                Kind::OutageAndCrash
            } else {
                Kind::OutageOnly
            },
            failsafe: Some(3_600),
            addressing: Addressing::Own,
            newcomers: 0,
            ..Self::at_random(seed)
        }
    }

    /// In some runs, the machines of keepers are suspended, mostly for longer than a session lasts.
    pub(super) fn stuns(&mut self, chance: &mut Chance) {
        if chance.happens(80) {
            return;
        }
        for _ in 0..chance.between(1, 3) {
            let begin = 4_000_000;
            let number = chance.pick(&[1, 1, 2]);
            let after = chance.between(0, 300) * chance.between(0, 5_000);
            let at = chance.between(begin, begin + (self.healed - begin) * 3 / 4);
            let when = chance.pick(&[When::At(at), When::Withdrawal { number, after }]);
            let one = Which::Number(chance.below(self.keepers));
            let which = chance.pick(&[Which::Leader, one]);
            self.faults.push(Planned {
                when,
                lasts: chance.between(600_000, 6_000_000),
                fault: Fault::Stun(which),
            });
        }
    }

    /// In some runs, ZooKeeper is away for all keepers but one. That keeper is restarted at about that time, and the
    /// primary fails.
    ///
    /// The other keepers may go on by consent: each other's, and that keeper's.
    pub(super) fn partial_outage(&mut self, chance: &mut Chance) {
        if self.failsafe.is_none() || self.keepers < 2 || chance.happens(60) {
            return;
        }
        let begin = chance.between(4_000_000, u64::midpoint(4_000_000, self.healed));
        let one = chance.below(self.keepers);
        let away = chance.between(4_000_000, 12_000_000);
        let mut strike = |at, lasts, fault| {
            self.faults.push(Planned {
                when: When::At(at),
                lasts,
                fault,
            });
        };
        let back = chance.between(20_000, 1_500_000);
        if chance.happens(50) {
            // By then that keeper is on no failsafe list, and it comes back when the others are alone.
            let before = chance.between(700_000, 1_500_000);
            let restart = Fault::Restart(Which::Number(one));
            strike(begin - before, before + back, restart);
        } else {
            // That keeper has consented before.
            let after = chance.between(100_000, 900_000);
            strike(begin + after, back, Fault::Crash(Which::Number(one)));
        }
        for other in (0..self.keepers).filter(|other| *other != one) {
            let host = KEEPERS + Host::try_from(other).expect("few keepers");
            // The others lose ZooKeeper at different moments.
            let at = begin + chance.between(0, 200_000);
            strike(at, away, Fault::Sever(host, ENSEMBLE, Cut::Silent));
        }
        if chance.happens(50) {
            // That keeper loses ZooKeeper, too, while the others ask it.
            let host = KEEPERS + Host::try_from(one).expect("few keepers");
            let lasts = chance.between(300_000, 1_500_000);
            strike(begin, lasts, Fault::Sever(host, ENSEMBLE, Cut::Silent));
        }
        let at = begin + chance.between(0, 1_500_000);
        let lasts = self.mark_down * 1_000 + chance.between(500_000, 8_000_000);
        strike(at, lasts, Fault::Freeze(Node::Primary(0)));
    }

    /// In some runs, only the keepers lose sight of the primary, or of all servers.
    ///
    /// A firewall that refuses looks like a server that is gone. A firewall that is silent leaves no successor in
    /// sight.
    pub(super) fn unreachable(&mut self, chance: &mut Chance) {
        if chance.happens(75) {
            return;
        }
        let begin = 4_000_000;
        let mark_down = self.mark_down * 1_000;
        let cut = chance.pick(&[Cut::Silent, Cut::Resets]);
        let primary = Node::Primary(chance.below(self.clusters));
        self.faults.push(Planned {
            when: When::At(chance.between(begin, self.healed)),
            lasts: chance.between(mark_down + 200_000, 2 * mark_down + 4_000_000),
            fault: Fault::Unreachable(Some(primary).filter(|_| chance.happens(60)), cut),
        });
    }

    /// A firewall bars all keepers from the primary, which lives and has its clients.
    ///
    /// At first the firewall drops the keepers' packets. From about the time at which the primary is voted down, it
    /// refuses them.
    pub(super) fn barred(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0ba2_2ed0));
        let mut schedule = Self::story(seed, Kind::Anything);
        let mark_down = schedule.mark_down * 1_000;
        let refused = chance.between(mark_down - 300_000, mark_down + 100_000);
        let lasts = refused + chance.between(500_000, 5_000_000);
        let barred = Fault::Barred(Node::Primary(0), refused);
        schedule.strike(chance.between(5_000_000, 7_000_000), lasts, barred);
        schedule
    }

    /// In some runs, a firewall between keepers and servers forgets the open flows, during the faults or after them.
    pub(super) fn mute_flows(&mut self, chance: &mut Chance) {
        if chance.happens(40) {
            for _ in 0..chance.between(1, 3) {
                let number = chance.below(self.nodes);
                self.faults.push(Planned {
                    when: When::At(chance.between(4_000_000, self.healed)),
                    lasts: 0,
                    fault: Fault::Mute(self.server_host(number)),
                });
            }
        }
        if chance.happens(40) {
            self.faults.push(Planned {
                when: When::At(self.healed + 4_000_000),
                lasts: 0,
                fault: Fault::MuteAll,
            });
        }
    }

    /// In some runs, a client takes a keeper's name at every node; or a node's name leads elsewhere, and the primary
    /// dies.
    pub(super) fn impostors(&mut self, chance: &mut Chance) {
        if chance.happens(75) {
            return;
        }
        let begin = chance.between(3_500_000, self.healed);
        let mut strike = |at, lasts, fault| {
            self.faults.push(Planned {
                when: When::At(at),
                lasts,
                fault,
            });
        };
        if chance.happens(50) {
            return strike(begin, 0, Fault::Imitate);
        }
        let cluster = chance.below(self.clusters);
        let node = cluster * self.nodes + chance.below(self.nodes);
        let lasts = chance.between(2_000_000, 6_000_000);
        strike(begin, lasts, Fault::MoveName(node));
        let at = begin + chance.between(100_000, 1_500_000);
        let kill = Fault::Kill(Node::Primary(cluster), Rebirth::Whole);
        strike(at, lasts, kill);
    }

    /// In some runs, leaders lose sight of servers, and of primaries that other keepers have to replace for them.
    pub(super) fn blind_leaders(&mut self, chance: &mut Chance) {
        if self.keepers < 3 || chance.happens(70) {
            return;
        }
        let begin = 4_000_000;
        for _ in 0..chance.between(1, 3) {
            let number = chance.below(self.nodes);
            let cut = chance.pick(&[Cut::Silent, Cut::Resets]);
            self.faults.push(Planned {
                when: When::At(chance.between(begin, begin + (self.healed - begin) / 2)),
                lasts: chance.between(1_000_000, 8_000_000),
                fault: Fault::Blind(self.server_host(number), cut),
            });
            let planned = self.failover(chance);
            self.faults.push(planned);
        }
        // A keeper that carries out a task for the leader stops in the middle of the task.
        if chance.happens(50) {
            self.faults.push(Planned {
                when: When::Choice {
                    number: 1,
                    after: chance.between(0, 6 * self.latency),
                },
                lasts: chance.between(500_000, 4_000_000),
                fault: Fault::Pause(Which::Number(chance.below(self.keepers))),
            });
        }
    }

    /// The leader loses sight of all replicas, and later the primary dies for good. Nothing else happens.
    pub(crate) fn blind_leader(seed: u64) -> Self {
        let mut schedule = Self {
            keepers: 3,
            nodes: 3,
            clusters: 1,
            drifts: vec![0; 3],
            faults: Vec::new(),
            healed: 14_000_000,
            kind: Kind::Anything,
            colocated: false,
            newcomers: 0,
            ..Self::at_random(seed)
        };
        let lasts = schedule.healed;
        let mut strike = |at, fault| {
            schedule.faults.push(Planned {
                when: When::At(at),
                lasts,
                fault,
            });
        };
        for replica in 1..3 {
            strike(4_000_000, Fault::Blind(SERVERS + replica, Cut::Silent));
        }
        // Before the leader steps down for its blindness.
        strike(5_000_000, Fault::Kill(Node::Number(0), Rebirth::Whole));
        schedule
    }

    /// A leader that sees no replica has another keeper promote one, and dies in the middle of the task.
    ///
    /// The story pauses one keeper. If that keeper has the task, another leader has promoted a node before it goes
    /// on.
    pub(super) fn overtaken_errand(seed: u64) -> Self {
        let mut schedule = Self::blind_leader(seed);
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0e44_a4d0));
        let after = chance.between(0, 8 * schedule.latency);
        let mut strike = |lasts, fault| {
            schedule.faults.push(Planned {
                when: When::Choice { number: 1, after },
                lasts,
                fault,
            });
        };
        let one = Which::Number(chance.below(3));
        strike(chance.between(2_000_000, 6_000_000), Fault::Pause(one));
        strike(6_000_000, Fault::Crash(Which::Leader));
        schedule
    }

    /// The primary freezes, and each keeper is restarted at another moment of the failover. Nothing else happens.
    pub(crate) fn stopping(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0005_70b5));
        let mut schedule = Self {
            keepers: 3,
            drifts: vec![0; 3],
            faults: Vec::new(),
            healed: 14_000_000,
            kind: Kind::Anything,
            newcomers: 0,
            ..Self::at_random(seed)
        };
        let freeze = 5_000_000;
        let lasts = 5_000_000;
        let at = |at, lasts, fault| Planned {
            when: When::At(at),
            lasts,
            fault,
        };
        let frozen = at(freeze, lasts, Fault::Freeze(Node::Number(0)));
        schedule.faults.push(frozen);
        for keeper in 0..3 {
            let moment = freeze + chance.between(50_000, 1_000_000);
            let restart = Fault::Restart(Which::Number(keeper));
            schedule.faults.push(at(moment, 300_000, restart));
        }
        schedule
    }

    /// No keeper reaches any server for a while, or the primaries of many clusters. Then the ways open one after the
    /// other, mostly at nearly the same moment. The servers are well all the time.
    pub(super) fn end_of_a_cut(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0xc07_e4d));
        let mut schedule = Self {
            keepers: 3,
            nodes: 3,
            clusters: chance.pick(&[1, 6, 6]),
            clients: 1,
            colocated: false,
            latency: chance.pick(&[300, 800, 2_000]),
            drifts: vec![0; 3],
            faults: Vec::new(),
            kind: Kind::Anything,
            newcomers: 0,
            ..Self::at_random(seed)
        };
        // The first nodes of all clusters share a host.
        let servers = if schedule.clusters > 3 && chance.happens(60) {
            1
        } else {
            3
        };
        let mut at = 4_000_000;
        for _ in 0..chance.between(1, 4) {
            let least = schedule.mark_down * 1_000 + 2 * schedule.tick * 1_000;
            let lasts = least + chance.between(0, 2_000_000);
            let cut = chance.pick(&[Cut::Silent, Cut::Resets]);
            let apart = chance.pick(&[0, 3_000, 60_000, 60_000, 1_000_000]);
            for keeper in 0..3 {
                for server in 0..servers {
                    let way = Fault::Sever(KEEPERS + keeper, SERVERS + server, cut);
                    schedule.faults.push(Planned {
                        when: When::At(at),
                        lasts: lasts + chance.between(0, apart),
                        fault: way,
                    });
                }
            }
            at += lasts + chance.between(1_500_000, 4_000_000);
        }
        schedule.healed = at;
        schedule
    }

    /// A primary has to be replaced before its fault ends. The primary has one of these faults:
    ///
    /// - It dies.
    /// - It freezes.
    /// - All keepers but the leader are cut off from it.
    /// - Another program takes its address.
    pub(super) fn to_be_replaced(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x4e91_aced));
        let primary = Node::Number(0);
        let fault = match chance.below(6) {
            0 => Fault::Kill(primary, Rebirth::Whole),
            1 => Fault::Freeze(primary),
            2 => Fault::Squat(primary, Squatter::Locked),
            3 => Fault::Squat(primary, Squatter::Foreign),
            _ => {
                let cut = chance.pick(&[Cut::Silent, Cut::Resets]);
                Fault::BlindOthers(SERVERS, cut)
            }
        };
        let mut schedule = Self {
            keepers: 3,
            nodes: 3,
            clusters: 1,
            clients: 1,
            colocated: false,
            latency: chance.pick(&[300, 800, 2_000]),
            drifts: vec![0; 3],
            kind: Kind::ToBeReplaced,
            newcomers: 0,
            ..Self::at_random(seed)
        };
        let lasts = schedule.mark_down * 1_000 + REPLACED_WITHIN;
        schedule.faults = vec![Planned {
            when: When::At(5_000_000),
            lasts,
            fault,
        }];
        schedule.healed = 5_000_000 + lasts;
        schedule
    }

    /// A primary is gone for long enough to be replaced.
    pub(super) fn failover(&self, chance: &mut Chance) -> Planned {
        let primary = Node::Primary(chance.below(self.clusters));
        let begin = 4_000_000;
        Planned {
            when: When::At(chance.between(begin, begin + (self.healed - begin) * 3 / 4)),
            lasts: self.mark_down * 1_000 + chance.between(500_000, 4_000_000),
            fault: if chance.happens(70) {
                Fault::Kill(primary, Rebirth::Whole)
            } else {
                Fault::Freeze(primary)
            },
        }
    }
}
