//! Answers to checks, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;
use crate::actors::cluster_api::{Question, Ruling};

/// Answers to checks since the process began.
#[derive(Default)]
pub(in crate::http) struct Tally([[AtomicU64; RULINGS.len()]; QUESTIONS.len()]);

const QUESTIONS: [(Question, &str); 2] = [
    (Question::Writable, "is-writable"),
    (Question::Readable, "is-readable"),
];

const RULINGS: [(Ruling, &str); 4] = [
    (Ruling::Yes, "yes"),
    (Ruling::No, "no"),
    (Ruling::Unknown, "unknown"),
    (Ruling::NoSuchNode, "no-such-node"),
];

impl Tally {
    /// Counts one answer.
    pub(in crate::http) fn count(&self, question: Question, ruling: Ruling) {
        self.counter(question, ruling)
            .fetch_add(1, Ordering::Relaxed);
    }

    fn counter(&self, question: Question, ruling: Ruling) -> &AtomicU64 {
        &self.0[question as usize][ruling as usize]
    }
}

impl Page {
    pub(super) fn tally(&mut self, tally: &Tally) {
        let mut checks = self.counter(
            "redis_keeper_http_checks_total",
            "Answers to is-writable and is-readable.",
        );
        for (question, asked) in QUESTIONS {
            for (ruling, answered) in RULINGS {
                let count = tally.counter(question, ruling).load(Ordering::Relaxed);
                checks.sample(&[("question", asked), ("answer", answered)], count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_counted_as_what_it_is() {
        let tally = Tally::default();
        tally.count(Question::Writable, Ruling::Yes);
        tally.count(Question::Readable, Ruling::NoSuchNode);
        let mut page = Page::after(String::new());
        page.tally(&tally);
        let page = page.finish();
        let count = |labels| {
            let line = format!("redis_keeper_http_checks_total{{{labels}}} 1");
            page.lines().filter(|found| *found == line).count()
        };
        assert_eq!(count(r#"question="is-writable",answer="yes""#), 1);
        assert_eq!(count(r#"question="is-readable",answer="no-such-node""#), 1);
        assert_eq!(page.matches("} 1\n").count(), 2);
    }
}
