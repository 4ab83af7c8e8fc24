//! HAProxies whose server has the name of one node and the address of another. Each such pair is logged once a
//! minute, and shown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::actors::cluster_api::{Contradiction, ProxyCheck};
use crate::domain::drain::Proxy;
use crate::domain::node::{ClusterName, Moment, NodeAddr};

/// How often the same pair of nodes is logged.
const EVERY: Duration = Duration::from_mins(1);

/// How many pairs of nodes are logged within that time at most: a client may name any two.
const MOST_LOGGED: usize = 8;

/// How long such a check is shown.
const SHOWN: Duration = Duration::from_secs(10);

/// How many pairs of a HAProxy and a node are remembered at most.
const MOST: usize = 64;

/// The checks that name one node and lead to another.
#[derive(Debug, Default)]
pub(super) struct Misnamed {
    /// The pairs that were logged lately, and when.
    told: BTreeMap<Contradiction, Moment>,
    /// The last such check of each HAProxy, by the node to which its clients are sent.
    asked: BTreeMap<(Proxy, NodeAddr), Misnaming>,
}

/// The node that a check names, and when the check came.
#[derive(Debug)]
struct Misnaming {
    named: NodeAddr,
    at: Moment,
}

impl Misnamed {
    /// Notes such a check. Answers whether it is to be logged now.
    pub(super) fn note_check(
        &mut self,
        found: &Contradiction,
        proxy_check: Option<&ProxyCheck>,
        now: Moment,
    ) -> bool {
        if let Some(ProxyCheck::Proxy { proxy, .. }) = proxy_check {
            self.asked.retain(|_, it| now.since(it.at) < SHOWN);
            let key = (proxy.clone(), found.at.clone());
            if self.asked.len() < MOST || self.asked.contains_key(&key) {
                let named = found.named.clone();
                self.asked.insert(key, Misnaming { named, at: now });
            }
        }
        self.told.retain(|_, told| now.since(*told) < EVERY);
        if self.told.len() >= MOST_LOGGED || self.told.contains_key(found) {
            return false;
        }
        self.told.insert(found.clone(), now);
        true
    }

    /// The node after which this HAProxy names its server at `node`, if that is another node.
    pub(super) fn named(&self, proxy: &Proxy, node: &NodeAddr, now: Moment) -> Option<&NodeAddr> {
        let it = self.asked.get(&(proxy.clone(), node.clone()))?;
        (now.since(it.at) < SHOWN).then_some(&it.named)
    }
}

/// Logs that the name and the address of a server are two nodes.
pub(super) fn tell(cluster: &ClusterName, found: &Contradiction, proxy_check: Option<&ProxyCheck>) {
    let by = match proxy_check {
        Some(ProxyCheck::Proxy { proxy, .. }) => proxy.to_string(),
        Some(ProxyCheck::Unnamed) | None => "a check that does not name its HAProxy".to_owned(),
    };
    tracing::warn!(
        %cluster, named = %found.named, at = %found.at, by,
        "a check names one node and its server is at another: answered no. Give the server in HAProxy the name of the node at its \
         address"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::cluster_api::ProxyState;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn proxy_check(name: &str) -> ProxyCheck {
        let proxy = Proxy {
            name: name.to_owned(),
            backend: "writes".to_owned(),
            address: None,
        };
        let state = ProxyState::Up;
        ProxyCheck::Proxy { proxy, state }
    }

    #[test]
    fn it_is_told_once_a_minute_whoever_asks_and_shown_for_each_that_asks() {
        let (a, b) = (NodeAddr::new("a", 1), NodeAddr::new("b", 1));
        let swapped = Contradiction {
            named: a.clone(),
            at: b.clone(),
        };
        let mut misnamed = Misnamed::default();
        assert!(misnamed.note_check(&swapped, Some(&proxy_check("lb1")), at(0)));
        for second in 1..60 {
            let name = format!("lb{second}");
            assert!(!misnamed.note_check(&swapped, Some(&proxy_check(&name)), at(second)));
        }
        assert!(misnamed.note_check(&swapped, None, at(60)));
        let ProxyCheck::Proxy { proxy, .. } = proxy_check("lb59") else {
            unreachable!("named above")
        };
        assert_eq!(misnamed.named(&proxy, &b, at(60)), Some(&a));
        assert_eq!(misnamed.named(&proxy, &a, at(60)), None);
        assert_eq!(misnamed.named(&proxy, &b, at(70)), None, "no more");
        for number in 0..1_000 {
            misnamed.note_check(&swapped, Some(&proxy_check(&number.to_string())), at(71));
        }
        assert_eq!(misnamed.asked.len(), MOST);
        let forged = (0..100).map(|number| Contradiction {
            named: NodeAddr::new(number.to_string(), 1),
            at: b.clone(),
        });
        let told = forged
            .filter(|it| misnamed.note_check(it, None, at(72)))
            .count();
        assert_eq!(told, MOST_LOGGED - 1, "and the one before");
    }
}
