//! The HAProxies that ask this keeper whether a node is writable, and how each sees the node: UP or DOWN (RK-10).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::misnamed::Misnamed;
use super::proxy_drain::Withdrawal;
use crate::actors::cluster_api::{Contradiction, ProxyCheck, ProxyState, ProxyView};
use crate::domain::drain::{Proxy, ProxyReport};
use crate::domain::node::{Moment, NodeAddr};

/// How many HAProxies are remembered for each node.
const MOST: usize = 64;

/// How long a HAProxy that has stopped asking is remembered, at least.
const REMEMBERED: Duration = Duration::from_secs(10);

/// All HAProxies that were heard, and what is reported of them.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// The HAProxies by the node they asked about.
    of: BTreeMap<NodeAddr, RecentProxies>,
    /// What this keeper has heard since a leader asked; `None` while no leader asks.
    heard: Option<Heard>,
    /// The checks whose server bears the name of another node.
    misnamed: Misnamed,
}

/// What was heard of the node about which a leader asks.
#[derive(Debug)]
struct Heard {
    node: NodeAddr,
    report: ProxyReport,
}

#[derive(Debug, Default)]
struct RecentProxies {
    said: BTreeMap<Proxy, Said>,
    /// When the last check came that could not be noted: without a name, or beyond the space.
    overflowed_at: Option<Moment>,
}

/// The last state that one HAProxy reported, and when.
#[derive(Debug, Clone, Copy)]
struct Said {
    state: ProxyState,
    at: Moment,
}

impl Proxies {
    /// Notes a check about `node`. Answers whether there may be something new to report.
    pub(super) fn note_check(
        &mut self,
        node: &NodeAddr,
        proxy_check: &ProxyCheck,
        now: Moment,
    ) -> bool {
        if !self.of.contains_key(node) {
            self.of.insert(node.clone(), RecentProxies::default());
        }
        let Some(recent_proxies) = self.of.get_mut(node) else {
            return false;
        };
        let (proxy, state) = match proxy_check {
            ProxyCheck::Unnamed => return recent_proxies.overflowed(now),
            ProxyCheck::Proxy { proxy, state } => (proxy, *state),
        };
        let fresh = recent_proxies.note(proxy, Said { state, at: now });
        let changed = match &mut self.heard {
            Some(heard) if heard.node == *node && state == ProxyState::Down => {
                // The earlier checks of this HAProxy may have gone to another keeper.
                let report = &mut heard.report;
                let news = report.down.len() < MOST && !report.down.contains(proxy);
                if news {
                    report.up.remove(proxy);
                    report.down.insert(proxy.clone());
                }
                news
            }
            _ => false,
        };
        fresh || changed
    }

    /// Notes a check that names one node and leads to another. Answers whether it is to be logged now.
    pub(super) fn note_misnamed(
        &mut self,
        found: &Contradiction,
        proxy_check: Option<&ProxyCheck>,
        now: Moment,
    ) -> bool {
        self.misnamed.note_check(found, proxy_check, now)
    }

    /// The HAProxies that asked about any node lately, and whether there were more than are remembered.
    pub(super) fn lately(&self, now: Moment) -> (BTreeSet<Proxy>, bool) {
        let recent = |at: Moment| now.since(at) < REMEMBERED;
        let overflowed_at =
            |recent_proxies: &RecentProxies| recent_proxies.overflowed_at.is_some_and(recent);
        let said = self
            .of
            .values()
            .flat_map(|recent_proxies| &recent_proxies.said);
        let lately = said.filter(|(_, said)| recent(said.at));
        let lately = lately.map(|(proxy, _)| proxy.clone()).collect();
        (lately, self.of.values().any(overflowed_at))
    }

    /// Begins to listen for DOWN, once a leader asks about a withdrawal. Stops if no leader asks any more.
    ///
    /// A DOWN from before does not count: a keeper that had not yet applied the withdrawal may have called the node
    /// writable again.
    pub(super) fn listen(&mut self, asked: Option<Withdrawal<'_>>, drain: Duration, now: Moment) {
        let Some(Withdrawal { old, generation }) = asked else {
            self.heard = None;
            return;
        };
        let same = |heard: &Heard| heard.node == *old && heard.report.generation == generation;
        if self.heard.as_ref().is_some_and(same) {
            return;
        }
        let recent = |at: Moment| now.since(at) < drain;
        let recent_proxies = self.of.get(old);
        let said = recent_proxies
            .into_iter()
            .flat_map(|recent_proxies| &recent_proxies.said);
        let up = said.filter(|(_, said)| recent(said.at));
        let report = ProxyReport {
            generation,
            up: up.map(|(proxy, _)| proxy.clone()).collect(),
            down: BTreeSet::new(),
            more: recent_proxies
                .is_some_and(|recent_proxies| recent_proxies.overflowed_at.is_some_and(recent)),
        };
        self.heard = Some(Heard {
            node: old.clone(),
            report,
        });
    }

    /// The states that HAProxies have reported since the leader asked, for this keeper's report.
    pub(super) fn report(&self) -> Option<&ProxyReport> {
        self.heard.as_ref().map(|heard| &heard.report)
    }

    /// The HAProxies heard lately, for display.
    pub(super) fn views(&self, now: Moment) -> Vec<ProxyView> {
        let recent_proxies = self.of.iter();
        let said = recent_proxies.flat_map(|(node, recent_proxies)| {
            recent_proxies.said.iter().map(move |it| (node, it))
        });
        said.filter(|(_, (_, said))| now.since(said.at) < REMEMBERED)
            .map(|(node, (proxy, said))| ProxyView {
                proxy: proxy.clone(),
                node: node.clone(),
                state: said.state,
                at: said.at,
                named: self.misnamed.named(proxy, node, now).cloned(),
            })
            .collect()
    }
}

impl RecentProxies {
    /// Notes a check that cannot be told from others. Answers whether none had come lately.
    fn overflowed(&mut self, now: Moment) -> bool {
        let before = self.overflowed_at.replace(now);
        before.is_none_or(|before| now.since(before) >= REMEMBERED)
    }

    /// Notes the state of a HAProxy. Answers whether that HAProxy was not heard lately.
    ///
    /// If there is no room, the check only counts as one more than are remembered. The remembered HAProxies keep
    /// their place while they ask. So they are news only once, however many ask.
    fn note(&mut self, proxy: &Proxy, said: Said) -> bool {
        // A known HAProxy is not copied: nearly every check comes from one.
        if let Some(known) = self.said.get_mut(proxy) {
            let before = std::mem::replace(known, said);
            return said.at.since(before.at) >= REMEMBERED;
        }
        if self.said.len() >= MOST {
            let recent = |known: &mut Said| said.at.since(known.at) < REMEMBERED;
            self.said.retain(|_, known| recent(known));
        }
        if self.said.len() >= MOST {
            return self.overflowed(said.at);
        }
        self.said.insert(proxy.clone(), said);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::ProxyState::{Down, Up};
    use super::*;
    use crate::domain::node::Generation;

    const DRAIN: Duration = Duration::from_millis(1_200);

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn a() -> NodeAddr {
        NodeAddr::new("a", 1)
    }

    fn proxy(name: &str) -> Proxy {
        Proxy {
            name: name.to_owned(),
            backend: "cache".to_owned(),
            address: None,
        }
    }

    fn asks(proxies: &mut Proxies, name: &str, state: ProxyState, now: u64) -> bool {
        let proxy_check = ProxyCheck::Proxy {
            proxy: proxy(name),
            state,
        };
        proxies.note_check(&a(), &proxy_check, at(now))
    }

    /// The leader asks about the withdrawal of this node in this generation.
    fn listen(proxies: &mut Proxies, old: &NodeAddr, generation: u64, now: u64) {
        let generation = Generation(generation);
        proxies.listen(Some(Withdrawal { old, generation }), DRAIN, at(now));
    }

    fn names(proxies: &BTreeSet<Proxy>) -> Vec<&str> {
        proxies.iter().map(|it| it.name.as_str()).collect()
    }

    fn told(proxies: &Proxies) -> [Vec<&str>; 2] {
        let heard = proxies.report().expect("something is told");
        [names(&heard.up), names(&heard.down)]
    }

    #[test]
    fn a_haproxy_counts_as_down_once_it_has_said_so_after_the_leader_asked() {
        let mut proxies = Proxies::default();
        asks(&mut proxies, "lb1", Up, 1_000);
        // A keeper that had not applied the withdrawal may have called the node writable since.
        asks(&mut proxies, "lb2", Down, 1_100);
        assert_eq!(proxies.report(), None);
        listen(&mut proxies, &a(), 4, 1_200);
        assert_eq!(told(&proxies), [vec!["lb1", "lb2"], vec![]]);

        assert!(!asks(&mut proxies, "lb1", Up, 1_300), "nothing new");
        assert!(asks(&mut proxies, "lb1", Down, 1_500));
        assert!(!asks(&mut proxies, "lb1", Down, 1_700), "told already");
        assert!(asks(&mut proxies, "lb3", Down, 1_700), "another heard it");
        listen(&mut proxies, &a(), 4, 1_800);
        assert_eq!(told(&proxies), [vec!["lb2"], vec!["lb1", "lb3"]]);
        proxies.listen(None, DRAIN, at(2_000));
        assert_eq!(proxies.report(), None);
    }

    #[test]
    fn another_withdrawal_is_listened_for_anew() {
        let mut proxies = Proxies::default();
        asks(&mut proxies, "lb1", Up, 1_000);
        listen(&mut proxies, &a(), 4, 1_000);
        asks(&mut proxies, "lb1", Down, 1_200);
        listen(&mut proxies, &a(), 6, 1_400);
        assert_eq!(told(&proxies), [vec!["lb1"], vec![]]);
    }

    #[test]
    fn who_asked_longer_ago_than_a_haproxy_takes_to_act_or_about_another_node_is_not_told() {
        let mut proxies = Proxies::default();
        asks(&mut proxies, "gone", Up, 1_000);
        asks(&mut proxies, "lb1", Up, 1_001);
        let proxy_check = ProxyCheck::Proxy {
            proxy: proxy("lb2"),
            state: Up,
        };
        proxies.note_check(&NodeAddr::new("b", 1), &proxy_check, at(2_000));
        listen(&mut proxies, &a(), 4, 2_200);
        assert_eq!(told(&proxies), [vec!["lb1"], vec![]]);
    }

    #[test]
    fn what_others_say_of_another_node_changes_nothing_that_is_told() {
        let mut proxies = Proxies::default();
        asks(&mut proxies, "lb1", Up, 1_000);
        listen(&mut proxies, &a(), 4, 1_000);
        let proxy_check = ProxyCheck::Proxy {
            proxy: proxy("lb1"),
            state: Down,
        };
        let b = NodeAddr::new("b", 1);
        assert!(
            proxies.note_check(&b, &proxy_check, at(1_050)),
            "heard first"
        );
        assert!(!proxies.note_check(&b, &proxy_check, at(1_100)));
        assert_eq!(told(&proxies), [vec!["lb1"], vec![]]);
    }

    #[test]
    fn whoever_does_not_name_itself_makes_a_crowd_of_the_node_it_asks_about() {
        let mut proxies = Proxies::default();
        let mut asks = |now| proxies.note_check(&a(), &ProxyCheck::Unnamed, at(now));
        assert!(asks(1_000) && !asks(1_200), "told once");
        assert_eq!(proxies.lately(at(1_200)), (BTreeSet::new(), true));
        let mut more = |node: &NodeAddr, generation, now| {
            listen(&mut proxies, node, generation, now);
            proxies.report().expect("something is told").more
        };
        assert!(more(&a(), 4, 2_000));
        assert!(!more(&NodeAddr::new("b", 1), 6, 2_000), "of another node");
        assert!(!more(&a(), 8, 2_400), "longer ago than a HAProxy takes");
        assert!(!proxies.lately(at(11_200)).1);
    }

    #[test]
    fn memory_is_bounded_and_that_some_were_forgotten_is_told_for_as_long_as_it_matters() {
        let mut proxies = Proxies::default();
        for number in 0..=MOST {
            asks(&mut proxies, &format!("lb{number}"), Up, 1_000);
        }
        assert_eq!(proxies.views(at(1_000)).len(), MOST);
        let (lately, overflowed) = proxies.lately(at(1_000));
        assert_eq!((lately.len(), overflowed), (MOST, true));
        listen(&mut proxies, &a(), 4, 1_100);
        assert!(proxies.report().unwrap().more);
        listen(&mut proxies, &a(), 6, 2_200);
        assert!(!proxies.report().unwrap().more);
    }

    #[test]
    fn however_many_ask_they_are_news_once_until_they_ask_no_more() {
        let mut proxies = Proxies::default();
        let mut news = |from: usize, now| {
            let names = (from..from + 3 * MOST).map(|number| format!("lb{number}"));
            names
                .filter(|name| asks(&mut proxies, name, Up, now))
                .count()
        };
        assert_eq!(news(0, 1_000), MOST + 1, "and that there are more");
        for round in 1..50 {
            assert_eq!(news(0, 1_000 + round * 200), 0, "{round}");
        }
        let mut forged = 0;
        for (number, now) in (1..=10).zip((21_000..).step_by(1_000)) {
            forged += news(1_000_000 * number, now);
        }
        assert_eq!(forged, MOST + 1, "in ten seconds");
    }

    #[test]
    fn who_has_not_asked_for_a_while_is_not_shown_nor_told_of_and_is_news_when_it_asks_again() {
        let mut proxies = Proxies::default();
        assert!(asks(&mut proxies, "lb1", Up, 1_000));
        assert!(asks(&mut proxies, "lb2", Down, 2_000));
        let (lately, overflowed) = proxies.lately(at(2_000));
        assert_eq!((names(&lately), overflowed), (vec!["lb1", "lb2"], false));
        assert_eq!(names(&proxies.lately(at(11_000)).0), ["lb2"]);
        let shown = proxies.views(at(11_000));
        let shown: Vec<_> = shown.iter().map(|it| (&*it.proxy.name, it.state)).collect();
        assert_eq!(shown, [("lb2", Down)]);
        assert!(!asks(&mut proxies, "lb2", Down, 11_900), "heard lately");
        assert!(asks(&mut proxies, "lb1", Up, 12_000));
    }
}
