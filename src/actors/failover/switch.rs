//! The heart of a switchover: hold up writes, let the successor catch up, promote it, all within one pause.

use std::time::Duration;

use crate::ports::clock::LeaseClock;
use crate::ports::redis::{CommandConnection, CommandError, Remember};

/// By when the successor must have been promoted, from before the pause began. What is confirmed later may have happened
/// after the pause.
const PROMOTED_BY: Duration = Duration::from_millis(800);

/// What the pause lasts beyond that at least, however soon HAProxies follow: a publication may be long in coming.
const MARGIN: Duration = Duration::from_millis(1_200);

/// How long the successor may take to catch up: writes wait meanwhile.
const CAUGHT_UP_WITHIN: Duration = Duration::from_millis(100);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// How long writes are held up at most, should nobody end the pause: a leader that dies leaves it behind. Longer than
/// HAProxies take to notice the withdrawal and to shut the sessions (`drain`), so that even then, or when the publication is
/// long in coming, nobody writes to the old primary after it.
pub(super) fn longest_pause(drain: Duration) -> Duration {
    PROMOTED_BY + drain.max(MARGIN)
}

/// Promotes `to` in place of `from`, and leaves it to the caller to have it remember that. Whatever is answered, the writes
/// of `from`, held up for `pause` at most, are to be let go on afterwards.
///
/// # Errors
/// `to` was not promoted, or not surely while the writes of `from` were held up: `from` has everything that was
/// acknowledged, and is to stay the primary.
pub(super) async fn hand_over(
    from: &mut dyn CommandConnection,
    to: &mut dyn CommandConnection,
    pause: Duration,
    clock: &dyn LeaseClock,
) -> Result<Vec<String>, CommandError> {
    let began = clock.now();
    let passed = || clock.now().since(began);
    let goal = from.pause_writes(pause).await?;
    loop {
        let offset = to.offset().await?;
        if offset >= goal {
            break;
        }
        if passed() >= CAUGHT_UP_WITHIN {
            let behind = goal - offset;
            return Err(CommandError::NotDone(format!(
                "it was still {behind} bytes behind after {CAUGHT_UP_WITHIN:?}"
            )));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    if passed() >= PROMOTED_BY / 2 {
        let late = "this keeper was stalled while writes were held up";
        return Err(CommandError::NotDone(late.to_owned()));
    }
    let notes = to.promote(Remember::Later).await?;
    if passed() >= PROMOTED_BY {
        let late = "it was promoted too late: writes may have gone on before";
        return Err(CommandError::Unknown(late.to_owned()));
    }
    Ok(notes)
}
