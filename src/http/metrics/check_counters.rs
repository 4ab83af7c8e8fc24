//! Answers to checks, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;
use crate::actors::cluster_api::{Question, Ruling};

/// Answers to checks since the process began.
#[derive(Default)]
pub(in crate::http) struct CheckCounters([[AtomicU64; RULINGS.len()]; QUESTIONS.len()]);

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

impl CheckCounters {
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
    pub(super) fn check_counters(&mut self, check_counters: &CheckCounters) {
        let mut checks = self.counter(
            "redis_keeper_http_checks_total",
            "Answers to is-writable and is-readable.",
        );
        for (question, asked) in QUESTIONS {
            for (ruling, answered) in RULINGS {
                let count = check_counters
                    .counter(question, ruling)
                    .load(Ordering::Relaxed);
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
        let check_counters = CheckCounters::default();
        check_counters.count(Question::Writable, Ruling::Yes);
        check_counters.count(Question::Readable, Ruling::NoSuchNode);
        let mut page = Page::after(String::new());
        page.check_counters(&check_counters);
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
