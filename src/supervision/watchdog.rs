//! Notices when the arbiter itself is blocked, which no actor on it could.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How many times per stall time the arbiter beats, and the watching thread looks.
const BEATS: u32 = 10;

/// How long the cause of an abort may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Watches one arbiter from a thread of its own.
///
/// By default a stall aborts the process, so that the service manager restarts it: nothing outside can unblock a
/// blocked arbiter. The cause is the last text on standard error, if somebody reads there.
pub struct Watchdog {
    stall: Duration,
    on_stall: Box<dyn FnOnce(Duration) + Send>,
    on_beat: Box<dyn FnMut()>,
}

impl Watchdog {
    /// A watchdog that acts when the arbiter has been blocked for `stall`.
    pub fn new(stall: Duration) -> Self {
        Self {
            stall,
            on_stall: Box::new(|silence| {
                try_to_tell(silence);
                std::process::abort();
            }),
            on_beat: Box::new(|| ()),
        }
    }

    /// Runs `bite` instead of aborting, on the watching thread, which then ends. `bite` gets the length of the stall.
    #[must_use]
    pub fn on_stall(mut self, bite: impl FnOnce(Duration) + Send + 'static) -> Self {
        self.on_stall = Box::new(bite);
        self
    }

    /// Runs `beat` at every beat, on the arbiter, ten times per stall time: the place to reassure a service manager.
    #[must_use]
    pub fn on_beat(mut self, beat: impl FnMut() + 'static) -> Self {
        self.on_beat = Box::new(beat);
        self
    }

    /// Starts to watch the current arbiter, until the guard is dropped.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn spawn(self) -> std::io::Result<WatchdogGuard> {
        let (beats, heard) = channel();
        let (stall, on_stall) = (self.stall, self.on_stall);
        std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                if let Some(silence) = watch(&heard, stall) {
                    on_stall(silence);
                }
            })?;
        let beating = actix::spawn(beat(beats, stall / BEATS, self.on_beat));
        Ok(WatchdogGuard(beating.abort_handle()))
    }
}

/// Writes the cause on standard error, from a thread that is waited for only briefly. The code that blocks the
/// arbiter may hold the lock of standard error, and nobody may read there.
fn try_to_tell(silence: Duration) {
    let (done, told) = channel::<()>();
    let telling = std::thread::Builder::new().spawn(move || {
        let cause = format!("the event loop has been blocked for {silence:?}: aborting\n");
        let _ = std::io::stderr().write_all(cause.as_bytes());
        drop(done);
    });
    if telling.is_ok() {
        let _ = told.recv_timeout(LAST_WORDS);
    }
}

/// Ends the watch when dropped.
pub struct WatchdogGuard(AbortHandle);

impl Drop for WatchdogGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn beat(beats: Sender<()>, every: Duration, mut on_beat: Box<dyn FnMut()>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        on_beat();
        if beats.send(()).is_err() {
            return;
        }
    }
}

/// Returns the length of the stall, or `None` when the arbiter stopped beating for good.
fn watch(beats: &Receiver<()>, stall: Duration) -> Option<Duration> {
    let mut silence = Silence::new(stall);
    loop {
        let asleep = Instant::now();
        match beats.recv_timeout(silence.look) {
            Ok(()) => silence.broken(),
            Err(RecvTimeoutError::Timeout) => {
                if silence.grew(asleep.elapsed()) {
                    return Some(silence.length);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// How long no beat was heard, as far as this thread itself was awake to hear it.
struct Silence {
    stall: Duration,
    look: Duration,
    length: Duration,
}

impl Silence {
    fn new(stall: Duration) -> Self {
        Self {
            stall,
            look: stall / BEATS,
            length: Duration::ZERO,
        }
    }

    fn broken(&mut self) {
        self.length = Duration::ZERO;
    }

    /// Counts one look that took `slept`; `true` if this is a stall. A look may take much longer than asked for. Then
    /// the whole process was stopped (SIGSTOP, a suspended machine) and the arbiter could not beat, so the count
    /// begins anew.
    fn grew(&mut self, slept: Duration) -> bool {
        if slept > self.look * 2 {
            self.broken();
        } else {
            self.length += slept;
        }
        self.length >= self.stall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(5);
    const LOOK: Duration = Duration::from_millis(500);

    #[test]
    fn silence_for_the_whole_stall_time_is_a_stall() {
        let mut silence = Silence::new(STALL);
        assert!((1..10).all(|_| !silence.grew(LOOK)));
        assert!(silence.grew(LOOK));
    }

    #[test]
    fn a_beat_begins_the_count_anew() {
        let mut silence = Silence::new(STALL);
        assert!((1..10).all(|_| !silence.grew(LOOK)));
        silence.broken();
        assert!((1..10).all(|_| !silence.grew(LOOK)));
    }

    #[test]
    fn a_pause_of_the_whole_process_is_not_a_stall_but_gives_the_arbiter_a_new_chance() {
        let mut silence = Silence::new(STALL);
        assert!((1..10).all(|_| !silence.grew(LOOK)));
        assert!(!silence.grew(Duration::from_hours(1)));
        assert!((1..10).all(|_| !silence.grew(LOOK)));
        assert!(
            silence.grew(LOOK),
            "and if it uses it not, it is stalled after all"
        );
    }
}
