//! Plans in words, for logs and `/admin/clusters`.

use std::collections::BTreeSet;
use std::fmt;

use super::{Action, Hold, Plan, StateChange, commandable};
use crate::domain::claims::OverlapRole;
use crate::domain::confirmation::{ConfirmationReason, Flapping, Inquiry};
use crate::domain::facts::Mode;
use crate::domain::listed::listed;
use crate::domain::node::{Moment, NodeAddr};

mod advice;
mod data;
mod ends;
mod failover;
mod hindrance;

/// The text before and after the name of another group of keepers.
const OTHER_GROUP: (&str, &str) = (
    "another group of keepers looks after these servers:",
    "Nothing is changed until one of the two is stopped, and a dead primary is not replaced either: compare zk-prefix and \
     zk-quorum, and stop the group that is not to look after them. If they are the same, ZooKeeper has lost its data: restart that keeper",
);

/// A plan or a hold, as it reads at one moment: the words say how long a hold still lasts.
#[derive(Debug)]
pub struct At<'a, T> {
    told: &'a T,
    now: Moment,
}

impl Plan {
    /// The plan in words, as it reads at `now`.
    pub fn at(&self, now: Moment) -> At<'_, Self> {
        At { told: self, now }
    }
}

impl Hold {
    /// The hold in words, as it reads at `now`.
    pub fn at(&self, now: Moment) -> At<'_, Self> {
        At { told: self, now }
    }
}

impl fmt::Display for At<'_, Plan> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, now } = *self;
        if let Some(action) = &told.action {
            write!(f, "{action}")?;
        } else if told.holds.is_empty() {
            return f.write_str("nothing to do");
        }
        for (index, hold) in told.holds.iter().enumerate() {
            let separator = if index == 0 && told.action.is_none() {
                ""
            } else {
                "; "
            };
            write!(f, "{separator}{}", hold.at(now))?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |addr: Option<&NodeAddr>| addr.map_or_else(|| "none".to_owned(), ToString::to_string);
        match self {
            Self::Write { state, change } => match change {
                StateChange::Withdraw => {
                    let old = state.intent.as_ref().and_then(|intent| intent.old.as_ref());
                    write!(f, "withdraw the primary ({})", name(old))
                }
                StateChange::Publish | StateChange::Resume => {
                    write!(f, "publish {} as the primary", name(state.primary.as_ref()))
                }
                StateChange::Accept => write!(
                    f,
                    "accept another process at {} as the primary, though it lacks data of the cluster, or has data of \
                     another history: no node that holds the cluster's newest data may take over",
                    name(state.primary.as_ref())
                ),
                StateChange::Note => f.write_str("note replicas and data history of the primary"),
            },
            Self::TakeOver(other) => {
                write!(f, "take over what cluster {other} is published with")
            }
            Self::LookFirst(nodes) => {
                let nodes: Vec<_> = nodes.iter().cloned().collect();
                write!(f, "look for other groups of keepers at {}", listed(&nodes))
            }
            Self::Confirm(Inquiry { primary, .. }) => {
                write!(f, "ask {primary} once more before it is withdrawn")
            }
            Self::AskVoters(primary) => {
                write!(f, "have the other keepers ask {primary} once more")
            }
            Self::Promote { node, through, .. } => {
                write!(f, "promote {node}")?;
                through
                    .as_ref()
                    .map_or(Ok(()), |keeper| write!(f, " through {keeper}"))
            }
            Self::Switch { from, to, .. } => write!(f, "switch over from {from} to {to}"),
            Self::Follow {
                nodes,
                primary,
                through,
            } => {
                write!(f, "make {} follow {primary}", listed(nodes))?;
                for (node, keeper) in through {
                    write!(f, ", {node} through {keeper}")?;
                }
                Ok(())
            }
            Self::SetMinReplicas { node, values } => write!(
                f,
                "set min-replicas-to-write {}, min-replicas-max-lag {} at {node}",
                values.to_write, values.max_lag
            ),
        }
    }
}

fn not_in_file(node: &NodeAddr, voters: usize) -> String {
    if voters == 0 {
        return format!(
            "{node} is in the file of no keeper that is online: it stays published and is called writable, but nobody probes or replaces it. Put it back into the files"
        );
    }
    format!(
        "{node} is not in this keeper's file, and in that of {voters} others: one of them is to lead. \
         Give all keepers the same nodes"
    )
}

fn unconfirmed(
    f: &mut fmt::Formatter<'_>,
    node: &NodeAddr,
    reason: &ConfirmationReason,
) -> fmt::Result {
    if *reason == ConfirmationReason::Elsewhere {
        return write!(
            f,
            "another process than the published one answers this keeper at {node}, and most keepers find the published one: \
             see where {node} leads on this keeper's host"
        );
    }
    write!(f, "{node} is voted down, {reason}")
}

fn follows_another(f: &mut fmt::Formatter<'_>, node: &NodeAddr, primary: &NodeAddr) -> fmt::Result {
    write!(
        f,
        "{node} follows another server than {primary} by that name or address: its data are of another history and count as \
         none of the cluster's; see where {primary} leads on the host of {node}"
    )
}

impl fmt::Display for At<'_, Hold> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, now } = *self;
        match told {
            Hold::Undecided(nodes) => {
                f.write_str("waiting until it is known who is up")?;
                for (index, (node, trouble)) in nodes.iter().enumerate() {
                    write!(
                        f,
                        "{} {node} ({trouble})",
                        if index == 0 { ":" } else { "," }
                    )?;
                }
                Ok(())
            }
            Hold::Unconfirmed(node, reason) => unconfirmed(f, node, reason),
            Hold::FollowsAnother { node, primary } => follows_another(f, node, primary),
            Hold::Flapping(node, flapping) => write!(f, "{node} {flapping}"),
            Hold::Unacknowledged(keepers) => write!(
                f,
                "waiting until the withdrawal is acknowledged, or the lease is out, of: {keepers}"
            ),
            Hold::SilentKeepers { until, withdrawn } => {
                ends::silent_keepers(f, until, *withdrawn, now)
            }
            Hold::Draining {
                node,
                up,
                untold,
                until,
                drain,
            } => {
                let up = said_of("or until HAProxy says DOWN", up);
                let untold = said_of("not told yet what HAProxy says by", untold);
                let left = until.since(now);
                write!(f, "{}{up}{untold}", ends::draining(node, left, *drain))
            }
            Hold::NoNodeUp => f.write_str("no node of the cluster is up"),
            Hold::NoneEligible { replaced, refusals } => {
                match replaced {
                    Some(old) => write!(f, "no node may take over from {old}")?,
                    None => f.write_str("no node may become the primary")?,
                }
                for (index, (node, refusal)) in refusals.iter().enumerate() {
                    write!(f, "{} {node} {refusal}", if index == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Hold::SentinelAtWork { .. }
            | Hold::SentinelPassedOver { .. }
            | Hold::SentinelChannel { .. } => told.of_sentinels(f, now),
            Hold::OtherGroup(_)
            | Hold::ChangedFromOutside { .. }
            | Hold::Overlaps { .. }
            | Hold::Contended { .. }
            | Hold::Astray { .. } => told.of_others(f, now),
            Hold::WrongMode(node, mode) => write!(f, "{node} {}: it is left alone", wrong(*mode)),
            Hold::SameServer(alias, node) => advice::same_server(f, alias, node),
            Hold::ReplicatesFromOutside { node, primary } => advice::from_outside(f, node, primary),
            Hold::FailingOver { .. } | Hold::ShuttingDown { .. } => told.failing_over(f, now),
            Hold::Unrelated { kept, other } => advice::unrelated(f, kept, other),
            Hold::NoSwitchover(why) => write!(f, "no switchover: {why}"),
            Hold::Stranger { node } => write!(
                f,
                "another process answers at {node}, the published primary's address, with data of another history"
            ),
            Hold::CameBackBehind { .. }
            | Hold::CameBack { .. }
            | Hold::BothWentOn { .. }
            | Hold::MayHoldMore { .. } => told.of_data(f),
            Hold::NotInFile { node, voters } => f.write_str(&not_in_file(node, *voters)),
            Hold::PrimaryLoading(node) => write!(f, "{node} is loading its data set"),
            Hold::FailedLately { node, why } => write!(f, "{node} is tried again soon: {why}"),
            Hold::NotCommandable { .. } => commandable::tell(f, told),
            Hold::Hindered { .. } => told.hindered(f, now),
            Hold::RefusesForReplicas { .. } | Hold::WouldRefuseForReplicas { .. } => {
                told.of_min_replicas(f)
            }
            Hold::NotLinked(node) => write!(
                f,
                "{node} follows the primary but has no link to it: if that lasts, look at its masterauth and its log"
            ),
            Hold::ReplicasWaiting(nodes) => replicas_waiting(f, nodes),
            Hold::CoolingDown { .. } => told.cooling_down(f, now),
            Hold::MinReplicasOutOfReach { node, why } => write!(
                f,
                "min-replicas-to-write of {node} is not kept as write-safety says: {why}"
            ),
            Hold::TooFewReplicas {
                node,
                demanded,
                online,
            } => write!(
                f,
                "min-replicas-to-write {demanded} is set at {node} when so many replicas follow it, now {online}: \
                 until then it would not stop by itself if it were cut off (write-safety)"
            ),
        }
    }
}

impl Hold {
    /// The words of holds because of another manager, or another cluster with the same servers (RK-12).
    fn of_others(&self, f: &mut fmt::Formatter<'_>, now: Moment) -> fmt::Result {
        match self {
            Self::OtherGroup(other) => write!(f, "{} {other}. {}", OTHER_GROUP.0, OTHER_GROUP.1),
            Self::ChangedFromOutside { until } => write!(
                f,
                "the primary was changed from outside three times within a minute, by hand or by another manager: nothing is \
                 undone for another {} s, {}",
                until.since(now).as_secs(),
                advice::ACKNOWLEDGE
            ),
            Self::Overlaps {
                cluster,
                nodes,
                part,
            } => {
                let then = match part {
                    OverlapRole::Unpublished => "This cluster is not published while that one is",
                    OverlapRole::Heir => {
                        "More keepers have this one: it takes over what that one is published with"
                    }
                    OverlapRole::Held => "That one is managed: nothing is changed here",
                    OverlapRole::Without => "They are left to that one",
                    OverlapRole::Managed => "That one is held",
                };
                let nodes: Vec<_> = nodes.iter().cloned().collect();
                write!(
                    f,
                    "two clusters have the same servers: cluster {cluster}, which is published, has {}, too. {then}. \
                     Give each server to one cluster, the same in the files of all keepers",
                    listed(&nodes)
                )
            }
            Self::Contended { cluster, keepers } => {
                let keepers: Vec<_> = keepers.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "two clusters have the same servers: the files of {} have nodes of this cluster in cluster {cluster}, \
                     which is held",
                    keepers.join(", ")
                )
            }
            Self::Astray { first, more: 0 } => write!(f, "{first}"),
            Self::Astray { first, more } => write!(f, "{first}; {more} more such names"),
            _ => Ok(()),
        }
    }

    /// The words of holds because of Sentinels, or clients that look like Sentinels.
    fn of_sentinels(&self, f: &mut fmt::Formatter<'_>, now: Moment) -> fmt::Result {
        match self {
            Self::SentinelAtWork {
                node,
                sentinel,
                until,
            } => {
                advice::stop_sentinel(f, node, sentinel)?;
                match until {
                    Some(until) => write!(
                        f,
                        "; if it has not replaced the primary in {:.1} s, the keepers do",
                        until.since(now).as_secs_f64()
                    ),
                    None => Ok(()),
                }
            }
            Self::SentinelPassedOver { node, sentinel } => write!(
                f,
                "a Redis Sentinel watches {node} ({sentinel}) and holds nothing now: stop it, or two managers may undo each \
                 other's failovers"
            ),
            Self::SentinelChannel { node, clients } => write!(
                f,
                "{clients} clients of {node} listen on the channel of Redis Sentinels and are not named as Sentinels: they hold \
                 nothing"
            ),
            _ => Ok(()),
        }
    }
}

fn wrong(mode: Mode) -> &'static str {
    match mode {
        Mode::Cluster => "runs in Redis Cluster mode, which fails over by itself",
        Mode::Sentinel | Mode::Standalone => "is a Redis Sentinel, not a data node",
    }
}

fn replicas_waiting(f: &mut fmt::Formatter<'_>, nodes: &[NodeAddr]) -> fmt::Result {
    write!(
        f,
        "until a synchronisation ends (parallel-syncs), waiting: {}",
        listed(nodes)
    )
}

impl fmt::Display for Flapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { times, within, .. } = self;
        write!(
            f,
            "is flapping: voted down {times} times within {:.0} s, it answered each time before it was withdrawn",
            within.as_secs_f64()
        )
    }
}

impl fmt::Display for ConfirmationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let untold = match self {
            Self::Answers | Self::Elsewhere => {
                return f.write_str("but has answered since: it is not withdrawn");
            }
            Self::Voters(untold) => {
                f.write_str(
                    "and withdrawn if a majority of the keepers, asked once more, has no answer",
                )?;
                untold
            }
            Self::Brake(brake, untold) => {
                write!(
                    f,
                    "and withdrawn if a majority of the keepers, asked once more, has no answer: {} of {} primaries are \
                     silent at once",
                    brake.silent, brake.published
                )?;
                untold
            }
        };
        f.write_str(&said_of("not told yet by", untold))
    }
}

/// `; what: items`, or nothing if there are none.
fn said_of<T: fmt::Display>(what: &str, items: &BTreeSet<T>) -> String {
    if items.is_empty() {
        return String::new();
    }
    format!("; {what}: {}", listed(items))
}
