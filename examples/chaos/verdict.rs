//! The result of a run: its figures, and the breaches of promises.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keeper_site::leadership::PUBLISHING;

use crate::client::Observer;
use crate::judge::{Frozen, Late, Publication, Write, contradictions, late};
use crate::logs::{collapses, ineligible, promotions, time};
use crate::schedule::{Cluster, HOSTS, Persistence, Target, targets};
use crate::site::{Site, name};
use crate::whole::Values;

/// The figures and the breaches of one run.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) rounds: usize,
    pub(crate) faults: usize,
    /// The longest time from the end of a round's faults until all clusters were in order.
    pub(crate) longest_recovery: Duration,
    /// The answers to operators who asked for a switchover, with their numbers.
    pub(crate) switchovers: BTreeMap<String, usize>,
    /// The breaches, processes that ended by themselves included.
    pub(crate) breaches: Vec<String>,
    /// The number of different "writable" answers, counted by keeper, node and generation.
    heard: usize,
    /// The places and times at which lost writes had been acknowledged.
    lost: Vec<String>,
    clusters: Vec<Figures>,
}

struct Figures {
    what: String,
    acknowledged: usize,
    /// The number of lost writes, if they could be counted.
    lost: Option<usize>,
    publications: usize,
    promotions: usize,
    in_flight: usize,
    thawed: usize,
}

// === impl Verdict ===

impl Verdict {
    /// Judges the writes of one cluster, the published primaries, and the logs of the servers.
    pub(crate) fn judge_cluster(
        &mut self,
        site: &Site,
        (number, cluster): (usize, &Cluster),
        writes: &[Write],
        began: Duration,
        frozen: &[Frozen],
        held: Option<&Values>,
    ) {
        let publications = publications(site, number, began);
        let Late {
            breaches,
            through_a_thawed_proxy,
            in_flight,
        } = late(writes, &publications, frozen);
        let name = name(number);
        if publications.is_empty() {
            self.breaches.push(format!(
                "{name}: the keepers' logs have no publication, so the writes cannot be judged"
            ));
        }
        if let (Some(first), Some(last)) = (breaches.first(), breaches.last()) {
            let count = breaches.len();
            self.breaches.push(format!(
                "{name}: {count} writes acknowledged by a deposed primary after its successor's first, from {first:?} to {last:?}"
            ));
        }
        let barred = |it: &&Publication| cluster.barred == Some(it.node);
        if let Some(publication) = publications.iter().find(barred) {
            let breach = format!("{name}: {publication:?} is of a node of priority 0");
            self.breaches.push(breach);
        }
        let mut promoted = 0;
        for host in 1..=HOSTS {
            let log = site.redis()[number][host - 1].process().log();
            promoted += promotions(&log);
            for why in ineligible(&log, cluster.barred == Some(host)) {
                let breach =
                    format!("{name}: the node of host {host} was promoted though it {why}");
                self.breaches.push(breach);
            }
        }
        let lost = held.map(|held| {
            let is_lost = |write: &&Write| !has_bit(&held[&write.client], write.number);
            let lost: Vec<_> = writes.iter().filter(is_lost).copied().collect();
            for stretch in stretches(&lost) {
                self.lost.push(format!("{name}: {stretch}"));
            }
            lost.len()
        });
        self.clusters.push(Figures {
            what: describe(&name, cluster),
            acknowledged: writes.len(),
            lost,
            publications: publications.len(),
            promotions: promoted,
            in_flight: in_flight.len(),
            thawed: through_a_thawed_proxy.len(),
        });
    }

    /// Judges the answers and the logs of the keepers.
    pub(crate) fn judge_keepers(&mut self, site: &Site, observers: &[Observer]) {
        let heard: Vec<_> = observers.iter().map(Observer::heard).collect();
        for cluster in 0..site.redis().len() {
            let answers: Vec<_> = heard.iter().flat_map(|it| it[cluster].clone()).collect();
            self.heard += answers.len();
            for (old, new) in contradictions(&answers) {
                let name = name(cluster);
                self.breaches
                    .push(format!("{name}: {old:?} was called writable after {new:?}"));
            }
        }
        for keeper in site.keepers() {
            let log = keeper.process().log();
            for line in collapses(&log) {
                self.breaches.push(format!("{}: {line}", keeper.id()));
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} faults in {} rounds; everything was whole at most {:.1} s after each. {} primaries as keepers called them writable.",
            self.faults,
            self.rounds,
            self.longest_recovery.as_secs_f64(),
            self.heard
        )?;
        let answers = self.switchovers.iter();
        let answers: Vec<_> = answers.map(|(it, times)| format!("{times} {it}")).collect();
        writeln!(f, "Switchovers: {}.\n", answers.join(", "))?;
        writeln!(
            f,
            "| cluster | publications | promotions | acknowledged writes | lost | under way at a handover | by a HAProxy just thawed or started |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for it in &self.clusters {
            let lost = it.lost.map_or("?".to_owned(), |lost| lost.to_string());
            writeln!(
                f,
                "| {} | {} | {} | {} | {lost} | {} | {} |",
                it.what, it.publications, it.promotions, it.acknowledged, it.in_flight, it.thawed
            )?;
        }
        for lost in &self.lost {
            write!(f, "\nLost: {lost}")?;
        }
        writeln!(f)
    }
}

/// Describes writes by their node and time. Writes of one node that are less than a second apart share a line.
fn stretches(writes: &[Write]) -> Vec<String> {
    let mut writes = writes.to_vec();
    writes.sort_by_key(|write| (write.node, write.acknowledged));
    let near = |one: &Write, next: &Write| {
        one.node == next.node && next.acknowledged < one.acknowledged + Duration::from_secs(1)
    };
    let stretches = writes.chunk_by(near).map(|stretch| {
        let (first, last) = (stretch[0], stretch[stretch.len() - 1]);
        format!(
            "{} acknowledged by host {} from {:.1?} to {:.1?}",
            stretch.len(),
            first.node,
            first.acknowledged,
            last.acknowledged
        )
    });
    stretches.collect()
}

/// Writes all logs and the record of the run into a new directory below `into`.
pub(crate) fn keep_logs(site: &Site, seed: u64, story: &[String], into: &Path) -> PathBuf {
    let dir = into.join(format!("chaos-{seed}-{}", std::process::id()));
    let write = |name: &str, text: &str| {
        if let Err(error) = fs::write(dir.join(name), text) {
            eprintln!("{name}: {error}");
        }
    };
    if let Err(error) = fs::create_dir_all(&dir) {
        eprintln!("{}: {error}", dir.display());
    }
    write("story", &story.join("\n"));
    for host in 1..=HOSTS {
        for target in targets(host, site.redis().len()) {
            let file = match target {
                Target::Keeper(_) => format!("keeper-{host}.log"),
                Target::ZooKeeper(_) => format!("zookeeper-{host}.log"),
                Target::Proxy(_) => format!("haproxy-{host}.log"),
                Target::Redis { cluster, .. } => format!("{}-redis-{host}.log", name(cluster)),
            };
            write(&file, &site.process(target).log());
        }
    }
    dir
}

/// Collects the publications that leaders began. `began` is the beginning of the run, since 1970.
fn publications(site: &Site, cluster: usize, began: Duration) -> Vec<Publication> {
    let nodes = site.redis()[cluster].iter().map(|redis| redis.node());
    let nodes: Vec<_> = nodes.map(|node| format!(" primary={node}")).collect();
    let mut found = Vec::new();
    for keeper in site.keepers() {
        let deeds = keeper.deeds().into_iter();
        for deed in deeds.filter(|deed| deed.what == PUBLISHING) {
            let node = nodes.iter().position(|node| deed.line.ends_with(node));
            if let (Some(node), Some(at)) = (node, time(&deed.at)) {
                let at = at.saturating_sub(began);
                found.push(Publication { at, node: node + 1 });
            }
        }
    }
    found
}

/// Whether bit `number` of `value` is set. Bit 0 is the highest bit of the first byte, as in `SETBIT`.
fn has_bit(value: &[u8], number: u32) -> bool {
    let byte = usize::try_from(number / 8).ok();
    let byte = byte.and_then(|byte| value.get(byte)).copied();
    byte.unwrap_or_default() & (0x80 >> (number % 8)) != 0
}

fn describe(name: &str, cluster: &Cluster) -> String {
    let mut what = match cluster.persistence {
        Persistence::None => format!("{name}, nothing on disk"),
        Persistence::Dump => format!("{name}, dumps"),
        Persistence::AppendOnly => format!("{name}, append-only file"),
    };
    if let Some(host) = cluster.barred {
        write!(what, ", host {host} barred").expect("a string");
    }
    if cluster.majority {
        what += ", write-safety";
    }
    what
}
