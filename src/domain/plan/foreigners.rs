//! What is not the keepers': servers of other kinds, one server under two names, Redis Sentinels, clients that look like them.

use super::super::facts::Mode;
use super::super::node::Moment;
use super::super::observed::Observed;
use super::super::published::Published;
use super::super::sentinels::{AtNode, SentinelHold};
use super::Hold;

/// A Sentinel that watches this cluster, and until when it holds everything, if it does.
pub(super) fn sentinels(observed: &Observed, now: Moment) -> (Option<Hold>, Option<Moment>) {
    let Some((there, forgotten)) = observed.sentinels.there() else {
        return (None, None);
    };
    let AtNode { node, sentinel } = there.clone();
    let begun = |published: &Published| published.intent.is_some();
    let until = match observed.sentinels.hold() {
        // What was begun is finished: half of a change serves nobody.
        _ if observed.published.as_ref().is_some_and(begun) => None,
        SentinelHold::PassedOver => None,
        SentinelHold::HoldsUntil(until) => Some(Some(until)),
        SentinelHold::Holds => Some(None),
    };
    let hold = match until {
        None => Hold::SentinelPassedOver { node, sentinel },
        Some(until) => Hold::SentinelAtWork {
            node,
            sentinel,
            left: until.map(|until| until.since(now)),
        },
    };
    (
        Some(hold),
        until.flatten().into_iter().chain([forgotten]).min(),
    )
}

/// Nodes that a keeper does not manage, and why; and clients that are not what they seem.
pub(super) fn foreigners(observed: &Observed) -> Vec<Hold> {
    let mut holds = Vec::new();
    for (addr, node) in &observed.nodes {
        let Some(facts) = node.sighting.named() else {
            continue;
        };
        if facts.mode != Mode::Standalone {
            holds.push(Hold::WrongMode(addr.clone(), facts.mode));
        }
        if facts.other_subscribers > 0 {
            holds.push(Hold::SentinelChannel {
                node: addr.clone(),
                clients: facts.other_subscribers,
            });
        }
    }
    let aliases = observed.aliases();
    holds.extend(
        aliases
            .into_iter()
            .map(|(alias, node)| Hold::SameServer(alias.clone(), node.clone())),
    );
    holds
}
