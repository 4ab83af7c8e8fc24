//! The questions of other keepers about the published primary, and this keeper's answers (RK-2).

use std::collections::BTreeMap;

use crate::domain::confirmation::{Finding, PollAnswer};
use crate::domain::node::KeeperId;

/// The keepers that ask, with the number of the question of each.
pub(super) type Questions = BTreeMap<KeeperId, u64>;

/// The questions of other keepers, and this keeper's answers.
#[derive(Debug, Default)]
pub(super) struct Polled {
    questions: Questions,
    answers: BTreeMap<KeeperId, PollAnswer>,
}

impl Polled {
    /// Takes in the current questions. Returns the new ones, for which the primary is to be asked.
    pub(super) fn begin(&mut self, questions: Questions) -> Questions {
        let known =
            |(asker, number): &(&KeeperId, &u64)| self.questions.get(*asker) == Some(*number);
        let fresh = questions.iter().filter(|question| !known(question));
        let fresh = fresh
            .map(|(asker, number)| (asker.clone(), *number))
            .collect();
        self.answers
            .retain(|asker, answer| questions.get(asker) == Some(&answer.number));
        self.questions = questions;
        fresh
    }

    /// Keeps the finding as the answer to each of these questions that is still asked.
    pub(super) fn found(&mut self, questions: Questions, finding: Finding) {
        for (asker, number) in questions {
            if self.questions.get(&asker) == Some(&number) {
                self.answers.insert(asker, PollAnswer { number, finding });
            }
        }
    }

    /// The answers to the current questions.
    pub(super) fn answers(&self) -> &BTreeMap<KeeperId, PollAnswer> {
        &self.answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions<const COUNT: usize>(asked: [(&str, u64); COUNT]) -> Questions {
        asked
            .map(|(keeper, number)| (KeeperId::new(keeper), number))
            .into()
    }

    fn answered(polled: &Polled) -> Vec<(&str, u64)> {
        let answers = polled.answers.iter();
        answers
            .map(|(keeper, answer)| (keeper.as_str(), answer.number))
            .collect()
    }

    #[test]
    fn a_question_is_answered_once_and_for_as_long_as_it_is_asked() {
        let mut polled = Polled::default();
        let asked = questions([("a", 1)]);
        assert_eq!(polled.begin(asked.clone()), asked);
        assert_eq!(polled.begin(asked.clone()), questions([]), "under way");
        polled.found(asked, Finding::Silent);
        assert_eq!(answered(&polled), [("a", 1)]);
        assert_eq!(polled.begin(questions([])), questions([]));
        assert_eq!(answered(&polled), []);
    }

    #[test]
    fn a_leader_that_is_gone_and_seems_to_ask_still_keeps_no_other_from_its_answer() {
        let mut polled = Polled::default();
        let gone = questions([("a", 1)]);
        polled.begin(gone.clone());
        polled.found(gone, Finding::Silent);
        let next = questions([("b", 7)]);
        assert_eq!(polled.begin(questions([("a", 1), ("b", 7)])), next);
        polled.found(next, Finding::Answers);
        assert_eq!(answered(&polled), [("a", 1), ("b", 7)]);
    }

    #[test]
    fn an_answer_that_comes_when_another_question_stands_is_dropped() {
        let mut polled = Polled::default();
        let first = polled.begin(questions([("a", 1)]));
        assert_eq!(polled.begin(questions([("a", 2)])), questions([("a", 2)]));
        polled.found(first, Finding::Silent);
        assert_eq!(answered(&polled), []);
    }
}
