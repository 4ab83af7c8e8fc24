//! The JSON of nodes: the result of the probes, the keepers' conclusions, and the state of the monitor.

use serde_json::{Value, json};

use super::super::backend::NodeReport;
use super::{min_replicas, seconds, strings};
use crate::actors::cluster_api::NodeView;
use crate::actors::messages::MonitorState;
use crate::domain::facts::{Link, Mode, NodeFacts, Role};
use crate::domain::hindrance::{Hindrance, HindranceKind};
use crate::domain::liveness::DownReason;
use crate::domain::node::Moment;
use crate::domain::observation::NodeObservation;

pub(in crate::http) fn node(report: &NodeReport) -> Value {
    let mut value = node_view(&report.view);
    value["restarts"] = report.restarts.into();
    value["monitor"] = report.monitor.as_ref().map(monitor).into();
    value
}

pub(super) fn node_view(view: &NodeView) -> Value {
    let verdict = view.verdict;
    json!({
        "node": view.node.to_string(),
        "online": view.online(),
        "writable": view.writable.to_string(),
        "readable": view.readable.to_string(),
        "offset": view.offset,
        "lag-bytes": view.lag_bytes,
        "lag-seconds": view.lag_seconds,
        "facts-age-seconds": view.age.map(seconds),
        "verdict": {
            "down": verdict.down(),
            "unfit-as-primary": verdict.unfit_as_primary(),
            "seen-by-majority": verdict.seen_by_majority(),
            "keepers": verdict.keepers,
            "min-votes": verdict.min_votes,
            "votes": view.votes.iter().map(|(keeper, reason)| {
                (keeper.as_str().to_owned(), down_reason(*reason).into())
            }).collect::<serde_json::Map<_, _>>(),
        },
        "sighting": observation(&view.observation, view.now),
    })
}

fn observation(observation: &NodeObservation, now: Moment) -> Value {
    json!({
        "age-seconds": seconds(now.since(observation.at)),
        "probed": observation.probed,
        "answering": observation.answering,
        "unproven": observation.unproven.map(|it| json!({
            "seconds": seconds(now.since(it.since)),
            "known-before": it.known,
            "refused-since": it.refused.is_some(),
            "foreign": it.foreign,
        })),
        "facts-outdated-seconds": observation.outdated.map(|since| seconds(now.since(since))),
        "vote": observation.vote.map(down_reason),
        "trouble": observation.obstacle(),
        "hindrance": observation.hindrance.as_ref().map(|it| hindrance(it, now)),
        "min-replicas": observation.min_replicas.as_ref().map(|read| match read {
            Ok(values) => min_replicas(*values),
            Err(error) => json!({ "error": error }),
        }),
        "commandable": observation.commandable.as_ref().map(Result::is_ok),
        "commandable-reason": observation.not_commandable(),
        "addresses": strings(&observation.addresses),
        "upstream-addresses": strings(&observation.upstream_addresses),
        "facts": observation.proven().map(facts),
        "former-facts": observation.facts.as_ref().filter(|_| observation.proven().is_none()).map(facts),
    })
}

fn hindrance(hindrance: &Hindrance, now: Moment) -> Value {
    json!({
        "kind": match hindrance.kind {
            HindranceKind::Misconf => "misconf",
            HindranceKind::Busy => "busy",
        },
        "seconds": seconds(now.since(hindrance.since)),
        "said": hindrance.said,
    })
}

fn facts(facts: &NodeFacts) -> Value {
    json!({
        "run-id": facts.run_id,
        "version": facts.version.to_string(),
        "mode": match facts.mode {
            Mode::Standalone => "standalone",
            Mode::Cluster => "cluster",
            Mode::Sentinel => "sentinel",
        },
        "uptime-seconds": seconds(facts.uptime),
        "loading": facts.loading,
        "role": role(&facts.role),
        "replication-id": facts.replication_id,
        "previous-replication-id": facts.previous_replication_id,
        "offset": facts.offset,
        "keys": facts.keys,
        "shutdown-seconds-left": facts.shutting_down.map(seconds),
        "disk-failed": facts.writes.disk_failed,
        "replicas-in-touch": facts.writes.replicas_in_touch,
        "sentinels": facts.sentinels,
        "other-subscribers": facts.other_subscribers,
    })
}

fn role(role: &Role) -> Value {
    match role {
        Role::Primary { online_replicas } => {
            json!({ "primary": { "online-replicas": online_replicas } })
        }
        Role::Replica(upstream) => {
            let (link, down) = match upstream.link {
                Link::Up => ("up", None),
                Link::Down { since } => ("down", since.map(seconds)),
            };
            json!({ "replica": {
                "primary": upstream.primary.to_string(),
                "link": link,
                "link-down-seconds": down,
                "syncing": upstream.syncing,
                "last-io-seconds": upstream.last_io.map(seconds),
                "priority": upstream.priority,
            }})
        }
    }
}

fn monitor(state: &MonitorState) -> Value {
    json!({
        "last-probe": state.last_probe.map(|(sent, took)| json!({
            "age-seconds": seconds(state.now.since(sent)),
            "took-seconds": seconds(took),
        })),
        "last-proof-of-life-age-seconds": state.last_alive.map(|at| seconds(state.now.since(at))),
        "consecutive-failures": state.consecutive_failures,
        "probes": state.probes,
        "failures": state.failures,
        "sighting": observation(&state.observation, state.now),
    })
}

fn down_reason(reason: DownReason) -> &'static str {
    match reason {
        DownReason::Refused => "refused",
        DownReason::Closed => "closed",
        DownReason::Unanswered => "unanswered",
        DownReason::Loading => "loading",
        DownReason::Busy => "busy",
        DownReason::Impostor => "impostor",
    }
}
