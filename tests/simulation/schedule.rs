//! The schedule of a run: sizes, timings and faults, all drawn from the seed.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use self::apart::{addressing, consent, failsafe, odd_file, unnamed};
use super::network::{Cut, Host};
use super::redis::Rebirth;

mod ailments;
mod apart;
mod ended;
mod hindered;
mod losses;
mod nameless;
mod newcomers;
mod planned;
mod proxies;
mod rehearsed;
mod stories;
mod switchovers;
mod unsteady;

pub(crate) use self::planned::{Called, Fault, Node, Planned, When, Which};
pub(crate) use self::proxies::{Proxies, Reload};
pub(crate) use self::switchovers::FAULTS;

/// The host of keeper 0; keeper *n* runs on this host plus *n*.
pub(crate) const KEEPERS: Host = 0;
/// The host of the first server, where servers share no hosts with keepers.
pub(crate) const SERVERS: Host = 10;
/// The host of the ensemble.
pub(crate) const ENSEMBLE: Host = 20;
/// The host of the first client.
pub(crate) const CLIENTS: Host = 30;
/// The host after the last host that can be cut off.
pub(crate) const HOSTS: Host = 34;
/// The host of the first HAProxy without clients.
pub(crate) const WITHOUT_CLIENTS: Host = 40;

/// When ZooKeeper goes away, in runs about an outage, in microseconds.
pub(crate) const OUTAGE: u64 = 6_000_000;
/// How long after that a keeper dies, in microseconds.
pub(crate) const CRASH_AFTER: u64 = 2_000_000;

/// The schedule of a run. Times are in microseconds unless a field says otherwise.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) keepers: usize,
    /// Newcomers: keepers with ids of their own that join only when a fault says so.
    pub(crate) newcomers: usize,
    pub(crate) nodes: usize,
    pub(crate) clusters: usize,
    pub(crate) clients: usize,
    /// Whether keepers and servers share hosts.
    pub(crate) colocated: bool,
    pub(crate) latency: u64,
    /// How much too fast each keeper's clock goes, in millionths; newcomers' clocks are exact.
    pub(crate) drifts: Vec<i64>,
    /// `seconds-mark-down`, in milliseconds.
    pub(crate) mark_down: u64,
    /// `busy-seconds`, in milliseconds.
    pub(crate) busy: Option<u64>,
    pub(crate) tick: u64,
    pub(crate) failover_tick: u64,
    pub(crate) faults: Vec<Planned>,
    /// When all faults are undone.
    pub(crate) healed: u64,
    pub(crate) kind: Kind,
    /// `write-safety: majority`. Never drawn, so that the other draws of a seed stay what they are.
    pub(crate) write_safety: bool,
    /// `failsafe-max-seconds`, in seconds; `None` without failsafe mode.
    pub(crate) failsafe: Option<u64>,
    /// How long a consent lasts (*F*), in milliseconds.
    pub(crate) consent: u64,
    /// The checks of the clients' HAProxies have no state header with `node=…`.
    pub(crate) unnamed: bool,
    pub(crate) proxies: Proxies,
    /// How long the run goes on at the end to show that nothing happens.
    pub(crate) rest: u64,
    /// The number of a keeper whose file differs from those of the others, and how.
    pub(crate) odd_file: Option<(usize, Oddity)>,
    /// All keepers' files name nodes by host names.
    pub(crate) named: bool,
    /// Servers keep append-only files: a server that starts anew has no history.
    pub(crate) append_only: bool,
    /// The span in which clients write nothing.
    pub(crate) quiet: Range<u64>,
    /// The addresses that keepers advertise.
    pub(crate) addressing: Addressing,
}

/// The addresses that keepers advertise, and the keeper that a request to each reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// Each keeper has its own address.
    Own,
    /// All keepers advertise a loopback address: each reaches itself.
    Loopback,
    /// Each keeper has a name of its own, and reaches itself by all names.
    Mirror,
    /// Each keeper has a name of its own, and a request reaches any keeper, as behind a load balancer.
    Astray,
    /// The first two keepers advertise each other's address.
    Swapped,
    /// The second keeper advertises the address of the first.
    Reused,
    /// The name of the first keeper does not resolve.
    Nowhere,
    /// The first two keepers share an address, and a request reaches either of them, as behind a load balancer.
    Shared,
}

/// How a keeper's file differs from the files of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// The file lacks the node with this number in every cluster.
    Lacks(usize),
    /// The file has host names for addresses.
    Named,
    /// The file has other names for the clusters.
    Called,
}

/// The point that a run proves besides safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Anything,
    /// Faults strike primaries and replication only (RK-6).
    PrimaryOnly,
    /// A primary comes back without its data, or another server comes up in its place, and nothing else happens
    /// (RK-7).
    RebirthOnly,
    /// All servers of a site lose power, and some come back without their data (RK-6, RK-7).
    PowerCut,
    /// A primary without any key dies, and nothing else happens: the primary is replaced (RK-6).
    Drained,
    /// ZooKeeper is away for a while, and nothing else happens: no keeper falls silent (RK-8).
    OutageOnly,
    /// ZooKeeper is away, and a keeper dies meanwhile: then all keepers fall silent (RK-8).
    OutageAndCrash,
    /// The disk of a primary is full, and that of at least one replica is not: a switchover loses nothing.
    DiskFull,
    /// A majority marks a primary down for long enough, and nothing else happens: the primary is replaced (RK-2).
    ToBeReplaced,
    /// A switchover, and faults that spare the servers: no write is lost.
    SwitchoverOnly,
    /// A keeper was replaced by another for good, then the primary dies at this time: a successor is published soon
    /// (RK-2).
    KeeperReplaced(u64),
    /// Nearly nothing happens: keepers name those that they could not ask without ZooKeeper (RK-8).
    Rehearsed,
}

impl Schedule {
    /// Most seeds draw faults at random. Some seeds of every fifty tell a story that chance would rarely bring about.
    pub(crate) fn draw(seed: u64) -> Self {
        match seed % 50 {
            12 | 37 => Self::replaced_keeper(seed),
            24 => Self::late_leader(seed),
            29 => Self::told_to_end(seed),
            30 => Self::busy(seed),
            31 => Self::ahead(seed),
            32 => Self::barred(seed),
            33 => Self::stalled(seed),
            34 => Self::wandered(seed),
            35 => Self::renamed(seed),
            36 => Self::many_proxies(seed),
            38 => Self::called_otherwise(seed),
            39 => Self::names_gone(seed),
            40 => Self::disk_full(seed),
            41 => Self::rehearsed(seed),
            42 => Self::misled(seed),
            43 => Self::foreign(seed).with_odd_file(seed),
            44 => Self::power_cut(seed),
            45 => Self::drained(seed),
            46 => Self::outage(seed, seed % 100 == 46),
            47 => Self::to_be_replaced(seed),
            48 => Self::end_of_a_cut(seed).with_odd_file(seed),
            49 => Self::overtaken_errand(seed),
            _ => {
                let mut schedule = Self::at_random(seed);
                if schedule.kind == Kind::Anything {
                    schedule = schedule.with_odd_file(seed);
                    schedule.nameless();
                    schedule.proxies = Proxies::draw(&schedule, seed);
                }
                schedule
            }
        }
    }

    /// Lets the file of one keeper differ, in some runs.
    fn with_odd_file(self, seed: u64) -> Self {
        Self {
            odd_file: odd_file(seed, self.keepers, self.nodes),
            ..self
        }
    }

    fn at_random(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x5eed));
        let keepers = chance.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5]);
        let kind = chance.pick(&[
            Kind::Anything,
            Kind::Anything,
            Kind::Anything,
            Kind::Anything,
            Kind::Anything,
            Kind::Anything,
            Kind::Anything,
            Kind::Anything,
            Kind::PrimaryOnly,
            Kind::PrimaryOnly,
            Kind::RebirthOnly,
        ]);
        let begin = 4_000_000;
        let lasts = chance.between(6_000_000, 16_000_000);
        let mut schedule = Self {
            keepers,
            newcomers: 0,
            nodes: chance.pick(&[2, 3, 3, 3, 4]),
            clusters: chance.pick(&[1, 1, 1, 2]),
            clients: 2,
            colocated: chance.happens(50),
            latency: chance.pick(&[300, 800, 2_000, 8_000]),
            drifts: chance.drifts(keepers),
            mark_down: chance.pick(&[500, 1_000, 1_500]),
            busy: None,
            tick: chance.pick(&[100, 200]),
            failover_tick: chance.pick(&[1_000, 3_000]),
            faults: Vec::new(),
            healed: begin + lasts,
            kind,
            write_safety: false,
            failsafe: failsafe(seed),
            consent: consent(seed),
            unnamed: unnamed(seed),
            proxies: Proxies::default(),
            rest: 0,
            addressing: addressing(seed),
            append_only: false,
            quiet: 0..0,
            odd_file: None,
            named: false,
        };

        let faults = match kind {
            Kind::Anything => chance.between(3, 14),
            Kind::PrimaryOnly => chance.between(1, 5),
            _ => 1,
        };
        for _ in 0..faults {
            let at = begin + chance.between(0, lasts * 3 / 4);
            let in_failover = kind == Kind::Anything && chance.happens(40);
            let when = if in_failover {
                let number = chance.pick(&[1, 1, 1, 2, 2, 3]);
                // In the middle of the next step, or at any time in the failover.
                let after = if chance.happens(50) {
                    let most = chance.pick(&[2, 8]) * schedule.latency;
                    chance.between(0, most)
                } else {
                    chance.between(0, 300) * chance.between(0, 5_000)
                };
                if chance.happens(50) {
                    When::Withdrawal { number, after }
                } else {
                    When::Choice { number, after }
                }
            } else {
                When::At(at)
            };
            let lasts = chance.pick(&[300_000, 900_000, 1_800_000, 4_000_000]);
            let planned = Planned {
                when,
                lasts: chance.between(lasts / 3, lasts * 2),
                fault: schedule.fault(&mut chance),
            };
            if let (Fault::Pause(_), When::Choice { number, after }) = (planned.fault, planned.when)
            {
                // The paused keeper goes on in the middle of what its successor does.
                let number = number + 1;
                let when = When::Choice {
                    number,
                    after: chance.between(0, after.min(10_000)),
                };
                let fault = Fault::Continue;
                schedule.faults.push(Planned {
                    when,
                    lasts: 0,
                    fault,
                });
            }
            schedule.faults.push(planned);
        }
        if kind == Kind::Anything {
            for _ in 0..chance.between(0, 2) {
                let planned = schedule.failover(&mut chance);
                schedule.faults.push(planned);
            }
            // Each of these draws from a generator of its own, so that the other draws of a seed stay what they are.
            schedule.blind_leaders(&mut Chance(StdRng::seed_from_u64(seed ^ 0xb11d)));
            schedule.partial_outage(&mut Chance(StdRng::seed_from_u64(seed ^ 0x9a27)));
            schedule.unreachable(&mut Chance(StdRng::seed_from_u64(seed ^ 0x0ead)));
            schedule.mute_flows(&mut Chance(StdRng::seed_from_u64(seed ^ 0x0f10_e5ee)));
            schedule.impostors(&mut Chance(StdRng::seed_from_u64(seed ^ 0x1a90)));
            schedule.stuns(&mut Chance(StdRng::seed_from_u64(seed ^ 0x57d1)));
            schedule.newcomer(&mut Chance(StdRng::seed_from_u64(seed ^ 0x001d_0ed5)));
            schedule.ailments(&mut Chance(StdRng::seed_from_u64(seed ^ 0x0a11_0e47)));
            schedule.ends(&mut Chance(StdRng::seed_from_u64(seed ^ 0x0e4d_5000)));
        }
        schedule
    }

    fn fault(&self, chance: &mut Chance) -> Fault {
        let cluster = chance.below(self.clusters);
        let primary = Node::Primary(cluster);
        match self.kind {
            Kind::PrimaryOnly => {
                let (one, other) = (chance.below(self.nodes), chance.below(self.nodes));
                return if !self.colocated && chance.happens(50) {
                    let cut = chance.pick(&[Cut::Silent, Cut::Resets]);
                    Fault::Sever(self.server_host(one), self.server_host(other), cut)
                } else if chance.happens(50) {
                    Fault::Kill(primary, Rebirth::Whole)
                } else {
                    Fault::Freeze(primary)
                };
            }
            Kind::RebirthOnly => {
                return Fault::Kill(primary, chance.pick(&[Rebirth::Empty, Rebirth::OldDump]));
            }
            _ => {}
        }
        let keeper = if chance.happens(50) {
            Which::Leader
        } else {
            Which::Number(chance.below(self.keepers))
        };
        let node = if chance.happens(75) {
            primary
        } else {
            Node::Number(chance.below(self.nodes * self.clusters))
        };
        let host = self.host(chance);
        let other = self.host(chance);
        let cut = chance.pick(&[Cut::Silent, Cut::Resets]);
        match chance.below(24) {
            0..=2 => Fault::Pause(keeper),
            3 => Fault::Crash(keeper),
            4 => Fault::Stop(keeper),
            5 => Fault::Expire(keeper),
            6 => Fault::Disconnect(keeper),
            7 | 8 => Fault::Believe(keeper),
            9 => Fault::Outage,
            10 | 11 => Fault::Kill(node, Rebirth::Whole),
            12 => Fault::Kill(node, Rebirth::OldDump),
            13 | 14 => Fault::Freeze(node),
            15 => Fault::Isolate(host),
            16 | 17 => Fault::Sever(host, other, cut),
            18 => Fault::SeverOneWay(host, other, cut),
            19 => Fault::Upheaval,
            20..=22 => {
                let to = chance.below(2 * self.nodes);
                Fault::Switchover(cluster, (to < self.nodes).then_some(to))
            }
            _ => Fault::Slow(host, chance.between(10_000, 400_000)),
        }
    }

    /// Draws a host: a keeper's, a server's, or the ensemble's.
    fn host(&self, chance: &mut Chance) -> Host {
        let small = |number: usize| Host::try_from(number).expect("few hosts");
        match chance.below(5) {
            0 | 1 => KEEPERS + small(chance.below(self.keepers)),
            2 | 3 => self.server_host(chance.below(self.nodes)),
            _ => ENSEMBLE,
        }
    }

    /// The host of the node with this number, in every cluster.
    pub(crate) fn server_host(&self, number: usize) -> Host {
        let first = if self.colocated { KEEPERS } else { SERVERS };
        first + Host::try_from(number).expect("few hosts")
    }
}

struct Chance(StdRng);

impl Chance {
    /// Draws how much too fast the clocks of the keepers go: at most 5,000 millionths either way.
    fn drifts(&mut self, keepers: usize) -> Vec<i64> {
        let mut drift = |_| self.between(0, 10_000).cast_signed() - 5_000;
        (0..keepers).map(&mut drift).collect()
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..=most)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
