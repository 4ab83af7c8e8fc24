//! The log: one line for each event on standard error, as text or JSON.

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

/// The log levels of libraries with many messages, unless the configured level names them. The client of ZooKeeper
/// warns of each attempt at each server, but the session logs a trouble with coordination once.
const LIBRARIES: &str = "actix_server=warn,zookeeper_client=error";

/// Writes the waiting lines when it is dropped, if standard error accepts them in time.
pub(super) struct LogGuard(Option<Flush>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(flush) = &self.0 {
            flush.run();
        }
    }
}

/// Starts the log of this process, with panics. Later calls change nothing.
pub(super) fn start(config: &LogConfig) -> LogGuard {
    // A handle of its own: a thread that hangs while it writes to standard error holds that stream's lock.
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

/// Starts the log with another `writer`, which gets each line in one piece.
fn start_into(config: &LogConfig, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let filter = EnvFilter::new(format!("{LIBRARIES},{}", config.level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // With internal errors on, the library reports an unwritable line on standard error, and panics if that
        // fails, too.
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

/// Logs a panic. By default panics go to standard error, which may be full.
fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or_default();
    let location = info.location().map(ToString::to_string);
    tracing::error!(location, "panicked: {message}");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the environment of a copy of this test binary, which then panics.
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
