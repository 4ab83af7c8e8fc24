//! What happens in a run: sizes, timings and faults, all drawn from the seed.

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

/// Where keepers run: keeper 0 on this host, and so on.
pub(crate) const KEEPERS: Host = 0;
/// Where servers run that do not share a host with a keeper.
pub(crate) const SERVERS: Host = 10;
/// Where the ensemble runs.
pub(crate) const ENSEMBLE: Host = 20;
/// Where clients run.
pub(crate) const CLIENTS: Host = 30;
/// Behind the last host that is cut off.
pub(crate) const HOSTS: Host = 34;
/// Where HAProxies without clients run.
pub(crate) const CROWD: Host = 40;

/// When ZooKeeper goes away, in runs about that, in microseconds.
pub(crate) const OUTAGE: u64 = 6_000_000;
/// How long after that a keeper dies.
pub(crate) const CRASH_AFTER: u64 = 2_000_000;

/// One run. Times in microseconds.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) keepers: usize,
    /// Further keepers, under ids of their own, that join only when a fault says so.
    pub(crate) newcomers: usize,
    pub(crate) nodes: usize,
    pub(crate) clusters: usize,
    pub(crate) clients: usize,
    /// Keepers and servers share hosts.
    pub(crate) colocated: bool,
    pub(crate) latency: u64,
    /// Of each keeper's clock, in millionths; none of further ones.
    pub(crate) drifts: Vec<i64>,
    /// In milliseconds.
    pub(crate) mark_down: u64,
    /// `busy-seconds`, in milliseconds too.
    pub(crate) busy: Option<u64>,
    pub(crate) tick: u64,
    pub(crate) failover_tick: u64,
    pub(crate) faults: Vec<Planned>,
    /// When everything is healed.
    pub(crate) healed: u64,
    pub(crate) kind: Kind,
    /// `write-safety: majority`; never drawn, so that the seeds stay what they are.
    pub(crate) write_safety: bool,
    /// How long keepers go on without ZooKeeper at most, in seconds; `None`: not at all.
    pub(crate) failsafe: Option<u64>,
    /// F, in milliseconds.
    pub(crate) consent: u64,
    /// Clients' HAProxies do not say who they are.
    pub(crate) unnamed: bool,
    pub(crate) proxies: Proxies,
    /// How long it is watched in the end that nothing happens, in microseconds.
    pub(crate) rest: u64,
    /// A keeper whose file differs from those of the others.
    pub(crate) odd_file: Option<(usize, Oddity)>,
    /// All keepers have host names for addresses.
    pub(crate) named: bool,
    /// Servers keep append-only files: whoever starts anew has no history.
    pub(crate) append_only: bool,
    /// Clients write nothing then.
    pub(crate) quiet: Range<u64>,
    /// Where keepers find each other.
    pub(crate) addressing: Addressing,
}

/// What the addresses are that keepers advertise, and whom a request to one reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// Each has its own.
    Own,
    /// All advertise a loopback address: each reaches itself.
    Loopback,
    /// Each has a name of its own, and reaches itself by all of them.
    Mirror,
    /// Each has a name of its own, and a request to it reaches any keeper, as behind a load balancer.
    Astray,
    /// The first two have each other's.
    Swapped,
    /// The second has the first one's.
    Reused,
    /// The first one's name resolves nowhere.
    Nowhere,
    /// The first two have one address, and a request to it reaches either, as behind a load balancer.
    Shared,
}

/// How one keeper's file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// It lacks the node of this number in every cluster.
    Lacks(usize),
    /// It has host names for addresses.
    Named,
    /// It calls the clusters otherwise.
    Called,
}

/// What a run is to prove besides safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Anything,
    /// Faults strike primaries and replication only (RK-6).
    PrimaryOnly,
    /// A primary is reborn without its data, or another server in its place, and nothing else happens (RK-7).
    RebirthOnly,
    /// All servers of a site lose power, and some come back without their data (RK-6, RK-7).
    PowerCut,
    /// A primary without any key left dies, and nothing else happens: it is replaced (RK-6).
    Drained,
    /// ZooKeeper is away for a while, and nothing else happens: nobody falls silent (RK-8).
    OutageOnly,
    /// A keeper dies meanwhile: then all fall silent.
    OutageAndCrash,
    /// The disk of a primary is full, and that of one replica at least is not: a switchover loses nothing.
    DiskFull,
    /// A primary is down for a majority, long enough to be replaced, and nothing else happens (RK-2).
    ToBeReplaced,
    /// A switchover, and faults that leave the servers alone: no write is lost.
    SwitchoverOnly,
    /// A keeper was replaced by another for good, then the primary dies at this time: it is replaced, too, and soon (RK-2).
    KeeperReplaced(u64),
    /// Nearly nothing happens: keepers tell which of them could not be asked without ZooKeeper (RK-8).
    Rehearsed,
}

impl Schedule {
    /// Nearly always faults at random; a few seeds in fifty tell stories that they would rarely tell.
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
            36 => Self::crowd(seed),
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

    /// In some runs, the file of one keeper differs.
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
                // In the middle of the step that follows, or at any time in the failover.
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
                // It goes on in the middle of what its successor does.
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
            // Drawn apart, so that the rest of a seed stays what it is.
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

    /// A host that something runs on.
    fn host(&self, chance: &mut Chance) -> Host {
        let small = |number: usize| Host::try_from(number).expect("few hosts");
        match chance.below(5) {
            0 | 1 => KEEPERS + small(chance.below(self.keepers)),
            2 | 3 => self.server_host(chance.below(self.nodes)),
            _ => ENSEMBLE,
        }
    }

    /// Where the `number`th node of every cluster runs.
    pub(crate) fn server_host(&self, number: usize) -> Host {
        let first = if self.colocated { KEEPERS } else { SERVERS };
        first + Host::try_from(number).expect("few hosts")
    }
}

struct Chance(StdRng);

impl Chance {
    /// How far the clocks of so many keepers are off, in microseconds a second at most 5,000.
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
