//! How often and how fast children may be restarted.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How often and how fast a supervisor restarts each of its children.
#[derive(Debug, Clone, PartialEq)]
pub struct RestartPolicy {
    /// Delay before the second restart within `window`; the first is immediate. Doubled for each further one.
    pub backoff_min: Duration,
    /// The longest delay.
    pub backoff_max: Duration,
    /// A child is given up if it exits again after this many restarts within `window`.
    pub max_restarts: usize,
    /// The span of time in which restarts count.
    pub window: Duration,
}

impl RestartPolicy {
    /// The delay before the next restart of a child restarted `recent` times within the window, or `None` to give up.
    ///
    /// The first restart is immediate. Later delays grow from `backoff_min` by doubling, up to `backoff_max`.
    /// `jitter` (0 to 1, random) shortens each delay by up to one half, so that children that failed together do not
    /// return together.
    pub fn next_delay(&self, recent: usize, jitter: f64) -> Option<Duration> {
        if recent >= self.max_restarts {
            return None;
        }
        let Some(doublings) = recent.checked_sub(1) else {
            return Some(Duration::ZERO);
        };
        let doublings = u32::try_from(doublings).unwrap_or(u32::MAX);
        let full = self
            .backoff_min
            .saturating_mul(2_u32.saturating_pow(doublings));
        Some(
            full.min(self.backoff_max)
                .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0),
        )
    }
}

impl Default for RestartPolicy {
    /// Ten restarts within a minute, 0.1 s to 10 s apart.
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            max_restarts: 10,
            window: Duration::from_mins(1),
        }
    }
}

/// When a child was restarted, as far back as the policy's window.
#[derive(Default)]
pub(super) struct Restarts(VecDeque<Instant>);

impl Restarts {
    /// How many restarts lie within `window` before `now`; forgets the older ones.
    pub(super) fn within(&mut self, window: Duration, now: Instant) -> usize {
        while self
            .0
            .front()
            .is_some_and(|at| now.duration_since(*at) >= window)
        {
            self.0.pop_front();
        }
        self.0.len()
    }

    pub(super) fn record(&mut self, now: Instant) {
        self.0.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policies() -> impl Strategy<Value = RestartPolicy> {
        (1_u64..10_000, 0_u64..600_000, 0_usize..200).prop_map(|(min, extra, max_restarts)| {
            RestartPolicy {
                backoff_min: Duration::from_millis(min),
                backoff_max: Duration::from_millis(min + extra),
                max_restarts,
                window: Duration::from_mins(1),
            }
        })
    }

    proptest! {
        #[test]
        fn it_gives_up_exactly_at_the_limit(policy in policies(), recent in 0_usize..300, jitter in 0.0..1.0) {
            prop_assert_eq!(policy.next_delay(recent, jitter).is_none(), recent >= policy.max_restarts);
        }

        #[test]
        fn the_first_restart_is_immediate(policy in policies(), jitter in 0.0..1.0) {
            prop_assume!(policy.max_restarts > 0);
            prop_assert_eq!(policy.next_delay(0, jitter), Some(Duration::ZERO));
        }

        #[test]
        fn later_delays_stay_between_half_the_minimum_and_the_maximum(
            policy in policies(), recent in 1_usize..200, jitter in 0.0..1.0,
        ) {
            if let Some(delay) = policy.next_delay(recent, jitter) {
                prop_assert!(delay >= policy.backoff_min.mul_f64(0.499));
                prop_assert!(delay <= policy.backoff_max);
            }
        }

        #[test]
        fn delays_never_shrink_as_failures_repeat(policy in policies(), recent in 0_usize..199, jitter in 0.0..1.0) {
            if let (Some(sooner), Some(later)) = (policy.next_delay(recent, jitter), policy.next_delay(recent + 1, jitter)) {
                prop_assert!(sooner <= later);
            }
        }

        #[test]
        fn jitter_only_shortens_and_by_no_more_than_half(policy in policies(), recent in 0_usize..200, jitter in 0.0..1.0) {
            if let (Some(full), Some(jittered)) = (policy.next_delay(recent, 0.0), policy.next_delay(recent, jitter)) {
                prop_assert!(jittered <= full);
                prop_assert!(jittered >= full.mul_f64(0.499));
            }
        }
    }

    #[test]
    fn restarts_older_than_the_window_are_forgotten() {
        let start = Instant::now();
        let mut restarts = Restarts::default();
        restarts.record(start);
        restarts.record(start + Duration::from_secs(30));
        let window = Duration::from_mins(1);
        assert_eq!(restarts.within(window, start + Duration::from_secs(59)), 2);
        assert_eq!(restarts.within(window, start + Duration::from_mins(1)), 1);
        assert_eq!(restarts.within(window, start + Duration::from_secs(90)), 0);
    }
}
