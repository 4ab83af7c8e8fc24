//! Checks whether the server has the commands that keepers send, and permits them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use redis::Value;

use super::{Inspection, Severity, Stopped};
use crate::adapters::redis::reply;
use crate::adapters::redis::rights::{DRY_RUN, NEEDED, name, obstacles};
use crate::adapters::redis::wire::{Wire, WireError};
use crate::domain::facts::Version;

/// The commands that `write-safety` needs.
const NEEDED_FOR_WRITE_SAFETY: &[&[&str]] = &[
    &["CONFIG", "GET", "min-replicas-*"],
    &["CONFIG", "SET", "min-replicas-to-write", "1"],
];

/// The commands without which failovers still work, each with the gap that its absence leaves.
const USEFUL: &[(&[&str], &str)] = &[
    (
        &["CONFIG", "REWRITE"],
        "a server that restarts comes back with its old role",
    ),
    (
        &["CLIENT", "PAUSE", "1", "WRITE"],
        "switchovers are called off",
    ),
    (
        &["CLIENT", "UNPAUSE"],
        "a switchover holds writes up for two seconds",
    ),
    (
        &["PUBSUB", "NUMSUB", "channel"],
        "a Sentinel at work is not noticed",
    ),
    (
        &["CONFIG", "GET", "save"],
        "this check cannot read the server's settings",
    ),
];

impl Inspection {
    /// Adds a finding for each command that is missing or not permitted, with its use.
    pub(super) async fn rights(
        &mut self,
        wire: &mut Wire,
        version: Version,
    ) -> Result<(), Stopped> {
        let needed = if self.write_safety {
            [NEEDED, NEEDED_FOR_WRITE_SAFETY].concat()
        } else {
            NEEDED.to_vec()
        };
        let missing = self.missing(wire, &needed).await?;
        let user = match wire.call(&["ACL", "WHOAMI"]).await? {
            reply if version >= DRY_RUN => reply::text(&reply).map(Cow::into_owned),
            _ => None,
        };
        let Some(user) = user else {
            self.add(
                Severity::Note,
                "rights cannot be tried out here, only whether the commands exist",
                "",
            );
            return Ok(());
        };
        let is_there = |command: &&[&str]| !missing.contains(command[0]);
        let needed: Vec<_> = needed.into_iter().filter(is_there).collect();
        let found = obstacles(wire, Some(&user), &needed).await?;
        for (command, why) in needed.into_iter().zip(found) {
            if let Some(why) = why {
                let name = name(command);
                self.error(
                    format!("`{name}` cannot be used: {why}"),
                    &format!("give the keeper's user the right to {name}"),
                );
            }
        }
        let useful = USEFUL.iter().filter(|(command, _)| is_there(command));
        let (useful, gaps): (Vec<_>, Vec<_>) = useful.copied().unzip();
        let found = obstacles(wire, Some(&user), &useful).await?;
        for ((command, gap), why) in useful.into_iter().zip(gaps).zip(found) {
            if let Some(why) = why {
                let name = name(command);
                self.warn(
                    format!("`{name}` cannot be used ({why}): {gap}"),
                    &format!("give the keeper's user the right to {name}"),
                );
            }
        }
        Ok(())
    }

    /// The commands that the server does not have under the name that the keeper uses.
    async fn missing(
        &mut self,
        wire: &mut Wire,
        needed: &[&'static [&'static str]],
    ) -> Result<BTreeSet<&'static str>, Stopped> {
        let useful = USEFUL.iter().map(|(command, _)| command);
        let commands: BTreeSet<_> = needed.iter().chain(useful).map(|it| it[0]).collect();
        let mut missing = BTreeSet::new();
        for command in commands {
            if exists(wire, command).await? {
                continue;
            }
            missing.insert(command);
            let found = format!("the server has no command `{}`", wire.name_of(command));
            let remedy = format!(
                "if the server has renamed it (rename-command in redis.conf), say so: redis.rename-commands: \
                 {{{command}: \"…\"}}"
            );
            if needed.iter().any(|it| it[0] == command) {
                self.error(format!("{found}, which keepers need"), &remedy);
            } else {
                let gaps = USEFUL.iter().filter(|(it, _)| it[0] == command);
                let gaps: Vec<_> = gaps.map(|(_, gap)| *gap).collect();
                self.warn(format!("{found}: {}", gaps.join("; ")), &remedy);
            }
        }
        Ok(missing)
    }
}

/// Whether the server has `command`. If `COMMAND INFO` is refused, a call of the command with a wrong number of
/// arguments shows whether the command exists.
async fn exists(wire: &mut Wire, command: &str) -> Result<bool, WireError> {
    let called = wire.name_of(command).to_owned();
    let described = wire.call(&["COMMAND", "INFO", &called]).await?;
    if reply::error(&described).is_none() {
        return Ok(!matches!(reply::items(&described), [Value::Nil]));
    }
    // Of the commands that keepers need, only `MULTI` would take effect without arguments.
    let words: &[&str] = match command {
        "MULTI" => &["MULTI", "too many words"],
        other => &[other],
    };
    let said = reply::error(&wire.call(words).await?);
    Ok(!said.is_some_and(|said| said.starts_with("ERR unknown command")))
}
