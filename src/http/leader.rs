//! What only the leader can tell, asked of it on the asker's behalf.

use std::time::Duration;

use actix_web::HttpRequest;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::operations::PASSED_ON;
use crate::domain::authority::{Authority, WhoLeads};
use crate::domain::node::KeeperId;

/// How long the leader may take. Then this keeper tells what it knows itself.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// How long a connection to the leader may take.
const CONNECTS_WITHIN: Duration = Duration::from_millis(500);

/// So many questions are passed on at a time: a flood of them ends here.
const MOST: usize = 4;

/// How long an answer may be.
const LONGEST: usize = 4 << 20;

/// Passes questions on to the leader.
#[derive(Debug)]
pub(super) struct AskLeader {
    client: reqwest::Client,
    turns: Semaphore,
}

impl AskLeader {
    pub(super) fn new() -> Self {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECTS_WITHIN)
            .timeout(ANSWERS_WITHIN)
            .pool_max_idle_per_host(0)
            .no_proxy();
        Self {
            // Without TLS and name resolution of its own there is nothing that could fail.
            client: client.build().unwrap_or_default(),
            turns: Semaphore::new(MOST),
        }
    }

    /// What another keeper answers that leads; `None` if none does, or the request was passed on already.
    ///
    /// # Errors
    /// Why it has not answered, in words.
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
        let asked = self.client.get(format!("http://{rest}{path}"));
        let asked = asked.header(PASSED_ON, leader.as_str()).send().await;
        let mut answer = asked.map_err(|error| in_words(&error))?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| in_words(&error))? {
            if body.len() + chunk.len() > LONGEST {
                return Err(format!("its answer is longer than {LONGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        let said: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        match said["told-by"].as_str() {
            Some(by) if by == leader.as_str() => Ok(said),
            Some(by) => Err(format!(
                "{by} answers there: correct rest-advertise of {leader}"
            )),
            None => Err("it does not say who it is: a former build".to_owned()),
        }
    }
}

fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {ANSWERS_WITHIN:?}");
    }
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
