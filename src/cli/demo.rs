//! `redis-keeper demo`: shows a failover on servers of its own, and then keeps the cluster up for experiments.
//!
//! The demo stages nothing: a real client writes to real servers. The demo prints only events, each with its time:
//! log lines of the keepers, ends of processes, replies to the client, and answers of the keepers over HTTP.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::exit::Exit;
use super::{logging, run};
use crate::app::DaemonError;
use crate::config::Config;

use self::news::{LogTap, Newsroom};
use self::screen::Screen;
use self::stage::{KeeperPlace, Stage};
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
    #[error("the keeper: {0}")]
    Keeper(#[from] DaemonError),
}

impl Trouble {
    /// Converts an I/O error, for `map_err`. `what` names the step that failed.
    fn at(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io(what, error)
    }
}

/// Runs the demo until SIGINT, SIGTERM or SIGHUP. With `full`, on ZooKeeper, with three keepers and HAProxy. The demo
/// leaves neither processes nor files behind.
pub fn run(full: bool) -> Exit {
    run::prepare();
    match actix::System::new().block_on(perform(full)) {
        Ok(()) => Exit::Success,
        Err(trouble) => {
            eprintln!("redis-keeper demo: {trouble}");
            Exit::Failure
        }
    }
}

async fn perform(full: bool) -> Result<(), Trouble> {
    // The signal handlers come first: no signal may end the demo while its servers run unattended.
    let mut quit = Quit::new().map_err(Trouble::at("signals can not be handled"))?;
    let (newsroom, news) = mpsc::unbounded_channel();
    let newsroom = Newsroom::new(newsroom);
    let mut stage = Stage::new(full, newsroom.clone())?;
    let screen = Screen::new();
    let told = async {
        let opened = match quit.or(stage.open(&screen)).await {
            Some(opened) => opened?,
            None => return Ok(()),
        };
        let story = Story::new(&stage, &screen, news);
        let KeeperPlace::InProcess(config) = opened else {
            return quit.or(story.tell()).await.unwrap_or(Ok(()));
        };
        let tap = LogTap::new(&stage.log_of(config.keeper_id.as_str()), newsroom)
            .map_err(Trouble::at("the keeper's log"))?;
        let story = async { quit.or(story.tell()).await.unwrap_or(Ok(())) };
        Box::pin(keep(&config, tap, story)).await
    };
    let told = told.await;
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

/// Runs the keeper in this process until the story ends.
async fn keep(
    config: &Config,
    tap: LogTap,
    story: impl Future<Output = Result<(), Trouble>>,
) -> Result<(), Trouble> {
    logging::start_into(&config.log, tap);
    let told = Rc::new(RefCell::new(Ok(())));
    let end = async { *told.borrow_mut() = story.await };
    run::serve(config, end).await?;
    told.replace(Ok(()))
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
