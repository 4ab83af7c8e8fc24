//! Obstacles between a keeper and a node, in words.

use super::NodeObservation;

impl NodeObservation {
    /// Why there are no facts, or no fresh ones.
    pub fn trouble_in_words(&self) -> String {
        match &self.trouble {
            Some(trouble) if self.answering && self.unproven.is_some_and(|it| it.known) => {
                format!("what answers there does not say which process it is: {trouble}")
            }
            Some(trouble) if self.outdated.is_some() => {
                format!("what it said of itself is too old to go by: {trouble}")
            }
            Some(trouble) => trouble.clone(),
            None => "it has not answered yet".to_owned(),
        }
    }

    /// The obstacle between this keeper and the node's facts or its commands, if there is one.
    pub fn obstacle(&self) -> Option<String> {
        let refused =
            |why| format!("the node refuses this keeper's login, and commands with it: {why}");
        let trouble = self.trouble.clone();
        trouble.or_else(|| self.login_refused.as_ref().map(refused))
    }
}
