//! Settings of a server that would stand in the way of a failover, or cost data.

use std::borrow::Cow;

use redis::Value;

use super::{Inspection, Severity, Stopped};
use crate::adapters::redis::reply;
use crate::adapters::redis::wire::{Wire, WireError};

impl Inspection {
    pub(super) async fn settings(
        &mut self,
        wire: &mut Wire,
        authenticates: bool,
    ) -> Result<(), Stopped> {
        let requirepass = setting(wire, "requirepass").await?;
        let protected = requirepass
            .as_deref()
            .is_some_and(|password| !password.is_empty());
        let masterauth = setting(wire, "masterauth").await?;
        let open = !protected && lets_anybody_in(&wire.call(&["ACL", "GETUSER", "default"]).await?);
        if (protected || authenticates && !open) && masterauth.as_deref() == Some("") {
            self.error(
                "masterauth is not set: as a replica it could not follow its primary",
                "set masterauth (and masteruser, with ACL users) to what the other nodes require",
            );
        }
        let save = setting(wire, "save").await?;
        let append_only = setting(wire, "appendonly").await?;
        if save.as_deref() == Some("") && append_only.as_deref() == Some("no") {
            let supervised = setting(wire, "supervised").await?.unwrap_or_default();
            let restarted = if supervised == "no" || supervised.is_empty() {
                String::new()
            } else {
                format!(", and is supervised ({supervised})")
            };
            self.warn(
                format!("keeps no data across a restart (no save, no appendonly){restarted}"),
                "turn on persistence, or make sure that nothing restarts it within the mark-down time: \
                 an empty primary empties its replicas",
            );
        }
        if setting(wire, "replica-read-only").await?.as_deref() == Some("no") {
            self.warn(
                "replica-read-only is no: what clients write to it while it is a replica is acknowledged, and lost when it \
                 synchronises; at the end of a switchover some do",
                "set replica-read-only yes",
            );
        }
        if setting(wire, "replica-priority").await?.as_deref() == Some("0") {
            self.add(Severity::Note, "replica-priority is 0: never promoted", "");
        }
        let mode = setting(wire, "protected-mode").await?;
        if mode.as_deref() == Some("yes") && requirepass.as_deref() == Some("") && !authenticates {
            let bound = setting(wire, "bind").await?.unwrap_or_default();
            if bound.is_empty() || bound == "*" || bound == "* -::*" {
                self.warn(
                    "protected-mode without a password turns away all but this host",
                    "set a password, bind to addresses, or set protected-mode no",
                );
            }
        }
        Ok(())
    }
}

/// Whether the default user, as `ACL GETUSER` describes it, needs no password.
fn lets_anybody_in(user: &Value) -> bool {
    says(user, "nopass") && !says(user, "off")
}

fn says(reply: &Value, word: &str) -> bool {
    match reply {
        Value::Array(values) => values.iter().any(|value| says(value, word)),
        Value::Map(pairs) => pairs.iter().any(|(_, value)| says(value, word)),
        text => reply::text(text).as_deref() == Some(word),
    }
}

/// A setting of the server; `None` if it cannot be read or is not known there.
async fn setting(wire: &mut Wire, name: &str) -> Result<Option<String>, WireError> {
    let reply = wire.call(&["CONFIG", "GET", name]).await?;
    Ok(reply::items(&reply)
        .get(1)
        .and_then(reply::text)
        .map(Cow::into_owned))
}
