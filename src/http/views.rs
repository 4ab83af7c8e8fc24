//! The JSON of the answers. This program only writes these shapes, and does not read them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

pub(super) use self::node::node;
use self::node::node_view;
use super::backend::ChildReport;
use crate::actors::cluster_api::{
    CheckAnswer, ClusterStatus, ClusterView, ProxyState, ProxyView, Question, Ruling,
};
use crate::actors::messages::{FailsafeReport, KeeperAnnouncement, SessionReport};
use crate::domain::authority::Authority;
use crate::domain::explain::Explanation;
use crate::domain::facts::MinReplicas;
use crate::domain::group::OtherGroup;
use crate::domain::node::{KeeperId, Moment, NodeAddr};
use crate::domain::published::{Intent, Published, Step};
use crate::domain::rivals::Astray;

mod node;

/// An answer with a JSON body. Each answer is true only at its moment, so no cache may keep it.
pub(super) fn json(code: StatusCode, body: &impl Serialize) -> HttpResponse {
    let mut text = Vec::with_capacity(192);
    // Writing to a vector does not fail, and all keys are strings.
    serde_json::to_writer(&mut text, body).expect("views are JSON by construction");
    HttpResponse::build(code)
        .insert_header((header::CONTENT_TYPE, JSON))
        .insert_header((header::CACHE_CONTROL, NO_STORE))
        .body(text)
}

const JSON: header::HeaderValue = header::HeaderValue::from_static("application/json");
pub(super) const NO_STORE: header::HeaderValue = header::HeaderValue::from_static("no-store");

// === checks ===

/// The answer to one check: `{"is-writable":…,"node":…,"reason":…,"generation":…}`. If an outage of ZooKeeper is the cause,
/// `reason` includes the time and the cause of the outage.
pub(super) fn check(
    code: StatusCode,
    question: Question,
    answer: &CheckAnswer,
    outage: Option<&str>,
) -> HttpResponse {
    json(
        code,
        &Check {
            question,
            answer,
            outage,
        },
    )
}

struct Check<'a> {
    question: Question,
    answer: &'a CheckAnswer,
    outage: Option<&'a str>,
}

impl Serialize for Check<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let CheckAnswer {
            reason,
            node,
            generation,
            deadline: _,
            consented: _,
        } = self.answer;
        let question = match self.question {
            Question::Writable => "is-writable",
            Question::Readable => "is-readable",
        };
        let said = match reason.ruling() {
            Ruling::Yes => Some(true),
            Ruling::No => Some(false),
            Ruling::Unknown | Ruling::NoSuchNode => None,
        };
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry(question, &said)?;
        match node {
            Some(node) => map.serialize_entry("node", &format_args!("{node}"))?,
            None => map.serialize_entry("node", &())?,
        }
        match self.outage {
            Some(outage) => map.serialize_entry("reason", &format_args!("{reason}: {outage}"))?,
            None => map.serialize_entry("reason", &format_args!("{reason}"))?,
        }
        map.serialize_entry("generation", &generation.map(|generation| generation.0))?;
        map.end()
    }
}

/// `{"master":{"host","port"}|null,"slaves":[…]}`: the form of the older redis-keeper, so that its clients need no
/// change.
pub(super) fn status(status: &ClusterStatus) -> impl Serialize {
    #[derive(Serialize)]
    struct Status<'a> {
        master: Option<Address<'a>>,
        slaves: Vec<Address<'a>>,
    }
    Status {
        master: status.primary.as_ref().map(address),
        slaves: status.replicas.iter().map(address).collect(),
    }
}

/// `{"host","port"}`.
pub(super) fn address(node: &NodeAddr) -> Address<'_> {
    Address {
        host: node.host(),
        port: node.port(),
    }
}

#[derive(Serialize)]
pub(super) struct Address<'a> {
    host: &'a str,
    port: u16,
}

// === clusters ===

pub(super) fn cluster(view: &ClusterView) -> Value {
    json!({
        "name": view.name.as_str(),
        "lease-seconds-left": view.lease.deadline().map(|end| seconds(end.since(view.now))),
        "published": view.published.as_ref().map(published),
        "version": view.version,
        "keepers": view.keepers.iter().map(KeeperId::as_str).collect::<Vec<_>>(),
        "leading-with-epoch": view.leading.map(|epoch| epoch.0),
        "plan": view.plan,
        "nodes": view.nodes.iter().map(node_view).collect::<Vec<_>>(),
        "files-lack": view.differences,
        "haproxies": view.proxies.iter().map(|it| proxy(it, view.now)).collect::<Vec<_>>(),
        "other-groups": view.other_groups.iter().map(other_group).collect::<Vec<_>>(),
        "names-astray": view.astray.iter().map(astray).collect::<Vec<_>>(),
    })
}

fn other_group(other: &OtherGroup) -> Value {
    json!({
        "group": other.group.as_str(),
        "keeper": other.keeper.as_str(),
        "rest": other.rest.to_string(),
        "coordination": other.place,
        "cluster": other.cluster.as_str(),
        "primary": other.primary.as_ref().map(ToString::to_string),
    })
}

/// The name of another group's keeper, if the name does not lead to that keeper.
fn astray(astray: &Astray) -> Value {
    json!({
        "group": astray.name.group.as_str(),
        "keeper": astray.name.keeper.as_str(),
        "rest": astray.name.rest.to_string(),
        "nodes": strings(&astray.nodes),
        "found": astray.leads_to.to_string(),
    })
}

fn proxy(view: &ProxyView, now: Moment) -> Value {
    json!({
        "name": view.proxy.name,
        "backend": view.proxy.backend,
        "address": view.proxy.address.map(|address| address.to_string()),
        "node": view.node.to_string(),
        "state": match view.state {
            ProxyState::Up => "UP",
            ProxyState::Down => "DOWN",
        },
        "age-seconds": seconds(now.since(view.at)),
        "named": view.named.as_ref().map(ToString::to_string),
    })
}

fn published(published: &Published) -> Value {
    json!({
        "primary": published.primary.as_ref().map(ToString::to_string),
        "replicas": strings(&published.replicas),
        "epoch": published.epoch.0,
        "generation": published.generation.0,
        "known": strings(&published.known),
        "lineage": published.lineage,
        "has-data": published.has_data,
        "former-min-replicas": published.former_min_replicas.iter().map(|(node, former)| {
            (node.to_string(), min_replicas(*former))
        }).collect::<serde_json::Map<_, _>>(),
        "addresses": published.addresses,
        "failover": published.intent.as_ref().map(intent),
    })
}

fn min_replicas(values: MinReplicas) -> Value {
    json!({ "to-write": values.to_write, "max-lag-seconds": values.max_lag })
}

fn intent(intent: &Intent) -> Value {
    json!({
        "epoch": intent.epoch.0,
        "old": intent.old.as_ref().map(ToString::to_string),
        "candidate": intent.candidate.as_ref().map(ToString::to_string),
        "step": match intent.step {
            Step::Withdrawn => "withdrawn",
            Step::Promoting => "promoting",
        },
        "reason": intent.reason,
    })
}

/// Adds the keeper that answers, and the keeper that leads.
pub(super) fn add_leader(body: &mut Value, by: Option<&KeeperId>, authority: &Authority) {
    let leader = match authority {
        Authority::Leads(_) => by,
        Authority::Follows { leader, .. } => Some(leader),
        Authority::Nobody(_) | Authority::Away(_) => None,
    };
    body["told-by"] = by.map(KeeperId::as_str).into();
    body["leader"] = leader.map(KeeperId::as_str).into();
}

pub(super) fn explanation(cluster: &str, explanation: &Explanation) -> Value {
    let ranking = explanation.ranking.iter().map(|successor| {
        json!({
            "node": successor.node.to_string(),
            "offset": successor.offset,
            "lag-bytes": successor.lag.map(|lag| lag.bytes),
            "lag-seconds": successor.lag.and_then(|lag| lag.seconds),
            "facts-age-seconds": successor.age.map(seconds),
            "priority": successor.priority,
            "uptime-seconds": seconds(successor.uptime),
            "replication-history": {
                "id": successor.history,
                "promotions-back": successor.promotions_back,
            },
        })
    });
    let refused = explanation
        .refused
        .iter()
        .map(|(node, refusal)| json!({ "node": node.to_string(), "reason": refusal.to_string() }));
    let left_behind = explanation
        .left_behind
        .iter()
        .map(|(node, version)| json!({ "node": node.to_string(), "version": version }));
    let troubles = explanation
        .troubles
        .iter()
        .map(|(node, trouble)| json!({ "node": node.to_string(), "trouble": trouble }));
    json!({
        "cluster": cluster,
        "primary": explanation.primary.as_ref().map(ToString::to_string),
        "if-the-primary-died-now": {
            "sentence": explanation.sentence,
            "next": explanation.next.as_ref().map(ToString::to_string),
            "ranking": ranking.collect::<Vec<_>>(),
            "refused": refused.collect::<Vec<_>>(),
            "left-behind": left_behind.collect::<Vec<_>>(),
            "held-by": explanation.held_by,
        },
        "now": explanation.now,
        "troubles": troubles.collect::<Vec<_>>(),
    })
}

// === keepers and supervision ===

pub(super) fn session(report: &SessionReport) -> Value {
    let announced = |keeper: &KeeperAnnouncement| {
        json!({
            "id": keeper.id.as_str(),
            "rest": keeper.rest,
            "version": keeper.version,
            "process": keeper.process,
        })
    };
    json!({
        "keeper": report.keeper.as_str(),
        "group": report.group.as_ref().map(ToString::to_string),
        "coordination": report.coordination,
        "state": report.state,
        "trouble": report.trouble,
        "session": report.session.map(|id| format!("{id:#x}")),
        "leader": report.leader.as_ref().map(KeeperId::as_str),
        "leading-with-epoch": report.epoch.map(|epoch| epoch.0),
        "generation": report.generation,
        "keepers": report.keepers.iter().map(announced).collect::<Vec<_>>(),
        "failsafe": report.failsafe.as_ref().map(failsafe),
        "files-lack": report.differences,
        "settings-differ": report.settings,
        "overlaps": report.overlaps,
    })
}

fn failsafe(report: &FailsafeReport) -> Value {
    let names =
        |ids: &BTreeSet<KeeperId>| -> Vec<String> { ids.iter().map(ToString::to_string).collect() };
    let refusals = report.refusals.iter();
    let refusals: BTreeMap<&str, &String> = refusals
        .map(|(keeper, why)| (keeper.as_str(), why))
        .collect();
    let rehearsed = report.rehearsed.iter().map(|(keeper, it)| {
        let told = json!({
            "obstacle": it.obstacle.as_ref().map(ToString::to_string),
            "age-seconds": seconds(report.now.since(it.tried)),
        });
        (keeper.as_str().to_owned(), told)
    });
    json!({
        "going-on": report.going_on,
        "circle": names(&report.failsafe_group),
        "asks": report.asks.as_ref().map(names),
        "refusals": refusals,
        "rehearsed": rehearsed.collect::<serde_json::Map<_, _>>(),
    })
}

pub(super) fn supervision(child: &ChildReport) -> Value {
    json!({
        "name": child.name,
        "state": child.state,
        "restarts": child.restarts,
        "last-exit": child.last_exit,
        "uptime-seconds": seconds(child.uptime),
        "children": child.children.iter().map(supervision).collect::<Vec<_>>(),
    })
}

// === words and figures ===

fn strings<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// Seconds, rounded to the microsecond.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e6
}
