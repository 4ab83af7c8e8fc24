//! What happens, with the time at which it came in.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

/// One thing that happened.
#[derive(Debug)]
pub(super) enum News {
    /// A process ended.
    Ended(String, ExitStatus),
    /// A process was started again.
    Restarted(String),
    /// A keeper logged a line.
    Log(LogLine),
    /// The client's writes are not accepted any more, and why.
    Cut(String),
    /// The client's writes are accepted again.
    Accepted(Outage),
    /// All keepers that run say that this node may be written to.
    Writable(String),
    /// The first node replicates from the second, as a keeper sees it.
    InStep(String, String),
}

/// A time in which no write of the client was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    /// When the last write before it was accepted.
    pub(super) since: Instant,
    /// Attempts to write meanwhile.
    pub(super) attempts: u64,
    /// Writes that had been accepted and are not there any more.
    pub(super) lost: u64,
}

/// One line of a keeper's log.
#[derive(Debug)]
pub(super) struct LogLine {
    /// Who wrote it.
    pub(super) keeper: String,
    fields: Map<String, Value>,
}

impl LogLine {
    /// Reads a line of the JSON form; `None` if it is none.
    fn parse(keeper: &str, line: &str) -> Option<Self> {
        Some(Self {
            keeper: keeper.to_owned(),
            fields: serde_json::from_str(line).ok()?,
        })
    }

    /// The constant text that says what happened.
    pub(super) fn message(&self) -> &str {
        self.fields
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A field as text; empty if there is none.
    pub(super) fn field(&self, name: &str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }
}

/// Takes news in.
#[derive(Debug, Clone)]
pub(super) struct Newsroom(mpsc::UnboundedSender<(Instant, News)>);

impl Newsroom {
    pub(super) fn new(sender: mpsc::UnboundedSender<(Instant, News)>) -> Self {
        Self(sender)
    }

    /// Tells what has happened just now.
    pub(super) fn tell(&self, news: News) {
        // Nobody listens when the demo ends.
        let _ = self.0.send((Instant::now(), news));
    }

    /// Tells what a keeper has just logged.
    pub(super) fn logged(&self, keeper: &str, line: &str) {
        if let Some(line) = LogLine::parse(keeper, line) {
            self.tell(News::Log(line));
        }
    }
}

/// Where the keeper of this process logs to: a file, and the newsroom.
#[derive(Clone)]
pub(super) struct LogTap {
    file: Arc<File>,
    newsroom: Newsroom,
}

impl LogTap {
    pub(super) fn new(file: &Path, newsroom: Newsroom) -> io::Result<Self> {
        let file = Arc::new(File::create(file)?);
        Ok(Self { file, newsroom })
    }
}

impl Write for LogTap {
    /// The log is written line by line, each in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.newsroom
            .logged(super::stage::KEEPER, &String::from_utf8_lossy(line));
        self.file.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogTap {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
