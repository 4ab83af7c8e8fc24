//! The confirmation of a withdrawal (RK-2): what the leader asks, and what every keeper answers.

use actix::prelude::*;

use super::ClusterActor;
use super::polled::Questions;
use super::state::State;
use crate::actors::messages::{
    AskVoters, Confirm, NewConnectionResult, ProbeOnNewConnection, SetPoll,
};
use crate::domain::brake::Brake;
use crate::domain::confirmation::{Confirmation, Finding, Inquiry, PollResult, PollState};
use crate::domain::facts::NodeFacts;
use crate::domain::liveness::DownReason;
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::observed::ObservedNode;
use crate::domain::published::Published;
use crate::domain::verdict::voters;

// === what is known ===

impl State {
    /// The published primary.
    fn primary(&self) -> Option<&NodeAddr> {
        self.observed.published.as_ref()?.primary.as_ref()
    }

    /// Since when this keeper counts the published primary as silent (RK-11), if it does. The time counts from the
    /// first probe that was neither answered nor refused:
    /// - from that probe itself, if the primary is voted down as unanswered or closed;
    /// - otherwise from two probe timeouts later, which may lie ahead.
    fn primary_silent(&self) -> Option<Moment> {
        let observation = &self.observed.nodes.get(self.primary()?)?.observation;
        let owed = observation
            .owes_since
            .map(|since| since.after(2 * self.settings.limits.probe_timeout));
        match observation.vote {
            Some(DownReason::Unanswered | DownReason::Closed) => observation.owes_since,
            Some(
                DownReason::Refused | DownReason::Loading | DownReason::Busy | DownReason::Impostor,
            )
            | None => owed,
        }
    }

    /// Whether a majority finds the published primary unreachable, loading for too long, or busy for too long.
    fn primary_unfit(&self) -> bool {
        let primary = self.primary();
        let node = primary.and_then(|primary| self.observed.nodes.get(primary));
        node.is_some_and(|node| node.verdict.unfit_as_primary())
    }

    /// Whether another process than the published one answers at the address of the published primary, as a replica
    /// or with other data.
    fn primary_replaced(&self) -> bool {
        let node = self.primary().and_then(|it| self.observed.nodes.get(it));
        let facts = node.and_then(ObservedNode::answering);
        facts.is_some_and(|facts| self.is_replaced_by(facts))
    }

    fn is_replaced_by(&self, facts: &NodeFacts) -> bool {
        let published = self.observed.published.as_ref();
        published.is_some_and(|published| published.is_replaced_by(facts))
    }

    /// Judges what was found at the published address.
    ///
    /// An answer may name no process. Such an answer counts as one of another process if this keeper votes that
    /// another process has replaced the primary.
    fn judged(&self, asked: &NewConnectionResult, now: Moment) -> Finding {
        let vote = self.primary().and_then(|it| self.observed.vote(it, now));
        let replaced = match &asked.facts {
            Some(facts) => self.is_replaced_by(facts),
            None => asked.unproven && vote == Some(DownReason::Impostor),
        };
        if asked.finding == Finding::Answers && replaced {
            Finding::Replaced
        } else {
            asked.finding
        }
    }

    /// Forgets what is known of the published primary when another generation is published.
    ///
    /// Two publications are exceptions: a withdrawal by failover, and the publication that calls such a withdrawal
    /// off.
    pub(super) fn confirmation_after(&mut self, published: Option<&Published>, now: Moment) {
        let (limits, before) = (self.settings.limits, self.observed.published.as_ref());
        let intent = |state: Option<&Published>| state?.intent.clone();
        let primary = |state: Option<&Published>| state?.primary.clone();
        let confirmation = &mut self.observed.confirmation;
        match (
            primary(before),
            intent(before),
            primary(published),
            intent(published),
        ) {
            (Some(_), None, None, Some(begun)) if begun.switchover.is_none() => {
                confirmation.withdrawn();
            }
            (None, Some(begun), Some(again), None) if begun.old.as_ref() == Some(&again) => {
                confirmation.called_off(limits, now);
            }
            _ => *confirmation = Confirmation::default(),
        }
    }

    /// Takes in the other keepers' findings while a majority finds the primary unfit, or while another process
    /// answers in its place. Ends the confirmation once neither is the case.
    pub(super) fn confirm(&mut self, now: Moment) {
        let limits = self.settings.limits;
        let failed = if !self.primary_unfit() && !self.primary_replaced() {
            self.observed.confirmation.over(limits, now)
        } else if let Some(poll) = self.observed.confirmation.polled() {
            let poll_result = self.poll_result(poll.number);
            self.observed
                .confirmation
                .take_poll_result(poll_result, limits, now)
        } else {
            false
        };
        if failed {
            let primary = self.primary().map(tracing::field::display);
            tracing::warn!(
                primary,
                "withdrawal not confirmed: the primary answers, or too few keepers have no answer"
            );
            count(self.settings.name.as_str(), "not-confirmed");
        }
    }

    /// Counts what the voters have found since they were asked under this number. A keeper of an earlier build cannot
    /// be asked: its vote counts as its finding.
    pub(super) fn poll_result(&self, number: u64) -> PollResult {
        let (Some(shared), Some(primary)) = (&self.shared, self.primary()) else {
            return PollResult::default();
        };
        let me = &self.settings.keeper;
        let mut poll_result = PollResult::default();
        for (keeper, report) in voters(primary, &shared.keepers, &shared.reports) {
            poll_result.voters += 1;
            let finding = match shared.polls.get(keeper) {
                _ if keeper == me => Some(self.observed.confirmation.own_finding()),
                Some(told) => {
                    let answer = told.answers.get(me).filter(|it| it.number == number);
                    answer.map(|answer| answer.finding)
                }
                None => {
                    let votes = report.is_some_and(|it| it.votes.contains_key(primary));
                    Some(if votes {
                        Finding::Silent
                    } else {
                        Finding::Answers
                    })
                }
            };
            match finding {
                Some(finding) => poll_result.unfit += usize::from(finding.unfit()),
                None => drop(poll_result.untold.insert(keeper.clone())),
            }
        }
        poll_result
    }

    /// The questions that other keepers ask this one.
    fn questions(&self) -> Questions {
        let polls = self.shared.iter().flat_map(|shared| &shared.polls);
        let others = polls.filter(|(keeper, _)| **keeper != self.settings.keeper);
        others
            .filter_map(|(keeper, told)| Some((keeper.clone(), told.asks?)))
            .collect()
    }

    /// This keeper's question to the others, and its answers to theirs.
    fn poll(&self) -> PollState {
        let asks = self.leading().and(self.observed.confirmation.polled());
        PollState {
            asks: asks.map(|poll| poll.number),
            answers: self.polled.answers().clone(),
        }
    }
}

fn count(cluster: &str, outcome: &'static str) {
    metrics::counter!(
        "redis_keeper_confirmations_total", "cluster" => cluster.to_owned(), "outcome" => outcome
    )
    .increment(1);
}

// === asking and answering ===

impl ClusterActor {
    /// Whether the brake acts (RK-11). The answer is `None` while no majority finds the primary unfit.
    pub(super) fn brake(&self, now: Moment) -> Option<Brake> {
        let name = &self.state.settings.name;
        let mut primaries = self.links.primaries.borrow_mut();
        match self.state.primary() {
            Some(_) => primaries.published(name, self.state.primary_silent()),
            None => primaries.withdrawn(name),
        }
        self.state
            .primary_unfit()
            .then(|| primaries.brake(now))
            .flatten()
    }

    /// Gives the session this keeper's questions and answers, if they have changed.
    pub(super) fn publish_poll(&mut self) {
        let told = self.state.poll();
        if told != self.given.poll {
            self.given.poll = told;
            self.send_poll();
        }
    }

    pub(super) fn send_poll(&self) {
        (self.links.poll)(SetPoll {
            cluster: self.state.settings.name.clone(),
            told: self.given.poll.clone(),
        });
    }

    /// Asks the primary on behalf of the keepers that have asked this one.
    pub(super) fn answer_polls(&mut self, ctx: &mut Context<Self>) {
        let questions = self.state.questions();
        let questions = self.state.polled.begin(questions);
        if questions.is_empty() {
            return;
        }
        let asked = self.ask_on_new_connection(self.state.primary().cloned());
        let answered = asked.into_actor(self).map(|asked, actor, ctx| {
            let finding = actor.state.judged(&asked, actor.links.clock.now());
            actor.state.polled.found(questions, finding);
            actor.changed(ctx);
        });
        ctx.spawn(answered);
    }

    /// Asks a node on a new connection.
    fn ask_on_new_connection(
        &self,
        node: Option<NodeAddr>,
    ) -> impl Future<Output = NewConnectionResult> + use<> {
        let monitor = node.and_then(|node| self.links.monitors.get(&node).cloned());
        async move {
            match monitor {
                Some(monitor) => {
                    let asked = monitor.send(ProbeOnNewConnection).await;
                    asked.unwrap_or_else(|_| Finding::Unknown.into())
                }
                None => Finding::Unknown.into(),
            }
        }
    }
}

impl Handler<Confirm> for ClusterActor {
    type Result = ResponseActFuture<Self, ()>;

    /// Asks the successor first, and the primary only if the successor answers. So the successor's answer is newer
    /// than any answer of the primary.
    ///
    /// Where another keeper reaches the successor, the report of that keeper stands in for the successor's answer.
    fn handle(&mut self, Confirm(inquiry): Confirm, _: &mut Self::Context) -> Self::Result {
        let limits = self.state.settings.limits;
        let (alone, generation) = (inquiry.through.is_none(), self.state.generation());
        let successor = inquiry.successor.clone();
        let first = alone.then(|| self.refresh([successor].into(), limits.probe_timeout));
        let primary = self.ask_on_new_connection(Some(inquiry.primary.clone()));
        let asked = async move {
            let answers = match first {
                Some(first) => first.await,
                None => Vec::new(),
            };
            let answers_now = answers.iter().any(|(_, it)| it.named().is_some());
            let asked = if answers_now || !alone {
                Some(primary.await)
            } else {
                None
            };
            (answers, asked)
        };
        let confirmed = asked
            .into_actor(self)
            .map(move |(answers, asked), actor, ctx| {
                actor.state.nodes_observed(answers);
                if let Some(asked) = asked.filter(|_| actor.state.generation() == generation) {
                    let now = actor.links.clock.now();
                    let finding = actor.state.judged(&asked, now);
                    actor.confirmed(finding, &inquiry);
                }
                actor.reconsider(ctx);
            });
        Box::pin(confirmed)
    }
}

impl ClusterActor {
    fn confirmed(&mut self, finding: Finding, inquiry: &Inquiry) {
        let Inquiry {
            successor, through, ..
        } = inquiry;
        let alone = through.is_none();
        let now = self.links.clock.now();
        let mark_down = self.state.settings.limits.mark_down;
        let answering = self.state.observed.nodes.get(successor);
        let since = answering.and_then(|node| node.observation.answering_since);
        let steady = alone && since.is_some_and(|since| now.since(since) >= mark_down);
        let _in_span = self.span.enter();
        let by = if alone {
            "the leader"
        } else {
            "a majority of the keepers"
        };
        tracing::info!(
            finding = finding.word(), by, %successor, "the primary was asked once more"
        );
        let confirmation = &mut self.state.observed.confirmation;
        confirmation.found(finding, alone, steady, now);
    }
}

impl Handler<AskVoters> for ClusterActor {
    type Result = ();

    /// Takes the number of the question from the clock, so that no number is used again after a restart of this
    /// actor.
    fn handle(&mut self, _: AskVoters, ctx: &mut Self::Context) {
        let now = self.links.clock.now();
        let number = u64::try_from(now.0.as_micros()).unwrap_or(u64::MAX);
        let brake = self.brake(now);
        if let Some(Brake { silent, published }) = brake {
            let _in_span = self.span.enter();
            tracing::warn!(
                silent,
                published,
                "failover held: many primaries are silent at once, a majority of the keepers has to confirm"
            );
            count(self.state.settings.name.as_str(), "held-by-brake");
        }
        let limits = self.state.settings.limits;
        let confirmation = &mut self.state.observed.confirmation;
        confirmation.poll(number, brake, limits, now);
        self.reconsider(ctx);
    }
}
