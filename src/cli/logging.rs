//! The log: one line an event on standard error, text or JSON.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::panic::{self, PanicHookInfo};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::json::JsonLine;
use crate::config::{LogConfig, LogFormat};

mod json;
mod lines;

pub(super) use self::lines::LOST_LINES;
use self::lines::{Flush, Lines};

/// Libraries that tell of their daily business, unless the configured level names them. The client of ZooKeeper warns of each
/// attempt at each server: the session tells once that coordination is in trouble.
const LIBRARIES: &str = "actix_server=warn,zookeeper_client=error";

/// Writes the last lines when it is dropped, if somebody takes them in time.
pub(super) struct LogGuard(Option<Flush>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(flush) = &self.0 {
            flush.run();
        }
    }
}

/// Starts the log of this process, panics included. Later calls change nothing.
pub(super) fn start(config: &LogConfig) -> LogGuard {
    // A handle of its own: the lock of standard error is held by whoever is stuck in writing there.
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let queue = stderr.and_then(Lines::written_to);
    let (lines, flush) = match queue {
        Ok(queue) => queue,
        Err(error) => {
            start_into(config, io::stderr);
            tracing::warn!(%error, "lines of the log cannot be queued: a full pipe would stop this keeper");
            return LogGuard(None);
        }
    };
    start_into(config, lines);
    let last_words = flush.clone();
    panic::set_hook(Box::new(move |info| {
        log_panic(info);
        last_words.run();
    }));
    LogGuard(Some(flush))
}

/// The same on another `writer`, which gets each line in one piece.
pub(super) fn start_into(
    config: &LogConfig,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) {
    let filter = EnvFilter::new(format!("{LIBRARIES},{}", config.level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Of a line that cannot be written it would tell on standard error, and panic when that is what fails.
        .log_internal_errors(false)
        .with_writer(writer);
    let started = match config.format {
        LogFormat::Text => log
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
        LogFormat::Json => log.json().event_format(JsonLine).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log runs already");
    }
}

/// Standard error, where panics are told by default, may be full.
fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or_default();
    let location = info.location().map(ToString::to_string);
    tracing::error!(location, "panicked: {message}");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for a copy of this test binary that is to panic.
    const VICTIM: &str = "REDIS_KEEPER_TEST_VICTIM";

    #[test]
    fn a_panic_is_a_line_of_the_log_and_written_before_the_process_ends() {
        if std::env::var_os(VICTIM).is_some() {
            let _log = start(&LogConfig {
                format: LogFormat::Json,
                level: "info".to_owned(),
            });
            panic!("at the very end");
        }
        let this = std::env::current_exe().expect("this binary");
        let mut victim = Command::new(this);
        victim.arg("--exact").arg("--nocapture");
        victim.arg(
            "cli::logging::tests::a_panic_is_a_line_of_the_log_and_written_before_the_process_ends",
        );
        let output = victim.env(VICTIM, "1").output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        let line = told.lines().find(|line| line.contains("at the very end"));
        let line: serde_json::Value =
            serde_json::from_str(line.unwrap_or_default()).unwrap_or_else(|_| panic!("{told}"));
        assert_eq!(line["level"], "ERROR");
        assert_eq!(line["message"], "panicked: at the very end");
        assert!(
            line["location"].to_string().contains("logging.rs"),
            "{line}"
        );
    }
}
