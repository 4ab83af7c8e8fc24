//! Waiting for a consequence, never for a time.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a healthy machine does in a second or two, with room for a slow one.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Looks again and again until `look` returns `Ok`, and returns that.
///
/// # Panics
/// When `within` has passed, saying what was waited for, and what the last look saw instead (its `Err`).
#[track_caller]
pub(crate) fn eventually<T, Seen: Display>(
    within: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<T, Seen>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + within;
        let mut seen = "nothing yet".to_owned();
        loop {
            match timeout_at(deadline, look()).await {
                Ok(Ok(found)) => return found,
                Ok(Err(instead)) => seen = instead.to_string(),
                Err(_) => seen.push_str(" (then a look that did not return)"),
            }
            assert!(
                Instant::now() < deadline,
                "{caller}: waited {within:?} for {what}; last seen: {seen}"
            );
            sleep(PAUSE).await;
        }
    }
}
