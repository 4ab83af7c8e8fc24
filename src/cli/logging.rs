//! The log: one line an event on standard error, text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Libraries that tell of their daily business, unless the configured level names them.
const LIBRARIES: &str = "actix_server=warn,zookeeper_client=warn";

/// Starts the log of this process. Later calls change nothing.
pub(super) fn start(config: &LogConfig) {
    start_into(config, std::io::stderr);
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
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log runs already");
    }
}
