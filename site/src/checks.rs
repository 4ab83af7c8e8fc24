//! An impatient client: it asks every keeper about every node, over and over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::keeper::Keeper;
use super::node::Node;
use super::redis::Redis;
use crate::BACKGROUND;

/// The time between two questions to one keeper about one node.
const PAUSE: Duration = Duration::from_millis(5);

/// A yes: an `is-writable` that was answered with 200.
#[derive(Debug, Clone)]
pub struct Yes {
    /// The keeper that answered.
    pub keeper: String,
    /// The node that was asked about.
    pub node: Node,
    /// The generation of the state from which the keeper answered.
    pub generation: u64,
    asked: Instant,
    answered: Instant,
}

/// Asks until dropped, and keeps every yes.
pub struct Checks {
    yeses: Arc<Mutex<Vec<Yes>>>,
    /// How many other answers came from keepers that have the cluster.
    others: Arc<AtomicUsize>,
    asking: JoinSet<()>,
}

// === impl Checks ===

impl Checks {
    /// Begins to ask all `keepers` about all `nodes` of `cluster`.
    pub fn start(keepers: &[Keeper], cluster: &str, nodes: &[&Redis]) -> Self {
        let yeses = Arc::<Mutex<Vec<Yes>>>::default();
        let others = Arc::<AtomicUsize>::default();
        let mut asking = JoinSet::new();
        for keeper in keepers {
            for node in nodes {
                let (at, node) = (keeper.http(), node.node());
                let url = format!("http://{at}/cluster/{cluster}/is-writable/{node}");
                let heard = (Arc::clone(&yeses), Arc::clone(&others));
                let ask = ask(url, keeper.id().to_owned(), node, heard);
                asking.spawn_on(ask, BACKGROUND.handle());
            }
        }
        Self {
            yeses,
            others,
            asking,
        }
    }

    /// Stops asking, and asserts that no keeper called `old` writable once any keeper had called another node
    /// writable.
    ///
    /// # Panics
    /// If a keeper did, or if no other node was ever called writable.
    pub fn assert_never_again(mut self, old: &Redis) {
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

    /// Asserts that so far only `primary` was called writable.
    ///
    /// # Panics
    /// If another node was, or if `primary` never was.
    pub fn assert_only(&self, primary: &Redis) {
        let yeses = open(&self.yeses);
        assert!(!yeses.is_empty(), "nothing was ever writable");
        let other = yeses.iter().find(|yes| yes.node != primary.node());
        assert!(other.is_none(), "{other:?}");
    }

    /// The nodes that were called writable in answers to questions after `since`.
    pub fn called_writable_since(&self, since: Instant) -> BTreeSet<Node> {
        let yeses = open(&self.yeses);
        let late = yeses.iter().filter(|yes| yes.asked > since);
        late.map(|yes| yes.node.clone()).collect()
    }

    /// Asserts that no node was called writable so far.
    ///
    /// # Panics
    /// If a node was, or if no keeper answered.
    pub fn assert_none(&self) {
        let yeses = open(&self.yeses);
        assert!(
            self.others.load(Ordering::Relaxed) > 0,
            "no keeper answered"
        );
        assert!(yeses.is_empty(), "{:?}", yeses.first());
    }

    /// Asserts that at no moment so far two nodes were called writable:
    ///
    /// - Each generation had at most one writable node.
    /// - After a yes for another node from a later generation, no keeper answered from an earlier one.
    ///
    /// # Panics
    /// If two nodes were, or if none ever was.
    pub fn assert_never_two(&self) {
        let yeses = open(&self.yeses);
        assert!(!yeses.is_empty(), "nothing was ever writable");
        let mut first = BTreeMap::<u64, &Yes>::new();
        for yes in yeses.iter() {
            let first = first.entry(yes.generation).or_insert(yes);
            assert_eq!(first.node, yes.node, "{yes:?} beside {first:?}");
            if yes.answered < first.answered {
                *first = yes;
            }
        }
        for yes in yeses.iter() {
            let later = first.range(yes.generation + 1..).map(|(_, later)| later);
            let late = later
                .into_iter()
                .find(|later| later.node != yes.node && yes.asked > later.answered);
            assert!(late.is_none(), "{yes:?} after {late:?}");
        }
    }
}

fn open(yeses: &Mutex<Vec<Yes>>) -> MutexGuard<'_, Vec<Yes>> {
    yeses.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(
    url: String,
    keeper: String,
    node: Node,
    (yeses, others): (Arc<Mutex<Vec<Yes>>>, Arc<AtomicUsize>),
) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(2))
        .build()
        .expect("an HTTP client");
    loop {
        let asked = Instant::now();
        match client.get(&url).send().await {
            Ok(answer) if answer.status() == 200 => {
                let answered = Instant::now();
                // An answer that does not arrive whole counts for nothing.
                if let Ok(body) = answer.json::<Value>().await {
                    open(&yeses).push(Yes {
                        keeper: keeper.clone(),
                        node: node.clone(),
                        generation: body["generation"].as_u64().unwrap_or_default(),
                        asked,
                        answered,
                    });
                }
            }
            Ok(answer) if answer.status() != 404 => {
                others.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        sleep(PAUSE).await;
    }
}
