//! The core of a switchover: pause the writes, let the successor catch up, promote it, all within one pause.

use std::time::Duration;

use crate::domain::node::NodeAddr;
use crate::domain::timing::switchover::{CAUGHT_UP_WITHIN, PAUSE_MARGIN, PROMOTED_BY};
use crate::ports::clock::LeaseClock;
use crate::ports::redis::{CommandConnection, CommandError, Remember};

/// How often the successor is asked for its offset.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// How long writes are held up if no keeper ends the pause: a leader that dies leaves the pause behind.
///
/// The pause is longer than HAProxies take to notice the withdrawal and to shut their sessions (`drain`). So no
/// client writes to the old primary afterwards, even if the leader dies or the publication is slow.
///
/// Example: with a `drain` of up to 1.2 s the pause is 0.8 s + 1.2 s = 2 s.
///
/// Source: <https://redis.io/docs/latest/commands/client-pause/>.
pub(super) fn longest_pause(drain: Duration) -> Duration {
    PROMOTED_BY + drain.max(PAUSE_MARGIN)
}

/// Promotes `to` in place of `from`, on a connection to each. The caller later has the servers remember their roles.
///
/// Whatever the outcome, the caller has to end the pause at `from`. The pause lasts for `pause` at most.
///
/// # Errors
/// `to` was not promoted, or may have been promoted after the pause of `from`. Then `from` has every acknowledged
/// write, and is to stay the primary. The error is the reason.
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
