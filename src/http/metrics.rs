//! `/metrics`, for Prometheus: what the process has recorded, and the state of every cluster at the moment of asking.
//!
//! Source of the text format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use futures::future::join_all;

use super::backend::patiently;
use super::{HttpState, views};
use crate::actors::cluster_api::{ClusterView, NodeView, Question, Ruling};
use crate::actors::messages::{FailsafeReport, SessionReport};
use crate::domain::node::ClusterName;

pub(super) async fn metrics(state: Data<HttpState>) -> HttpResponse {
    let names = state.backend.clusters();
    let (views, session) = futures::join!(
        join_all(
            names
                .iter()
                .map(|name| patiently(|| state.backend.inspect_cluster(name.as_str())))
        ),
        patiently(|| state.backend.inspect_session()),
    );
    let clusters: Vec<Seen> = names
        .iter()
        .zip(views)
        .map(|(name, view)| (name, view.ok()))
        .collect();

    let mut page = Page(state.metrics.render());
    page.process(&state.tally, session.ok().as_ref());
    page.clusters(&clusters);
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4"))
        .insert_header((header::CACHE_CONTROL, views::NO_STORE))
        .body(page.0)
}

// === counting answers ===

/// Answers to checks since the process began.
#[derive(Default)]
pub(super) struct Tally([[AtomicU64; RULINGS.len()]; QUESTIONS.len()]);

const QUESTIONS: [(Question, &str); 2] = [
    (Question::Writable, "is-writable"),
    (Question::Readable, "is-readable"),
];

const RULINGS: [(Ruling, &str); 4] = [
    (Ruling::Yes, "yes"),
    (Ruling::No, "no"),
    (Ruling::Unknown, "unknown"),
    (Ruling::NoSuchNode, "no-such-node"),
];

impl Tally {
    /// Counts one answer.
    pub(super) fn count(&self, question: Question, ruling: Ruling) {
        self.counter(question, ruling)
            .fetch_add(1, Ordering::Relaxed);
    }

    fn counter(&self, question: Question, ruling: Ruling) -> &AtomicU64 {
        &self.0[question as usize][ruling as usize]
    }
}

// === the page ===

/// A cluster, and what its actor said if it answered.
type Seen<'a> = (&'a ClusterName, Option<ClusterView>);

struct Page(String);

impl Page {
    fn process(&mut self, tally: &Tally, session: Option<&SessionReport>) {
        let mut build = self.family(
            "redis_keeper_build_info",
            "gauge",
            "Version of the program.",
        );
        build.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);

        let mut checks = self.family(
            "redis_keeper_http_checks_total",
            "counter",
            "Answers to is-writable and is-readable.",
        );
        for (question, asked) in QUESTIONS {
            for (ruling, answered) in RULINGS {
                let count = tally.counter(question, ruling).load(Ordering::Relaxed);
                checks.sample(&[("question", asked), ("answer", answered)], count);
            }
        }

        if let Some(session) = session {
            let leads = session.leader.as_ref() == Some(&session.keeper);
            self.family(
                "redis_keeper_session_leader",
                "gauge",
                "1 if this keeper leads.",
            )
            .sample(&[], u8::from(leads));
            self.family(
                "redis_keeper_session_keepers_online",
                "gauge",
                "Keepers online, as this one sees it.",
            )
            .sample(&[], session.keepers.len());
            self.family(
                "redis_keeper_session_files_differ",
                "gauge",
                "Keepers online whose files lack clusters or nodes that others have.",
            )
            .sample(&[], session.differences.len());
            let failsafe = session.failsafe.as_ref();
            self.family(
                "redis_keeper_failsafe",
                "gauge",
                "1 while this keeper answers without ZooKeeper, by the consent of all keepers.",
            )
            .sample(&[], u8::from(failsafe.is_some_and(|it| it.going_on)));
            if let Some(failsafe) = failsafe {
                self.rehearsals(failsafe);
            }
        }
    }

    fn rehearsals(&mut self, failsafe: &FailsafeReport) {
        let mut reachable = self.family(
            "redis_keeper_failsafe_reachable",
            "gauge",
            "1 if the keeper could be asked for its consent when that was last tried; of this one, if its address is good.",
        );
        for (keeper, rehearsed) in &failsafe.rehearsed {
            let clear = u8::from(rehearsed.obstacle.is_none());
            reachable.sample(&[("keeper", keeper.as_str())], clear);
        }
        self.family(
            "redis_keeper_failsafe_possible",
            "gauge",
            "1 if this keeper could go on without ZooKeeper now, as far as was tried.",
        )
        .sample(&[], u8::from(failsafe.is_possible()));
    }

    fn clusters(&mut self, clusters: &[Seen]) {
        let mut gauge = |name, help, value: &dyn Fn(&ClusterView) -> Option<String>| {
            let mut family = self.family(name, "gauge", help);
            for (cluster, view) in clusters {
                if let Some(value) = view.as_ref().and_then(value) {
                    family.sample(&[("cluster", cluster.as_str())], value);
                }
            }
        };
        gauge(
            "redis_keeper_cluster_primary_known",
            "1 if a primary is published.",
            &|view| {
                let published = view.published.as_ref()?;
                Some(u8::from(published.primary.is_some()).to_string())
            },
        );
        gauge(
            "redis_keeper_cluster_generation",
            "Generation of the published state.",
            &|view| Some(view.published.as_ref()?.generation.to_string()),
        );
        gauge(
            "redis_keeper_cluster_lease_seconds",
            "Time left for which this keeper vouches for the state.",
            &|view| {
                let left = view.lease.deadline?.since(view.now);
                Some(left.as_secs_f64().to_string())
            },
        );

        let mut answering = self.family(
            "redis_keeper_cluster_answering",
            "gauge",
            "1 if the cluster's actor answers.",
        );
        for (cluster, view) in clusters {
            answering.sample(&[("cluster", cluster.as_str())], u8::from(view.is_some()));
        }

        let mut nodes = self.family(
            "redis_keeper_cluster_nodes",
            "gauge",
            "Nodes that are online, voted down, or neither.",
        );
        for (cluster, view) in clusters {
            let Some(view) = view else { continue };
            for state in [NodeState::Online, NodeState::Down, NodeState::Other] {
                let in_state = |node: &&NodeView| NodeState::of(node) == state;
                nodes.sample(
                    &[("cluster", cluster.as_str()), ("state", state.word())],
                    view.nodes.iter().filter(in_state).count(),
                );
            }
        }

        let mut barred = self.family(
            "redis_keeper_cluster_nodes_not_commandable",
            "gauge",
            "Nodes at which this keeper's commands would not be carried out.",
        );
        for (cluster, view) in clusters {
            let Some(view) = view else { continue };
            let barring = |node: &&NodeView| node.sighting.not_commandable().is_some();
            let count = view.nodes.iter().filter(barring).count();
            barred.sample(&[("cluster", cluster.as_str())], count);
        }
    }

    /// Begins a family of samples.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { page: self, name }
    }

    fn line(&mut self, line: impl Display) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }
}

struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Family<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)))
            .collect();
        let name = self.name;
        if labels.is_empty() {
            self.page.line(format_args!("{name} {value}"));
        } else {
            let labels = labels.join(",");
            self.page.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeState {
    Online,
    Down,
    Other,
}

impl NodeState {
    fn of(node: &NodeView) -> Self {
        if node.verdict.down() {
            Self::Down
        } else if node.online() {
            Self::Online
        } else {
            Self::Other
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Down => "down",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page(String::new());
        page.family("x", "gauge", "An x.")
            .sample(&[("a", "\"\\\n")], 1.5);
        assert_eq!(
            page.0,
            "# HELP x An x.\n# TYPE x gauge\nx{a=\"\\\"\\\\\\n\"} 1.5\n"
        );
    }

    #[test]
    fn each_answer_is_counted_as_what_it_is() {
        let tally = Tally::default();
        tally.count(Question::Writable, Ruling::Yes);
        tally.count(Question::Readable, Ruling::NoSuchNode);
        let mut page = Page(String::new());
        page.process(&tally, None);
        let count = |labels| {
            let line = format!("redis_keeper_http_checks_total{{{labels}}} 1");
            page.0.lines().filter(|found| *found == line).count()
        };
        assert_eq!(count(r#"question="is-writable",answer="yes""#), 1);
        assert_eq!(count(r#"question="is-readable",answer="no-such-node""#), 1);
        assert_eq!(page.0.matches("} 1\n").count(), 3);
    }
}
