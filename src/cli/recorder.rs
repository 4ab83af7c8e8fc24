//! Where metrics are recorded, within bounded memory.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets that durations are counted in, in seconds: from a server on this host to a probe timeout.
const DURATIONS: [f64; 13] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
];

/// How often what was recorded is counted into the buckets. Until then every single duration is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// Has all metrics of this process recorded, and keeps the record small as long as the current actix system runs.
pub(super) fn install() -> Result<PrometheusHandle, BuildError> {
    let recorded = builder()?.install_recorder()?;
    // There from the start, so that its first growth is seen.
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

/// Durations as histograms: summaries, the default, can not be added up over keepers, and keep samples.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let durations = Matcher::Suffix("_duration_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(durations, &DURATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

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
