//! The costs of the configured times: how long each failure lasts, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::config::{ClusterConfig, Config, CoordinationConfig};
use crate::domain::lease::outlasting;

/// The number of clusters that are listed by name. Of further ones only the count is printed.
const NAMED: usize = 5;

/// The costs, one for each line. All figures are seconds.
pub(super) fn costs(config: &Config) -> String {
    let mut text = "what these times cost, in seconds:".to_owned();
    let silence = match &config.coordination {
        CoordinationConfig::ZooKeeper {
            session_timeout, ..
        } => {
            text.push_str(&keepers(config, *session_timeout));
            Some(outlasting(config.timing.lease) + config.timing.heartbeat)
        }
        CoordinationConfig::Embedded => None,
    };
    let mut alike: BTreeMap<[Duration; 3], Vec<&ClusterConfig>> = BTreeMap::new();
    for cluster in &config.clusters {
        let policy = &cluster.policy;
        let times = [
            cluster.timing.mark_down,
            policy.failover_cooldown,
            policy.drain,
        ];
        alike.entry(times).or_default().push(cluster);
    }
    for (times, clusters) in alike {
        text.push_str(&failovers(&clusters, times, silence));
    }
    text
}

/// The costs of lease, heartbeat and session timeout for the keepers.
fn keepers(config: &Config, session: Duration) -> String {
    let timing = &config.timing;
    let [lease, heartbeat, session] = [timing.lease, timing.heartbeat, session].map(Seconds::of);
    let silent = Seconds::of(outlasting(timing.lease));
    let held_up = Seconds::of(outlasting(timing.lease) + timing.heartbeat);
    format!(
        "
  lease-seconds {lease}, heartbeat-seconds {heartbeat}, zk-session-timeout-seconds {session}
    - a side that is cut off takes writes for {lease} at most after its keeper's last confirmed heartbeat, plus the interval of HAProxy's checks
    - a keeper that dies or freezes holds a promotion up for {held_up} at most: lease, margin for the clocks, one heartbeat
    - a leader that dies or freezes is deposed after {silent}
    - a keeper that stays frozen or is dead counts among the online ones, without a vote, until its session ends: {session};
      ZooKeeper may grant a longer session (minSessionTimeout): `check --live` shows it"
    )
}

/// How long clusters with these times are without a primary. `silence` is the time for which a silent keeper delays a
/// promotion.
fn failovers(
    clusters: &[&ClusterConfig],
    [mark_down, cooldown, drain]: [Duration; 3],
    silence: Option<Duration>,
) -> String {
    let names = clusters.iter().take(NAMED).map(|it| it.name.as_str());
    let mut text = format!("\n  {}", names.collect::<Vec<_>>().join(", "));
    if clusters.len() > NAMED {
        // Writing to a string does not fail.
        let _ = write!(text, " and {} more", clusters.len() - NAMED);
    }
    let [down, rest] = [mark_down, cooldown].map(Seconds::of);
    let _ = write!(
        text,
        ": seconds-mark-down {down}\n    - a dead primary is replaced {down} after its last sign of life, plus milliseconds"
    );
    if let Some(silence) = silence {
        let longer = Seconds::of(mark_down.max(silence));
        let _ = write!(
            text,
            ", if all keepers live\n    - if a keeper dies with it, {longer} after it, as long as more than half of the online keepers live"
        );
    }
    if !drain.is_zero() {
        let drain = Seconds::of(drain);
        let _ = write!(
            text,
            "\n    - if it goes silent and does not refuse connections, up to {drain} later: when its HAProxies say DOWN (drain-seconds)"
        );
    }
    if !cooldown.is_zero() {
        let _ = write!(
            text,
            "\n    - a second failover waits until {rest} after the first (failover-cooldown-seconds)"
        );
    }
    text
}

/// Seconds, rounded to the millisecond.
struct Seconds(f64);

impl Seconds {
    fn of(span: Duration) -> Self {
        Self((span.as_secs_f64() * 1e3).round() / 1e3)
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(top: &str, clusters: &[&str]) -> String {
        let clusters = clusters.iter().enumerate().map(|(index, extra)| {
            format!("{{name: 'c{index}', {extra} nodes: [{{host: 'h{index}', port: 1}}]}},")
        });
        let clusters = clusters.collect::<Vec<_>>().concat();
        let text = format!("{{{top} clusters: [{clusters}]}}");
        let (config, _) = Config::parse("f", &text, std::iter::empty()).unwrap();
        costs(&config)
    }

    fn assert_says(told: &str, wanted: &[&str]) {
        for text in wanted {
            assert!(told.contains(text), "{text:?} is missing in:\n{told}");
        }
    }

    #[test]
    fn each_figure_is_made_of_the_settings_it_depends_on() {
        let told = told("'zk-quorum': ['zk'],", &[""]);
        assert_says(
            &told,
            &[
                "takes writes for 0.8 at most",
                "holds a promotion up for 1.02 at most",
                "is deposed after 0.82",
                "until its session ends: 2;",
                "c0: seconds-mark-down 5",
                "replaced 5 after its last sign of life",
                "if a keeper dies with it, 5 after it",
                "waits until 10 after the first",
                "does not refuse connections, up to 1.2 later",
            ],
        );
    }

    #[test]
    fn a_silent_keeper_costs_more_than_a_short_mark_down_time_and_the_margin_grows_with_the_lease()
    {
        let times = "'zk-session-timeout-seconds': 4, 'lease-seconds': 2, 'heartbeat-seconds': 0.5,
            'tick-seconds': 0.25, 'seconds-mark-down': 1,";
        let told = told(&format!("'zk-quorum': ['zk'], {times}"), &[""]);
        assert_says(
            &told,
            &[
                "is deposed after 2.04",
                "replaced 1 after its last sign of life",
                "if a keeper dies with it, 2.54 after it",
            ],
        );
    }

    #[test]
    fn clusters_with_the_same_times_are_told_together_and_not_all_by_name() {
        let slow = "'seconds-mark-down': 30, 'failover-cooldown-seconds': 0,";
        let told = told("'zk-quorum': ['zk'],", &["", "", "", "", "", "", "", slow]);
        assert_says(
            &told,
            &[
                "c0, c1, c2, c3, c4 and 2 more: seconds-mark-down 5",
                "c7: seconds-mark-down 30",
            ],
        );
        assert_eq!(told.matches("failover-cooldown-seconds").count(), 1);
    }

    #[test]
    fn one_keeper_alone_has_no_others_to_wait_for() {
        let told = told("coordination: 'embedded',", &[""]);
        assert_says(&told, &["replaced 5 after its last sign of life"]);
        assert!(!told.contains("lease"), "{told}");
        assert!(!told.contains("keeper"), "{told}");
    }
}
