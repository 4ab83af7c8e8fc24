//! A client that accepts no answer but yes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::keeper::Keepers;
use super::redis::Redis;
use crate::BACKGROUND;

/// The time between two questions to one keeper.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks every keeper again and again whether the primaries are writable, and keeps the first answer that is no yes.
pub struct Insistence {
    asking: JoinSet<()>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    /// How many times each question was answered with yes.
    yeses: BTreeMap<String, usize>,
    no: Option<String>,
}

// === impl Insistence ===

impl Insistence {
    /// Begins to ask about these primaries, each with its cluster.
    pub fn start(keepers: &Keepers, primaries: &[(&str, &Redis)]) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let mut asking = JoinSet::new();
        for keeper in keepers.iter() {
            let at = keeper.http();
            let url = |(cluster, primary): &(&str, &Redis)| {
                let node = primary.node();
                format!("http://{at}/cluster/{cluster}/is-writable/{node}")
            };
            let urls: Vec<_> = primaries.iter().map(url).collect();
            let known = urls.iter().map(|url| (url.clone(), 0));
            open(&heard).yeses.extend(known);
            asking.spawn_on(insist(urls, Arc::clone(&heard)), BACKGROUND.handle());
        }
        Self { asking, heard }
    }

    /// Stops asking, and asserts that every keeper always said yes for every primary.
    ///
    /// # Panics
    /// If a keeper did not, or was never asked.
    pub fn assert_always_yes(mut self) {
        self.asking.abort_all();
        let heard = open(&self.heard);
        assert_eq!(heard.no, None);
        let unheard = heard.yeses.iter().filter(|(_, yeses)| **yeses == 0);
        let unheard: BTreeSet<_> = unheard.map(|(url, _)| url).collect();
        assert!(unheard.is_empty(), "no answer: {unheard:?}");
    }
}

fn open(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn insist(urls: Vec<String>, heard: Arc<Mutex<Heard>>) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(2))
        .build()
        .expect("an HTTP client");
    for url in urls.iter().cycle() {
        let told = match client.get(url).send().await {
            Ok(answer) if answer.status() == 200 => None,
            Ok(answer) => {
                let (status, body) = (answer.status(), answer.text().await);
                Some(format!("{status} {}", body.unwrap_or_default()))
            }
            Err(error) => Some(error.to_string()),
        };
        {
            let mut heard = open(&heard);
            match told {
                None => *heard.yeses.entry(url.clone()).or_default() += 1,
                // On a busy machine an answer may take longer than a check waits. Such an answer says nothing of the
                // lease.
                Some(told) if told.contains("did not answer in time") => {}
                Some(told) => drop(heard.no.get_or_insert(format!("{url}: {told}"))),
            }
        }
        sleep(PAUSE).await;
    }
}
