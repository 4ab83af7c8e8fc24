//! The schedule of a chaos run: clusters and faults, all drawn from the seed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How many hosts there are. Each has a keeper, a ZooKeeper server, a HAProxy and a node of every cluster.
pub(crate) const HOSTS: usize = 3;
/// How long faults strike before everything is healed and judged.
pub(crate) const ROUND: Duration = Duration::from_secs(45);
/// The most faults at the same time; a lost host counts once.
const AT_ONCE: usize = 5;
/// The average time between two faults.
const GAP: Duration = Duration::from_millis(1_300);
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(20);

/// The data that a node has after its process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// None. Such nodes are killed once a round, one at a time: if all lose their data at once, no manager can help.
    None,
    /// A dump that is some seconds old.
    Dump,
    /// An append-only file that is up to a second old.
    AppendOnly,
}

/// A cluster with a node on each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) persistence: Persistence,
    /// The host whose node must never be promoted (priority 0).
    pub(crate) barred: Option<usize>,
    /// `write-safety: majority`.
    pub(crate) majority: bool,
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Keeper(usize),
    ZooKeeper(usize),
    Proxy(usize),
    Redis { cluster: usize, host: usize },
}

/// The end of packets that do not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The packets vanish.
    Silent,
    /// Each packet is answered with a reset.
    Reset,
}

/// The direction of the cut, as the host sees it that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Both,
    In,
    Out,
}

/// A cut between a host and some or all other hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) host: usize,
    pub(crate) peers: Vec<usize>,
    pub(crate) loss: Loss,
    pub(crate) direction: Direction,
}

/// A fault of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `SIGKILL`; started again at the end.
    Killed(Target),
    /// `SIGTERM`; started again at the end.
    Stopped(Target),
    /// `SIGSTOP`, and `SIGCONT` at the end.
    Frozen(Target),
    Cut(Cut),
    /// Every process of the host is killed.
    HostLost(usize),
}

/// A fault, and its time from the beginning of its round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) fault: Fault,
}

/// Draws two to four clusters. The first always forgets its data, and the second has a node that is barred.
pub(crate) fn draw_clusters(seed: u64) -> Vec<Cluster> {
    let mut chance = StdRng::seed_from_u64(seed);
    let count = chance.random_range(2..=4);
    let draw = |index| {
        let persistence = match index {
            0 => Persistence::None,
            1 => Persistence::AppendOnly,
            _ if chance.random_bool(0.5) => Persistence::Dump,
            _ => Persistence::AppendOnly,
        };
        Cluster {
            persistence,
            barred: (index == 1).then(|| chance.random_range(2..=HOSTS)),
            majority: chance.random_bool(0.3),
        }
    };
    (0..count).map(draw).collect()
}

/// The faults of round `number`, in the order in which they strike. Each ends with the round at the latest.
pub(crate) fn draw_round(seed: u64, number: u64, clusters: &[Cluster]) -> Vec<Planned> {
    let mut draw = Draw {
        chance: StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number + 1)),
        clusters,
        busy: BTreeMap::new(),
        forgetful_killed: false,
    };
    let mut planned = Vec::<Planned>::new();
    let mut at = Duration::ZERO;
    loop {
        at += draw.gap();
        if at + SHORTEST >= ROUND {
            return planned;
        }
        let to = (at + draw.length()).min(ROUND);
        let under_way = planned.iter().filter(|it| it.to > at).count();
        if under_way < AT_ONCE
            && let Some(fault) = draw.fault(at, to)
        {
            planned.push(Planned {
                from: at,
                to,
                fault,
            });
        }
    }
}

struct Draw<'a> {
    chance: StdRng,
    clusters: &'a [Cluster],
    /// Targets that already have a fault, and until when.
    busy: BTreeMap<String, Duration>,
    forgetful_killed: bool,
}

// === impl Draw ===

impl Draw<'_> {
    fn gap(&mut self) -> Duration {
        GAP.mul_f64(-(1.0 - self.chance.random::<f64>()).ln())
    }

    /// The length of a fault: between 0.2 and 2 s as often as between 2 and 20 s.
    fn length(&mut self) -> Duration {
        let ratio = LONGEST.as_secs_f64() / SHORTEST.as_secs_f64();
        SHORTEST.mul_f64(ratio.powf(self.chance.random()))
    }

    fn host(&mut self) -> usize {
        self.chance.random_range(1..=HOSTS)
    }

    /// Draws a fault; `None` if the drawn fault cannot strike now.
    fn fault(&mut self, at: Duration, to: Duration) -> Option<Fault> {
        let fault = match self.chance.random_range(0..100) {
            0..22 => Fault::Cut(self.cut()),
            22..26 => Fault::HostLost(self.host()),
            _ => self.process(),
        };
        let kills: Vec<_> = match &fault {
            Fault::Killed(target) | Fault::Stopped(target) => vec![*target],
            Fault::HostLost(host) => targets(*host, self.clusters.len()),
            Fault::Frozen(_) | Fault::Cut(_) => Vec::new(),
        };
        let forgets = |target: &Target| match target {
            Target::Redis { cluster, .. } => {
                self.clusters[*cluster].persistence == Persistence::None
            }
            _ => false,
        };
        let forgets = kills.iter().any(forgets);
        let touched: Vec<_> = match &fault {
            Fault::Cut(cut) => vec![format!("cut {}", cut.host)],
            Fault::Frozen(target) => vec![target.to_string()],
            _ => kills.iter().map(Target::to_string).collect(),
        };
        let is_busy = |it: &String| self.busy.get(it).is_some_and(|until| *until >= at);
        if touched.iter().any(is_busy) || forgets && self.forgetful_killed {
            return None;
        }
        self.forgetful_killed |= forgets;
        self.busy.extend(touched.into_iter().map(|it| (it, to)));
        Some(fault)
    }

    fn process(&mut self) -> Fault {
        let host = self.host();
        let target = match self.chance.random_range(0..100) {
            0..20 => Target::Keeper(host),
            20..38 => Target::ZooKeeper(host),
            38..50 => Target::Proxy(host),
            _ => Target::Redis {
                cluster: self.chance.random_range(0..self.clusters.len()),
                host,
            },
        };
        match self.chance.random_range(0..100) {
            0..50 => Fault::Killed(target),
            50..60 => Fault::Stopped(target),
            _ => Fault::Frozen(target),
        }
    }

    fn cut(&mut self) -> Cut {
        let host = self.host();
        let others = (1..=HOSTS).filter(|it| *it != host);
        let one = self.chance.random_bool(0.4);
        let nearer = usize::from(self.chance.random_bool(0.5));
        Cut {
            host,
            peers: if one {
                others.skip(nearer).take(1).collect()
            } else {
                others.collect()
            },
            loss: if self.chance.random_bool(0.7) {
                Loss::Silent
            } else {
                Loss::Reset
            },
            direction: match self.chance.random_range(0..4) {
                0 => Direction::In,
                1 => Direction::Out,
                _ => Direction::Both,
            },
        }
    }
}

/// All processes of a host.
pub(crate) fn targets(host: usize, clusters: usize) -> Vec<Target> {
    let redis = (0..clusters).map(|cluster| Target::Redis { cluster, host });
    [
        Target::Keeper(host),
        Target::ZooKeeper(host),
        Target::Proxy(host),
    ]
    .into_iter()
    .chain(redis)
    .collect()
}

// === impl Display ===

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keeper(host) => write!(f, "keeper {host}"),
            Self::ZooKeeper(host) => write!(f, "ZooKeeper {host}"),
            Self::Proxy(host) => write!(f, "HAProxy {host}"),
            Self::Redis { cluster, host } => write!(f, "Redis {host} of cluster-{}", cluster + 1),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(target) => write!(f, "{target} killed"),
            Self::Stopped(target) => write!(f, "{target} stopped"),
            Self::Frozen(target) => write!(f, "{target} frozen"),
            Self::Cut(cut) => write!(
                f,
                "host {} cut from {:?} ({:?}, {:?})",
                cut.host, cut.peers, cut.direction, cut.loss
            ),
            Self::HostLost(host) => write!(f, "host {host} lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything_and_another_one_decides_otherwise() {
        let clusters = draw_clusters(7);
        assert_eq!(clusters, draw_clusters(7));
        let round = draw_round(7, 3, &clusters);
        assert_eq!(round, draw_round(7, 3, &clusters));
        assert_ne!(round, draw_round(8, 3, &clusters));
        assert_ne!(round, draw_round(7, 4, &clusters));
    }

    #[test]
    fn every_kind_of_fault_is_drawn_and_faults_neither_overlap_nor_outlast_their_round() {
        let mut kinds = BTreeMap::<String, usize>::new();
        for seed in 0..200 {
            let clusters = draw_clusters(seed);
            let round = draw_round(seed, 0, &clusters);
            assert!(round.is_sorted_by_key(|it| it.from));
            for (place, planned) in round.iter().enumerate() {
                assert!(
                    planned.from < planned.to && planned.to <= ROUND,
                    "{planned:?}"
                );
                let touched = struck(&planned.fault, clusters.len());
                for other in &round[..place] {
                    let both = struck(&other.fault, clusters.len());
                    let apart = !both.iter().any(|it| touched.contains(it));
                    assert!(apart || other.to < planned.from, "{other:?}, {planned:?}");
                }
                let words = planned.fault.to_string();
                *kinds
                    .entry(words.replace(|it: char| it.is_ascii_digit(), ""))
                    .or_default() += 1;
            }
        }
        let names = kinds.into_keys().collect::<Vec<_>>().join("\n");
        for kind in [
            "keeper  frozen",
            "ZooKeeper  killed",
            "HAProxy  stopped",
            "Redis  of cluster- killed",
            "host  lost",
            "(In, Silent)",
            "(Out, Reset)",
            "(Both, Silent)",
        ] {
            assert!(names.contains(kind), "{kind} is never drawn:\n{names}");
        }
    }

    fn struck(fault: &Fault, clusters: usize) -> Vec<String> {
        match fault {
            Fault::Cut(cut) => vec![format!("cut {}", cut.host)],
            Fault::HostLost(host) => targets(*host, clusters)
                .iter()
                .map(Target::to_string)
                .collect(),
            Fault::Killed(target) | Fault::Stopped(target) | Fault::Frozen(target) => {
                vec![target.to_string()]
            }
        }
    }
}
