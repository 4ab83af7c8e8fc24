//! Functions that wait for a consequence, and never for a time.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The limit for things that take a healthy machine a second or two, with room for a slow one.
pub const SOON: Duration = Duration::from_secs(30);

/// Looks again and again until `look` returns `Ok`, and returns that value.
///
/// # Panics
/// When `within` has passed. The message has `what`, and the `Err` of the last look.
#[track_caller]
pub fn eventually<T, Seen: Display>(
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
