//! The recorder of metrics, within bounded memory.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// The upper bounds of the buckets for durations, in seconds: from a server on this host (0.1 ms) to a probe timeout
/// (1 s).
const DURATIONS: [f64; 13] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
];

/// The time between two rounds of upkeep, which count recorded durations into the buckets. Until then every duration
/// is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics that are recorded when an event happens, each with its help text. All other metrics are read at the
/// time of a scrape: `http/metrics`.
const HELP: [(&str, &str); 13] = [
    (
        "redis_keeper_cluster_holds_total",
        "Holds and warnings that began, as the leader saw it.",
    ),
    (
        "redis_keeper_cluster_other_groups",
        "Other groups of keepers that look after the cluster.",
    ),
    (
        "redis_keeper_cluster_outside_changes_total",
        "Roles of nodes that somebody else changed, as the leader saw it.",
    ),
    (
        "redis_keeper_confirmations_total",
        "Withdrawals by votes that were held.",
    ),
    (
        "redis_keeper_http_connections_closed_total",
        "Connections of HTTP that the keeper closed.",
    ),
    (
        "redis_keeper_http_unknown_total",
        "Checks of nodes or clusters that are not known, or whose state header names no server.",
    ),
    (
        super::logging::LOST_LINES,
        "Lines of the log that nobody took in time, or that could not be written.",
    ),
    (
        "redis_keeper_node_silences_total",
        "Silences of a node, each of a second or more, or of half of the mark-down time.",
    ),
    (
        "redis_keeper_probe_connections_mute_total",
        "Connections that fell silent while a new one to the same node worked.",
    ),
    (
        "redis_keeper_probe_duration_seconds",
        "How long answers to probes took.",
    ),
    ("redis_keeper_probe_failures_total", "Probes that failed."),
    (
        "redis_keeper_session_heartbeat_seconds",
        "How long ZooKeeper took to confirm the last heartbeat.",
    ),
    (
        "redis_keeper_supervision_restarts_total",
        "Parts of the keeper that were restarted, by their kind.",
    ),
];

/// Installs the recorder for all metrics of this process. The upkeep runs as long as the current actix system.
pub(super) fn install() -> Result<PrometheusHandle, BuildError> {
    let recorded = builder()?.install_recorder()?;
    describe();
    // The counter exists from the start, so that its first increase is visible.
    metrics::counter!(super::logging::LOST_LINES).absolute(0);
    let kept = recorded.clone();
    actix::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            kept.run_upkeep();
        }
    });
    Ok(recorded)
}

/// Registers the help text of each metric, under the kind by which the metric is recorded.
fn describe() {
    for (name, help) in HELP {
        if name.ends_with("_total") {
            metrics::describe_counter!(name, help);
        } else if name.ends_with("_duration_seconds") {
            metrics::describe_histogram!(name, help);
        } else {
            metrics::describe_gauge!(name, help);
        }
    }
}

/// Durations are recorded as histograms. Summaries, the default, cannot be added up over keepers, and keep samples.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let durations = Matcher::Suffix("_duration_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(durations, &DURATIONS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Collects the metric names that the sources record.
    fn recorded(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder of the sources") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                recorded(&path, names);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a readable source");
            for kind in ["counter!(", "gauge!(", "histogram!("] {
                let call = format!("metrics::{kind}");
                let calls = text.split(&call).skip(1);
                let calls = calls.map(str::trim_start);
                let quoted = calls.filter_map(|call| call.strip_prefix('"')?.split('"').next());
                names.extend(quoted.map(str::to_owned));
            }
        }
    }

    #[test]
    fn what_is_recorded_is_described_and_nothing_else() {
        let mut names = BTreeSet::from([crate::cli::logging::LOST_LINES.to_owned()]);
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        recorded(&sources, &mut names);
        let described: BTreeSet<_> = HELP.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names, described);
        assert_eq!(described.len(), HELP.len());
    }

    #[test]
    fn durations_are_counted_in_buckets() {
        let recorder = builder().expect("buckets").build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("redis_keeper_probe_duration_seconds").record(0.0007);
        });
        let page = recorder.handle().render();
        for (bound, count) in [("0.0005", 0), ("0.001", 1), ("1", 1), ("+Inf", 1)] {
            let line =
                format!("redis_keeper_probe_duration_seconds_bucket{{le=\"{bound}\"}} {count}\n");
            assert!(page.contains(&line), "{line} in {page}");
        }
    }
}
