//! The states that plans write: with a published primary, or with a withdrawn one.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::super::facts::{Link, NodeFacts, Upstream};
use super::super::lineage::lost_against;
use super::super::node::NodeAddr;
use super::super::published::{Intent, Published, Step};
use super::Situation;

/// How many names keep their addresses in the state, at most; more only if the file has more.
const ADDRESSES_KEPT: usize = 64;

/// The state in which `primary` is published: no intent, its replicas, and its replication ids at the front of the
/// lineage.
pub(super) fn publishing(
    situation: &Situation<'_>,
    before: &Published,
    primary: &NodeAddr,
) -> Published {
    let mut state = before.clone();
    state.primary = Some(primary.clone());
    state.intent = None;
    let linked = |upstream: &Upstream| upstream.link == Link::Up;
    state.replicas = situation
        .members()
        .filter(|(addr, facts)| {
            facts.upstream().is_some_and(linked)
                && situation.topology.root_of(addr) == Some(primary)
        })
        .map(|(addr, _)| addr.clone())
        .collect();
    if before.primary.as_ref() == Some(primary) {
        // A replica that is silent at the moment stays a replica until a majority holds it down.
        let silent = before.replicas.iter().filter(|addr| {
            let node = situation.observed.nodes.get(*addr);
            match node {
                Some(node) => {
                    let observation = &node.observation;
                    let unread = observation.named().is_none();
                    unread && !node.verdict.down()
                }
                None => situation.left_to_others(Some(addr)).is_some(),
            }
        });
        state.replicas.extend(silent.cloned());
    }
    state.known.insert(primary.clone());
    state.known.extend(state.replicas.iter().cloned());
    if let Some(facts) = situation.observed.online(primary) {
        state.run_id = Some(facts.run_id.clone());
        state.extend_lineage(facts.histories());
        state.has_data |= facts.keys > 0;
    }
    remember_promoted(situation, before, &mut state);
    let back = |addr: &NodeAddr| addr == primary || state.replicas.contains(addr);
    state.deposed.retain(|addr, _| !back(addr));
    recognise(situation, &mut state);
    note_addresses(situation, &mut state);
    state
}

/// Remembers a candidate whose promotion was begun, since it may have been promoted: by a keeper's command, not by
/// hand. The candidate never was published, so no client wrote to it.
fn remember_promoted(situation: &Situation<'_>, before: &Published, state: &mut Published) {
    let begun = before.intent.as_ref();
    let begun = begun.filter(|intent| intent.step == Step::Promoting);
    let Some(candidate) = begun.and_then(|intent| intent.candidate.as_ref()) else {
        return;
    };
    let node = situation.observed.nodes.get(candidate);
    if let Some(facts) = node.and_then(|node| node.last_known()) {
        let deposed = state.deposed.entry(candidate.clone()).or_default();
        deposed.is_now(&facts.run_id, facts.histories());
    }
}

/// Updates the records of withdrawn primaries that are seen again before they follow.
fn recognise(situation: &Situation<'_>, state: &mut Published) {
    let observed = situation.observed;
    state.recognise(&observed.witnesses.own.related, |addr| {
        observed.nodes.get(addr)?.last_known()
    });
}

/// Takes in the addresses of the nodes' names. A subset of the known addresses is no news: a resolver may give the
/// addresses of a name in turns.
fn note_addresses(situation: &Situation<'_>, state: &mut Published) {
    for (addr, node) in &situation.observed.nodes {
        let (host, now) = (addr.host(), &node.observation.addresses);
        let noted = state.addresses.get(host);
        let news = noted.is_none_or(|noted| !now.is_subset(noted));
        if news && !now.is_empty() && host.parse::<IpAddr>().is_err() {
            state.addresses.insert(host.to_owned(), now.clone());
        }
    }
    // Former names stay: until the next change of primary the state may use one, and other keepers read it.
    while state.addresses.len() > ADDRESSES_KEPT {
        let listed = |host: &String| situation.observed.nodes.keys().any(|it| it.host() == host);
        let Some(former) = state.addresses.keys().find(|host| !listed(host)).cloned() else {
            break;
        };
        state.addresses.remove(&former);
    }
}

/// The state in which no primary is published, because `old` is to be replaced. The last replication ids of `old` go
/// into the lineage, with two exceptions: `old` had lost data by then, or was a server of another deployment. Then
/// the history of `old` is not the cluster's, and `old` is not to be published again.
///
/// A primary takes a new replication id when its first replica attaches. If the primary dies before a keeper reads
/// that id, only its replicas know it. Their history is the cluster's, and goes to the end of the lineage.
pub(super) fn withdrawing(
    situation: &Situation<'_>,
    before: &Published,
    old: Option<&NodeAddr>,
    reason: String,
) -> Published {
    let observed = situation.observed;
    let process = before.process();
    let known = old.and_then(|old| observed.nodes.get(old)?.observation.facts.as_ref());
    let facts = known.filter(|facts| {
        let mut members = situation.members();
        let lineage = &before.lineage;
        !before.is_stranger(facts)
            && !members.any(|(_, other)| lost_against(facts, other, lineage, process))
    });
    let mut state = before.clone();
    state.primary = None;
    state.intent = Some(Intent {
        epoch: observed.epoch,
        old: old.cloned(),
        old_run_id: process
            .or(facts.map(|facts| facts.run_id.as_str()))
            .map(str::to_owned),
        switchover: None,
        candidate: None,
        step: Step::Withdrawn,
        reason,
    });
    if let Some(facts) = facts.filter(|facts| facts.is_primary()) {
        state.extend_lineage(facts.histories());
    }
    if let Some(old) = old {
        let deposed = before.deposing(old, known, &observed.witnesses.own.related);
        state.deposed.insert(old.clone(), deposed);
        // Replicas that copied a server of another deployment there do not count. If this keeper never read the
        // primary, nothing shows what its replicas copied.
        let foreign = known.filter(|facts| before.is_stranger(facts));
        let synced = |facts: &NodeFacts| {
            let ever = facts.upstream().is_some_and(|it| it.link.ever_up());
            ever && foreign.is_none_or(|foreign| !facts.shares_history(foreign))
        };
        let mut streamed: Vec<_> = situation
            .members()
            .filter(|(addr, facts)| {
                known.is_some() && synced(facts) && situation.topology.follows(addr, old)
            })
            .map(|(_, facts)| (Reverse(facts.offset), facts.replication_id.as_str()))
            .collect();
        streamed.sort_unstable();
        for (_, id) in streamed {
            state.append_lineage(id);
        }
    }
    state
}

/// The state that names the candidate, written before its promotion.
pub(super) fn choosing(
    situation: &Situation<'_>,
    published: &Published,
    candidate: &NodeAddr,
) -> Published {
    let mut state = published.clone();
    if let Some(intent) = &mut state.intent {
        intent.epoch = situation.observed.epoch;
        intent.candidate = Some(candidate.clone());
        intent.step = Step::Promoting;
    }
    recognise(situation, &mut state);
    state
}
