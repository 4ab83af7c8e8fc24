//! Carries out the faults of a schedule, and undoes them.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::judge::Frozen;
use crate::schedule::{Cut, Direction, Fault, HOSTS, Loss, Planned, Target, targets};
use crate::site::Site;

/// Carries out faults, and records them.
pub(crate) struct Striker<'a> {
    site: &'a Site,
    clusters: usize,
    start: Instant,
    down: BTreeSet<Target>,
    frozen: BTreeSet<Target>,
    cuts: Vec<Cut>,
    /// The HAProxies that are frozen now, each with the time of its freeze.
    standing: Vec<(usize, Duration)>,
    /// The times in which HAProxies were frozen or did not know the servers' states.
    pub(crate) stood_still: Vec<Frozen>,
    /// The processes that ended by themselves.
    pub(crate) ended: Vec<String>,
    /// The record of the run, line by line.
    pub(crate) story: Vec<String>,
    /// The number of faults so far.
    pub(crate) faults: usize,
}

// === impl Striker ===

impl<'a> Striker<'a> {
    /// A striker that has done nothing yet. Times count from `start`.
    pub(crate) fn new(site: &'a Site, clusters: usize, start: Instant) -> Self {
        Self {
            site,
            clusters,
            start,
            down: BTreeSet::new(),
            frozen: BTreeSet::new(),
            cuts: Vec::new(),
            standing: Vec::new(),
            stood_still: Vec::new(),
            ended: Vec::new(),
            story: Vec::new(),
            faults: 0,
        }
    }

    /// The site that is struck.
    pub(crate) fn site(&self) -> &'a Site {
        self.site
    }

    /// The time at which the run began.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Carries out the planned faults, each at its time from now. All faults are undone on return.
    pub(crate) async fn play(&mut self, round: &[Planned]) {
        let begin = Instant::now();
        let strikes = round.iter().map(|it| (it.from, true, &it.fault));
        let ends = round.iter().map(|it| (it.to, false, &it.fault));
        let mut events: Vec<_> = strikes.chain(ends).collect();
        events.sort_by_key(|(at, strikes, _)| (*at, *strikes));
        for (at, strikes, fault) in events {
            sleep_until(begin + at).await;
            self.look_for_dead();
            if strikes {
                self.tell(fault);
                self.faults += 1;
                self.strike(fault);
            } else {
                self.tell(format_args!("over: {fault}"));
                self.mend(fault);
            }
        }
    }

    /// Records processes that ended although no fault ended them, and starts them again as a service manager would.
    pub(crate) fn look_for_dead(&mut self) {
        let clusters = self.clusters;
        let all = (1..=HOSTS).flat_map(|host| targets(host, clusters));
        for target in all {
            if self.down.contains(&target) {
                continue;
            }
            let process = self.site.process(target);
            if let Some(status) = process.exit_status() {
                self.ended.push(format!("{target}: {status}"));
                self.tell(format_args!("{target} ended by itself: {status}"));
                process.restart();
            }
        }
    }

    /// Adds a line to the record.
    pub(crate) fn tell(&mut self, what: impl Display) {
        let line = format!("{:8.3} {what}", self.start.elapsed().as_secs_f64());
        eprintln!("{line}");
        self.story.push(line);
    }

    fn strike(&mut self, fault: &Fault) {
        match fault {
            Fault::Killed(target) => self.kill(*target),
            Fault::HostLost(host) => {
                for target in targets(*host, self.clusters) {
                    self.kill(target);
                }
            }
            Fault::Stopped(target) => {
                self.site.process(*target).terminate();
                self.down.insert(*target);
            }
            Fault::Frozen(target) => {
                self.site.process(*target).pause();
                self.frozen.insert(*target);
                if let Target::Proxy(host) = target {
                    self.standing.push((*host, self.start.elapsed()));
                }
            }
            Fault::Cut(cut) => {
                self.cuts.push(cut.clone());
                self.filter(cut.host);
            }
        }
    }

    fn kill(&mut self, target: Target) {
        // A process that was frozen is dead, too: it stays down until the later of the two faults ends.
        self.site.process(target).kill();
        self.frozen.remove(&target);
        self.down.insert(target);
    }

    fn mend(&mut self, fault: &Fault) {
        match fault {
            Fault::Killed(target) => self.start_again(*target),
            Fault::Stopped(target) => {
                let status = self.site.process(*target).exit_status();
                let failed = status.filter(|status| !status.success());
                if let (Some(status), Target::Keeper(_)) = (failed, target) {
                    self.ended
                        .push(format!("{target}, asked to stop: {status}"));
                }
                self.start_again(*target);
            }
            Fault::HostLost(host) => {
                for target in targets(*host, self.clusters) {
                    self.start_again(target);
                }
            }
            Fault::Frozen(target) => {
                if self.frozen.remove(target) {
                    self.site.process(*target).resume();
                }
                let Target::Proxy(thawed) = target else {
                    return;
                };
                let to = self.start.elapsed();
                let stood = self.standing.extract_if(.., |(host, _)| host == thawed);
                self.stood_still
                    .extend(stood.map(|(host, from)| Frozen { host, from, to }));
            }
            Fault::Cut(cut) => {
                self.cuts.retain(|it| it != cut);
                self.filter(cut.host);
            }
        }
    }

    fn start_again(&mut self, target: Target) {
        if self.down.remove(&target) {
            self.site.process(target).restart();
            if let Target::Proxy(host) = target {
                // A HAProxy that has just started takes servers for UP before their first check.
                let (from, to) = (self.start.elapsed(), self.start.elapsed());
                self.stood_still.push(Frozen { host, from, to });
            }
        }
    }

    /// Applies the present cuts to the packet filter of the host.
    fn filter(&self, number: usize) {
        let mut rules = String::from("flush ruleset\ntable ip chaos {\n");
        for (chain, interface, address, direction) in [
            ("input", "iifname", "saddr", Direction::In),
            ("output", "oifname", "daddr", Direction::Out),
        ] {
            writeln!(
                rules,
                " chain {chain} {{ type filter hook {chain} priority 0;"
            )
            .expect("a string");
            for cut in self.cuts.iter().filter(|cut| cut.host == number) {
                if ![direction, Direction::Both].contains(&cut.direction) {
                    continue;
                }
                for peer in &cut.peers {
                    // The addresses of one host end in the host's number, in every cluster's network.
                    let packets =
                        format!("{interface} eth0 ip {address} & 0.0.0.255 == 0.0.0.{peer}");
                    let verdict = match cut.loss {
                        Loss::Silent => "drop",
                        Loss::Reset => "meta l4proto tcp reject with tcp reset",
                    };
                    if cut.loss == Loss::Reset {
                        writeln!(rules, "  {packets} tcp flags & rst != 0 accept")
                            .expect("a string");
                    }
                    writeln!(rules, "  {packets} {verdict}").expect("a string");
                }
            }
            rules += " }\n";
        }
        rules += "}\n";
        self.site.network().host(number).namespace().nft(&rules);
    }
}
