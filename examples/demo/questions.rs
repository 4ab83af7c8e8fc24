//! Questions to the keepers over HTTP, for facts that the log does not have.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::news::{LogLine, News, Newsroom};
use super::stage::Stage;
use super::{CLUSTER, STEP_TIMEOUT, client, http};

/// The pause between two questions about an expected event.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// Asks the keepers at once, or repeats a question in the background until the expected event. To drop the questions
/// is to end those in the background.
pub(super) struct Questions {
    keepers: Rc<[(String, u16)]>,
    newsroom: Newsroom,
    tasks: JoinSet<()>,
}

/// A keeper's last proof of life of a server.
pub(super) struct Silence {
    /// The time of that proof of life.
    pub(super) since: Instant,
    /// The keeper's reason for its vote since then, in a word.
    pub(super) reason: String,
}

// === impl Questions ===

impl Questions {
    pub(super) fn new(stage: &Stage) -> Self {
        Self {
            keepers: stage.keepers.clone().into(),
            newsroom: stage.newsroom.clone(),
            tasks: JoinSet::new(),
        }
    }

    /// Starts a client that writes from now on.
    pub(super) fn start_client(&mut self, way: client::Way) {
        self.tasks
            .spawn_local(client::write(way, self.newsroom.clone()));
    }

    /// The last proof of life of `node` at the keeper that wrote `line`.
    pub(super) async fn silence(&self, line: &LogLine, node: &str) -> io::Result<Silence> {
        let path = format!("/admin/clusters/{CLUSTER}/nodes/{node}");
        let (_, view) = http::get(self.port_of(line)?, &path).await?;
        let monitor = &view["monitor"];
        let age = monitor["last-proof-of-life-age-seconds"].as_f64();
        let age = age.and_then(|age| Duration::try_from_secs_f64(age).ok());
        let since = age.and_then(|age| Instant::now().checked_sub(age));
        Ok(Silence {
            since: since.ok_or_else(|| io::Error::other("it has never lived"))?,
            reason: monitor["sighting"]["vote"]
                .as_str()
                .unwrap_or("silent")
                .to_owned(),
        })
    }

    /// The replication offsets of the candidate and of the other nodes that answer. The leader, which wrote `line`,
    /// gives them.
    pub(super) async fn offsets(&self, line: &LogLine, candidate: &str) -> io::Result<String> {
        let path = format!("/admin/clusters/{CLUSTER}");
        let (_, view) = http::get(self.port_of(line)?, &path).await?;
        let (mut chosen, mut others) = (String::new(), Vec::new());
        for node in view["nodes"].as_array().into_iter().flatten() {
            let observation = &node["sighting"];
            let offset = observation["facts"]["offset"].as_u64();
            let (Some(name), Some(offset)) = (node["node"].as_str(), offset) else {
                continue;
            };
            if name == candidate {
                chosen = format!(" at offset {offset}");
            } else if observation["answering"] == Value::Bool(true) {
                others.push(format!("{name} at {offset}"));
            }
        }
        let others = if others.is_empty() {
            String::new()
        } else {
            format!(" ({})", others.join(", "))
        };
        Ok(chosen + &others)
    }

    /// Sends an event once all running keepers call `node` writable.
    pub(super) fn await_writable(&mut self, node: String) {
        let (keepers, path) = (
            Rc::clone(&self.keepers),
            format!("/cluster/{CLUSTER}/is-writable/{node}"),
        );
        self.await_that(News::Writable(node), async move || {
            let mut said = false;
            for (_, port) in &*keepers {
                match http::get(*port, &path).await {
                    Ok((200, _)) => said = true,
                    Ok(_) => return false,
                    Err(_) => {}
                }
            }
            said
        });
    }

    /// Sends an event once the first keeper that answers sees `node` replicate from `primary`.
    pub(super) fn await_in_step(&mut self, node: String, primary: String) {
        let (keepers, path) = (
            Rc::clone(&self.keepers),
            format!("/admin/clusters/{CLUSTER}/nodes/{node}"),
        );
        let upstream = primary.clone();
        self.await_that(News::InStep(node, primary), async move || {
            for (_, port) in &*keepers {
                if let Ok((200, view)) = http::get(*port, &path).await {
                    let replica = &view["sighting"]["facts"]["role"]["replica"];
                    return replica["primary"] == upstream.as_str() && replica["link"] == "up";
                }
            }
            false
        });
    }

    fn await_that(&mut self, news: News, mut is_so: impl AsyncFnMut() -> bool + 'static) {
        let newsroom = self.newsroom.clone();
        self.tasks.spawn_local(async move {
            let asking = async {
                while !is_so().await {
                    sleep(ASK_AGAIN).await;
                }
            };
            if timeout(STEP_TIMEOUT, asking).await.is_ok() {
                newsroom.tell(news);
            }
        });
    }

    fn port_of(&self, line: &LogLine) -> io::Result<u16> {
        let found = self.keepers.iter().find(|(name, _)| *name == line.keeper);
        let port = found.map(|(_, port)| *port);
        port.ok_or_else(|| io::Error::other("no such keeper"))
    }
}
