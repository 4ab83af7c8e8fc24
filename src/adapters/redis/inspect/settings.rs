//! Checks the settings of a server that could prevent a failover, or lose data.

use std::borrow::Cow;
use std::time::Duration;

use redis::Value;

use super::{Inspection, Severity, Stopped};
use crate::adapters::redis::reply;
use crate::adapters::redis::wire::{Wire, WireError};

/// The keeper's way to a server: with a password or without, with TLS or without.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) authenticates: bool,
    pub(super) encrypts: bool,
}

impl Inspection {
    pub(super) async fn settings(
        &mut self,
        wire: &mut Wire,
        access: Access,
    ) -> Result<(), Stopped> {
        let authenticates = access.authenticates;
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
        self.busy(wire).await?;
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
        self.replication(wire, access.encrypts).await
    }

    /// Compares `tls-replication` with the keeper's TLS setting. A leader tells replicas to follow the port that
    /// keepers use, so replication must use TLS exactly if that port does.
    async fn replication(&mut self, wire: &mut Wire, encrypts: bool) -> Result<(), Stopped> {
        match (encrypts, setting(wire, "tls-replication").await?.as_deref()) {
            (true, Some("no")) => self.error(
                "tls-replication is no: it would be told to follow a primary at its port for TLS, and speak no TLS there",
                "set tls-replication yes at all nodes, or name their plain ports and leave redis.tls out",
            ),
            (false, Some("yes")) => self.error(
                "tls-replication is yes: it would be told to follow a primary at its plain port, and speak TLS there",
                "set tls-replication no at all nodes, or name their tls-port and set redis.tls",
            ),
            _ => {}
        }
        Ok(())
    }
}

impl Inspection {
    /// Warns if a script may silence the server for longer than keepers wait. Up to `busy-reply-threshold` a server
    /// with a running script answers nothing; from then on it answers errors, which are proofs of life.
    ///
    /// Source: <https://redis.io/docs/latest/develop/programmability/>.
    async fn busy(&mut self, wire: &mut Wire) -> Result<(), Stopped> {
        // The name since Redis 7.0, then the name before.
        let mut name = "busy-reply-threshold";
        let mut threshold = setting(wire, name).await?;
        if threshold.is_none() {
            name = "lua-time-limit";
            threshold = setting(wire, name).await?;
        }
        let Some(threshold) = threshold.and_then(|it| it.parse::<i64>().ok()) else {
            return Ok(());
        };
        if let Some((finding, remedy)) = slow_when_busy(name, threshold, self.answers_within) {
            self.warn(finding, &remedy);
        }
        Ok(())
    }
}

/// The finding and the remedy if a script can silence the server for at least `within`, the time that keepers wait.
///
/// - `threshold` is in milliseconds. With 0 or less the server is silent until the script ends.
/// - Returns `None` if the server answers soon enough.
fn slow_when_busy(name: &str, threshold: i64, within: Duration) -> Option<(String, String)> {
    let limit = within.as_millis();
    let silent = match u128::try_from(threshold) {
        Ok(ms) if (1..limit).contains(&ms) => return None,
        Ok(ms @ 1..) => format!("answers nothing while a script runs for {ms} ms"),
        _ => "answers nothing while a script runs".to_owned(),
    };
    let finding = format!(
        "{silent} ({name} {threshold}), and is voted down after {limit} ms without an answer (seconds-mark-down less \
         tick-seconds and probe-timeout-seconds): a longer script has it replaced"
    );
    let half = limit / 2;
    let remedy = if half > 0 {
        format!("set {name} {half}, or raise seconds-mark-down")
    } else {
        format!("raise seconds-mark-down, so that {name} fits into it")
    };
    Some((finding, remedy))
}

/// Whether the default user needs no password, as `ACL GETUSER` describes that user.
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

/// Reads a setting of the server. `None` if the server does not know the setting, or does not permit reading it.
pub(super) async fn setting(wire: &mut Wire, name: &str) -> Result<Option<String>, WireError> {
    let reply = wire.call(&["CONFIG", "GET", name]).await?;
    Ok(reply::items(&reply)
        .get(1)
        .and_then(reply::text)
        .map(Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_silent_for_longer_than_keepers_wait_is_told_with_both_figures() {
        let told = |threshold, within| {
            slow_when_busy(
                "busy-reply-threshold",
                threshold,
                Duration::from_millis(within),
            )
        };
        assert_eq!(told(2_999, 3_000), None);
        for threshold in [3_000, 5_000] {
            let (finding, remedy) = told(threshold, 3_000).expect("a warning");
            let both = [
                format!("busy-reply-threshold {threshold}"),
                "after 3000 ms".to_owned(),
            ];
            assert!(both.iter().all(|it| finding.contains(it)), "{finding}");
            assert!(remedy.contains("set busy-reply-threshold 1500"), "{remedy}");
        }
        for endless in [0, -1] {
            let (finding, _) = told(endless, 3_000).expect("a warning");
            assert!(
                finding.starts_with("answers nothing while a script runs ("),
                "{finding}"
            );
        }
        let (_, remedy) = told(5_000, 0).expect("a warning");
        assert!(remedy.starts_with("raise seconds-mark-down"), "{remedy}");
    }
}
