//! `redis-keeper demo`: shows a failover on servers of its own, and then keeps the cluster up for experiments.
//! `examples/demo.sh` builds and starts it.
//!
//! The demo stages nothing: a real client writes to real servers. The demo prints only events, each with its time:
//! log lines of the keepers, ends of processes, replies to the client, and answers of the keepers over HTTP.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::news::{News, Newsroom};
use self::screen::Screen;
use self::stage::Stage;
use self::story::Story;

mod client;
mod full;
mod guardian;
mod http;
mod news;
mod play;
mod processes;
mod questions;
mod screen;
mod stage;
mod story;

/// The name of the demo's cluster.
const CLUSTER: &str = "demo";

/// The time limit for each step. On an idle machine a step takes a second or two.
const STEP_TIMEOUT: Duration = Duration::from_mins(1);

/// The reason why the demo cannot go on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(
        "{0} is not in PATH; on Debian and Ubuntu: apt-get install {1} (examples/demo.sh does that without starting its service)"
    )]
    Missing(&'static str, &'static str),
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    #[error("waited {STEP_TIMEOUT:?} for {0}")]
    Overdue(String),
}

impl Trouble {
    /// Converts an I/O error, for `map_err`. `what` names the step that failed.
    fn at(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io(what, error)
    }
}

/// Shows a failover, and then keeps the cluster up until SIGINT, SIGTERM or SIGHUP. Leaves neither processes nor files
/// behind.
#[derive(Debug, Parser)]
#[command(name = "redis-keeper-demo", version)]
struct Arguments {
    /// On ZooKeeper, with three keepers and HAProxy.
    #[arg(long)]
    full: bool,
}

fn main() -> ExitCode {
    let Arguments { full } = Arguments::parse();
    match actix::System::new().block_on(perform(full)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("redis-keeper demo: {trouble}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(full: bool) -> Result<(), Trouble> {
    // The signal handlers come first: no signal may end the demo while its servers run unattended.
    let mut quit = Quit::new().map_err(Trouble::at("signals can not be handled"))?;
    let (newsroom, news) = mpsc::unbounded_channel();
    let mut stage = Stage::new(full, Newsroom::new(newsroom))?;
    let screen = Screen::new();
    let told = quit.or(tell(&mut stage, &screen, news)).await;
    let told = told.unwrap_or(Ok(()));
    if let Err(trouble) = &told {
        stage.show_logs(trouble);
    }
    stage.close().await;
    // A closed standard output is a request to stop.
    match told {
        Err(Trouble::Io(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told,
    }
}

async fn tell(
    stage: &mut Stage,
    screen: &Screen,
    news: mpsc::UnboundedReceiver<(Instant, News)>,
) -> Result<(), Trouble> {
    stage.open(screen).await?;
    Story::new(stage, screen, news).tell().await
}

/// The signals that end the demo.
struct Quit([Signal; 3]);

impl Quit {
    fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// The output of `future`, or `None` if a signal comes first.
    async fn or<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            biased;
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            _ = hangup.recv() => None,
            output = future => Some(output),
        }
    }
}
