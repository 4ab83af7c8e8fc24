//! The events of the demo, each with the time at which it came in.

use std::process::ExitStatus;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// One event.
#[derive(Debug)]
pub(super) enum News {
    /// A process ended, with this status.
    Ended(String, ExitStatus),
    /// A process was started again.
    Restarted(String),
    /// A keeper logged a line.
    Log(LogLine),
    /// The client's writes fail from now on, for this reason.
    Cut(String),
    /// The client's writes are accepted again.
    Accepted(Outage),
    /// All running keepers call this node writable.
    Writable(String),
    /// The first node replicates from the second, as a keeper sees it.
    InStep(String, String),
}

/// A time in which no write of the client was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    /// The time of the last accepted write before the gap.
    pub(super) since: Instant,
    /// The failed attempts to write.
    pub(super) attempts: u64,
    /// The number of writes that were accepted before, and are missing now.
    pub(super) lost: u64,
}

/// One line of a keeper's log.
#[derive(Debug)]
pub(super) struct LogLine {
    /// The keeper that wrote the line.
    pub(super) keeper: String,
    fields: Map<String, Value>,
}

impl LogLine {
    /// Parses a line in JSON format; `None` for any other line.
    fn parse(keeper: &str, line: &str) -> Option<Self> {
        Some(Self {
            keeper: keeper.to_owned(),
            fields: serde_json::from_str(line).ok()?,
        })
    }

    /// The constant message of the event.
    pub(super) fn message(&self) -> &str {
        self.fields
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A field as text; empty if the line does not have the field.
    pub(super) fn field(&self, name: &str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }
}

/// The sender of events.
#[derive(Debug, Clone)]
pub(super) struct Newsroom(mpsc::UnboundedSender<(Instant, News)>);

impl Newsroom {
    pub(super) fn new(sender: mpsc::UnboundedSender<(Instant, News)>) -> Self {
        Self(sender)
    }

    /// Sends an event with the present time.
    pub(super) fn tell(&self, news: News) {
        // At the end of the demo, no receiver is left.
        let _ = self.0.send((Instant::now(), news));
    }

    /// Sends a keeper's log line as an event.
    pub(super) fn logged(&self, keeper: &str, line: &str) {
        if let Some(line) = LogLine::parse(keeper, line) {
            self.tell(News::Log(line));
        }
    }
}
