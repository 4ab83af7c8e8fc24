//! Checks the links and the lag of replicas (`check --live`).

use std::time::Duration;

use super::seen::{Cluster, Follows, Node};
use crate::cli::check::findings::Subject;
use crate::domain::facts::{Link, Upstream};
use crate::domain::node::NodeAddr;
use crate::domain::policy::Policy;

/// The lag in bytes from which a replica needs a full copy if its link breaks: the default of `repl-backlog-size`.
///
/// Source: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>.
const MUCH: u64 = 1 << 20;

/// The silence that is too long: a living primary pings its replicas every ten seconds (default of
/// `repl-ping-replica-period`).
const SILENT_FOR: Duration = Duration::from_secs(21);

/// Adds findings about the replicas' links. `before` was read a while earlier. The lag is measured against the
/// primary's offset at that time, so each missing byte has been missing since then.
pub(super) fn look(
    policy: &Policy,
    cluster: &Cluster,
    before: Option<&Cluster>,
    mut subject: Subject,
) -> Subject {
    for (addr, node) in &cluster.nodes {
        let Some(upstream) = node.facts.upstream() else {
            continue;
        };
        subject = match upstream.link {
            Link::Down { since } => {
                let copied = upstream.syncing && copies(cluster, node);
                unlinked(subject, (addr, upstream), since, copied)
            }
            Link::Up => {
                let subject = unheard(subject, addr, upstream);
                let then = before.unwrap_or(cluster);
                let behind = behind(then, node).filter(|bytes| *bytes > threshold(policy));
                match behind {
                    Some(bytes) => {
                        lagging(policy, addr, (bytes, moves(before, addr, node)), subject)
                    }
                    None => subject,
                }
            }
        };
    }
    subject
}

fn threshold(policy: &Policy) -> u64 {
    policy.max_lag_bytes.map_or(MUCH, |most| most.min(MUCH))
}

/// Whether the upstream of `node` has a replica to copy to; true if the upstream is unknown. An upstream that refuses
/// the replica's login has none, although the replica keeps saying that its synchronisation is under way.
fn copies(cluster: &Cluster, node: &Node) -> bool {
    let Some(Follows::Listed(followed)) = &node.follows else {
        return true;
    };
    let followed = cluster.nodes.get(followed);
    followed.is_none_or(|followed| followed.facts.copied > 0)
}

fn unlinked(
    subject: Subject,
    (addr, upstream): (&NodeAddr, &Upstream),
    since: Option<Duration>,
    copied: bool,
) -> Subject {
    let primary = &upstream.primary;
    if copied {
        let text = format!(
            "{addr} is being copied from {primary} in full, and can take over only when that ends"
        );
        return subject.warning(text, "wait, and check again");
    }
    let span = since.map_or("since it started".to_owned(), |it| {
        format!("for {} s", it.as_secs())
    });
    subject.problem(
        format!("{addr} follows {primary} and has had no link to it {span} (master_link_status:down)"),
        format!(
            "look at its log, its masterauth and masteruser, and the network from it to {primary}; what is written meanwhile is \
             lost if it takes over"
        ),
    )
}

/// Adds a problem if the link is up, as the replica says, but nothing comes.
fn unheard(subject: Subject, addr: &NodeAddr, upstream: &Upstream) -> Subject {
    let Some(silence) = upstream.last_io.filter(|it| *it >= SILENT_FOR) else {
        return subject;
    };
    subject.problem(
        format!(
            "{addr} has heard nothing of {} for {} s, though their link is up",
            upstream.primary,
            silence.as_secs()
        ),
        "look whether that server hangs, and at the network between the two",
    )
}

/// The bytes of its upstream's history that `node` lacks.
fn behind(then: &Cluster, node: &Node) -> Option<u64> {
    let Some(Follows::Listed(followed)) = &node.follows else {
        return None;
    };
    let followed = &then.nodes.get(followed)?.facts;
    let comparable = followed.replication_id == node.facts.replication_id;
    comparable.then(|| followed.offset.saturating_sub(node.facts.offset))
}

/// Whether the replica's offset has changed since; `None` if the replica was not read before.
fn moves(before: Option<&Cluster>, addr: &NodeAddr, node: &Node) -> Option<bool> {
    let former = before?.nodes.get(addr)?;
    Some(former.facts.offset != node.facts.offset)
}

fn lagging(
    policy: &Policy,
    addr: &NodeAddr,
    (bytes, moves): (u64, Option<bool>),
    subject: Subject,
) -> Subject {
    if let Some(most) = policy.max_lag_bytes.filter(|most| bytes > *most) {
        return subject.problem(
            format!("{addr} is {bytes} bytes behind, more than max-lag-bytes ({most}): it may not take over"),
            "look at its load and its network, or raise max-lag-bytes",
        );
    }
    let text = format!(
        "{addr} is {bytes} bytes behind, and has been for a second: a failover to it loses them"
    );
    let remedy = "look at its load, its disk and its network";
    if moves == Some(false) {
        return subject.problem(format!("{text}; it does not go on at all"), remedy);
    }
    subject.warning(text, remedy)
}
