//! A client that asks without end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis_keeper::http::backend::ANSWER_TIMEOUT;
use tokio::time::Instant;

/// Asks the same question again and again, and keeps every answer but 200.
pub(crate) struct Client {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    answers: Arc<Mutex<Vec<(Duration, u16, String)>>>,
    thread: JoinHandle<()>,
}

impl Client {
    /// Begins to `GET url`, in a thread of its own.
    pub(crate) fn start(url: String) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU64::new(0));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (ends, count, kept) = (over.clone(), asked.clone(), answers.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                let client = client();
                while !ends.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let (code, text) = match client.get(&url).send().await {
                        Ok(answer) => (
                            answer.status().as_u16(),
                            answer.text().await.unwrap_or_default(),
                        ),
                        Err(error) => (0, error.to_string()),
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    if code != 200 {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push((
                            began.elapsed(),
                            code,
                            text,
                        ));
                    }
                }
            });
        });
        Self {
            over,
            asked,
            answers,
            thread,
        }
    }

    /// All answers but 200 since the last call.
    pub(crate) fn take_trouble(&self) -> Vec<(Duration, u16, String)> {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All answers but 200 since the last call, except for slow ones. An answer is slow if it took as long as HTTP waits
    /// for an actor: on a busy machine, such an answer proves nothing.
    pub(crate) fn take_wrong(&self) -> Vec<(Duration, u16, String)> {
        let mut answers = self.take_trouble();
        answers.retain(|(took, ..)| *took < ANSWER_TIMEOUT);
        answers
    }

    /// How many answers the client has had.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Stops asking.
    pub(crate) fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("a client that does not panic");
    }
}

/// The HTTP client for requests.
pub(crate) fn client() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5));
    client.build().expect("an HTTP client")
}
