//! Questions that only the leader can answer, and that this keeper passes on.

use std::time::Duration;

use actix_web::HttpRequest;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::operations::PASSED_ON;
use crate::domain::authority::{Authority, WhoLeads};
use crate::domain::node::KeeperId;
use crate::keeper_client::{KeeperClient, Limits, NoAnswer};

/// The time limit for the leader's answer. After that, this keeper answers with its own knowledge.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

const LIMITS: Limits = Limits {
    connection: Some(Duration::from_millis(500)),
    answer: Some(ANSWERS_WITHIN),
    longest: 4 << 20,
};

/// The number of questions that are passed on at once. Further questions get this keeper's own answer, so a flood of
/// them does not reach the leader.
const MOST: usize = 4;

/// A client that passes questions on to the leader.
#[derive(Debug)]
pub(super) struct AskLeader {
    client: KeeperClient,
    turns: Semaphore,
}

impl AskLeader {
    pub(super) fn new() -> Self {
        Self {
            client: KeeperClient::new(LIMITS),
            turns: Semaphore::new(MOST),
        }
    }

    /// The answer of the leader, if another keeper leads. `None` if no other keeper leads, or if a keeper has already
    /// passed the request on.
    ///
    /// # Errors
    /// The reason why the leader has not answered, in words.
    pub(super) async fn ask(
        &self,
        request: &HttpRequest,
        who_leads: &WhoLeads,
    ) -> Option<Result<Value, String>> {
        let Authority::Follows {
            leader,
            rest: Some(rest),
        } = &who_leads.authority
        else {
            return None;
        };
        if request.headers().contains_key(PASSED_ON) {
            return None;
        }
        Some(self.answer(request.path(), leader, rest).await)
    }

    async fn answer(&self, path: &str, leader: &KeeperId, rest: &str) -> Result<Value, String> {
        let busy = |_| "too many questions are under way".to_owned();
        let _turn = self.turns.try_acquire().map_err(busy)?;
        let asked = self.client.get(rest, path);
        let asked = asked.header(PASSED_ON, leader.as_str()).send().await;
        let answer = asked.map_err(|error| in_words(&error))?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let said: Value = answer.json().await.map_err(|error| in_words(&error))?;
        match said["told-by"].as_str() {
            Some(by) if by == leader.as_str() => Ok(said),
            Some(by) => Err(format!(
                "{by} answers there: correct rest-advertise of {leader}"
            )),
            None => Err("it does not say who it is: a former build".to_owned()),
        }
    }
}

fn in_words(error: &NoAnswer) -> String {
    if error.is_late() {
        format!("no answer within {ANSWERS_WITHIN:?}")
    } else {
        error.to_string()
    }
}
