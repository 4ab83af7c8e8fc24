//! Operators who ask for switchovers at any time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use keeper_site::keeper::Keeper;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::network::Host;
use crate::site::name;

/// The longest pause between two requests of one operator.
const REST: Duration = Duration::from_secs(20);

/// Asks the keeper of its host from time to time to switch a cluster over to the best node, until dropped.
pub(crate) struct Operator {
    /// The number of times that each answer came.
    answers: Arc<Mutex<BTreeMap<String, usize>>>,
}

// === impl Operator ===

impl Operator {
    /// Starts an operator. The seed decides the times and the clusters. Times count from `start`.
    pub(crate) fn start(
        host: &Host,
        keeper: &Arc<Keeper>,
        clusters: usize,
        seed: u64,
        start: Instant,
    ) -> Self {
        let answers = Arc::default();
        let number = u64::try_from(host.number()).expect("a small number");
        let chance = StdRng::seed_from_u64(seed.rotate_left(32) ^ number);
        let (keeper, noted) = (Arc::downgrade(keeper), Arc::downgrade(&answers));
        host.start(move || go_on(chance, keeper, clusters, noted, start));
        Self { answers }
    }

    /// The number of times that each answer has come so far.
    pub(crate) fn answers(&self) -> BTreeMap<String, usize> {
        let answers = self.answers.lock();
        answers.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn go_on(
    mut chance: StdRng,
    keeper: Weak<Keeper>,
    clusters: usize,
    noted: Weak<Mutex<BTreeMap<String, usize>>>,
    start: Instant,
) {
    loop {
        sleep(REST.mul_f64(chance.random())).await;
        let cluster = name(chance.random_range(0..clusters));
        let (Some(keeper), Some(_)) = (keeper.upgrade(), noted.upgrade()) else {
            return;
        };
        let path = format!("/admin/clusters/{cluster}/switchover");
        let answer = match keeper.post(&path, &json!({"reason": "chaos"})).await {
            Ok(answer) if answer.code == 200 => "done".to_owned(),
            Ok(answer) => match &answer.body["code"] {
                Value::String(code) => code.clone(),
                _ => answer.code.to_string(),
            },
            Err(_) => "no answer".to_owned(),
        };
        eprintln!(
            "{:8.3} {} asked to switch {cluster} over: {answer}",
            start.elapsed().as_secs_f64(),
            keeper.id()
        );
        if let Some(noted) = noted.upgrade() {
            let mut answers = noted.lock().unwrap_or_else(PoisonError::into_inner);
            *answers.entry(answer).or_default() += 1;
        }
    }
}
