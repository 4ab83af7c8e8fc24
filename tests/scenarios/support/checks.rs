//! An impatient client of the checks: asks every keeper about every node, over and over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis_keeper::domain::node::NodeAddr;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::BACKGROUND;
use super::keeper::Keeper;
use super::redis::Redis;

/// Between two questions to one keeper about one node.
const PAUSE: Duration = Duration::from_millis(5);

/// One `is-writable` that was answered with 200.
#[derive(Debug, Clone)]
pub(crate) struct Yes {
    /// By whom.
    pub(crate) keeper: String,
    /// About which node.
    pub(crate) node: NodeAddr,
    asked: Instant,
    answered: Instant,
}

/// Asks until dropped, and keeps every yes.
pub(crate) struct Checks {
    yeses: Arc<Mutex<Vec<Yes>>>,
    asking: JoinSet<()>,
}

// === impl Checks ===

impl Checks {
    /// Begins to ask all `keepers` about all `nodes` of `cluster`.
    pub(crate) fn start(keepers: &[Keeper], cluster: &str, nodes: &[&Redis]) -> Self {
        let yeses = Arc::<Mutex<Vec<Yes>>>::default();
        let mut asking = JoinSet::new();
        for keeper in keepers {
            for node in nodes {
                let (at, node) = (keeper.http(), node.node());
                let url = format!("http://{at}/cluster/{cluster}/is-writable/{node}");
                let ask = ask(url, keeper.id().to_owned(), node, Arc::clone(&yeses));
                asking.spawn_on(ask, BACKGROUND.handle());
            }
        }
        Self { yeses, asking }
    }

    /// Stops asking; asserts that no keeper called `old` writable once any had called another node so.
    ///
    /// # Panics
    /// If one did, or none was ever called writable.
    pub(crate) fn assert_never_again(mut self, old: &Redis) {
        self.asking.abort_all();
        let yeses = open(&self.yeses);
        let others = yeses.iter().filter(|yes| yes.node != old.node());
        let successor = others.min_by_key(|yes| yes.answered);
        let successor = successor.expect("a successor that is writable");
        let late = yeses
            .iter()
            .find(|yes| yes.node == old.node() && yes.asked > successor.answered);
        assert!(late.is_none(), "{late:?} after {successor:?}");
    }
}

fn open(yeses: &Mutex<Vec<Yes>>) -> MutexGuard<'_, Vec<Yes>> {
    yeses.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(url: String, keeper: String, node: NodeAddr, yeses: Arc<Mutex<Vec<Yes>>>) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(2))
        .build()
        .expect("an HTTP client");
    loop {
        let asked = Instant::now();
        let answer = client.get(&url).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            open(&yeses).push(Yes {
                keeper: keeper.clone(),
                node: node.clone(),
                asked,
                answered: Instant::now(),
            });
        }
        sleep(PAUSE).await;
    }
}
