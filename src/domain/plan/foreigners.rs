//! Servers and clients that keepers do not manage: servers of other kinds, one server under two names, Redis
//! Sentinels, and clients that look like Sentinels.

use super::super::facts::Mode;
use super::super::node::{Moment, NodeAddr};
use super::super::observed::{Observed, Topology};
use super::super::published::Published;
use super::super::sentinels::{AtNode, SentinelHold};
use super::Hold;

/// The hold for a Sentinel that watches this cluster. With it comes the moment at which the hold ends or the Sentinel
/// is forgotten, whichever is first.
pub(super) fn sentinels(observed: &Observed) -> (Option<Hold>, Option<Moment>) {
    let Some((there, forgotten)) = observed.sentinels.there() else {
        return (None, None);
    };
    let AtNode { node, sentinel } = there.clone();
    let begun = |published: &Published| published.intent.is_some();
    let until = match observed.sentinels.hold() {
        // A change that was begun is finished: half a change leaves the cluster without a primary.
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
            until,
        },
    };
    (
        Some(hold),
        until.flatten().into_iter().chain([forgotten]).min(),
    )
}

/// Adds a hold for each node that fails over by Redis's own `FAILOVER` command. Such a node refuses REPLICAOF. So
/// this hold replaces the hold that advises REPLICAOF.
pub(super) fn note_server_failovers(observed: &Observed, holds: &mut Vec<Hold>, now: Moment) {
    for (addr, node) in &observed.nodes {
        let failover = node.observation.named().and_then(|facts| facts.failover);
        let Some(state) = failover else { continue };
        let failing = |outside: Option<&NodeAddr>| Hold::FailingOver {
            node: addr.clone(),
            state,
            outside: outside.cloned(),
        };
        let follows = holds.iter().find_map(|hold| match hold {
            Hold::ReplicatesFromOutside { node, primary } if node == addr => Some((hold, primary)),
            _ => None,
        });
        let Some((plain, outside)) = follows else {
            holds.push(failing(None));
            continue;
        };
        let (plain, told) = (plain.clone(), failing(Some(outside)));
        let refused = Hold::NoSwitchover(plain.at(now).to_string());
        for hold in holds.iter_mut() {
            if *hold == plain {
                *hold = told.clone();
            } else if *hold == refused {
                *hold = Hold::NoSwitchover(told.at(now).to_string());
            }
        }
    }
}

/// The hold for names of other groups' keepers that do not lead to these keepers.
pub(super) fn astray(observed: &Observed) -> Option<Hold> {
    let first = observed.groups.astray.first()?;
    Some(Hold::Astray {
        first: Box::new(first.clone()),
        more: observed.groups.astray.len() - 1,
    })
}

/// Holds for nodes that a keeper does not manage, each with its reason, and for clients that look like Sentinels.
pub(super) fn foreigners(topology: &Topology<'_>) -> Vec<Hold> {
    let mut holds = Vec::new();
    for (addr, node) in &topology.observed().nodes {
        let Some(facts) = node.observation.named() else {
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
    let same = |(alias, node): (&&NodeAddr, &&NodeAddr)| {
        Hold::SameServer((*alias).clone(), (*node).clone())
    };
    holds.extend(topology.aliases().iter().map(same));
    holds
}
