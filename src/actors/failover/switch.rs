//! The heart of a switchover: hold up writes, let the successor catch up, promote it, all within one pause.

use std::time::Duration;

use crate::domain::node::NodeAddr;
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

/// Promotes `to` in place of `from`, on a connection to either, and leaves it to the caller to have it remember that.
/// Whatever is answered, the writes of `from`, held up for `pause` at most, are to be let go on afterwards.
///
/// # Errors
/// `to` was not promoted, or not surely while the writes of `from` were held up, and why: `from` has everything that was
/// acknowledged, and is to stay the primary.
pub(super) async fn hand_over(
    (from, old): (&NodeAddr, &mut dyn CommandConnection),
    (to, new): (&NodeAddr, &mut dyn CommandConnection),
    pause: Duration,
    clock: &dyn LeaseClock,
) -> Result<Vec<String>, String> {
    let began = clock.now();
    let passed = || clock.now().since(began);
    let at = |node| move |error: CommandError| format!("{node}: {error}");
    let goal = old.pause_writes(pause).await.map_err(at(from))?;
    loop {
        let offset = new.offset().await.map_err(at(to))?;
        if offset >= goal {
            break;
        }
        if passed() >= CAUGHT_UP_WITHIN {
            let behind = goal - offset;
            return Err(format!(
                "{to} was still {behind} bytes behind after {CAUGHT_UP_WITHIN:?}"
            ));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    if passed() >= PROMOTED_BY / 2 {
        return Err("this keeper was stalled while writes were held up".to_owned());
    }
    let notes = new.promote(Remember::Later).await.map_err(at(to))?;
    if passed() >= PROMOTED_BY {
        return Err(format!(
            "{to} was promoted too late: writes may have gone on before"
        ));
    }
    Ok(notes)
}
