//! The Redis commands that keepers send, and the names that servers may know them by (`rename-command`).
//!
//! Source: <https://github.com/redis/redis/blob/7.0/redis.conf>, "Command renaming".

use std::collections::BTreeMap;

/// A command that keepers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisCommand {
    /// The name in capitals, as keepers send it.
    pub name: &'static str,
    /// The function that is lost where a server lacks the command. `None`: keepers cannot do without the command.
    pub optional: Option<&'static str>,
}

/// Every command that keepers send, `check --live` included, by name.
pub const COMMANDS: &[RedisCommand] = &[
    optional("ACL", "`check --live` cannot try rights out"),
    needed("AUTH"),
    needed("CLIENT"),
    optional(
        "COMMAND",
        "`check --live` looks for commands in another way",
    ),
    optional(
        "CONFIG",
        "roles are not written to the servers' files, and write-safety is impossible",
    ),
    needed("EXEC"),
    needed("INFO"),
    needed("MULTI"),
    needed("PING"),
    optional("PUBSUB", "a Sentinel at work is not noticed"),
    needed("REPLICAOF"),
    needed("ROLE"),
];

const fn needed(name: &'static str) -> RedisCommand {
    RedisCommand {
        name,
        optional: None,
    }
}

const fn optional(name: &'static str, gap: &'static str) -> RedisCommand {
    RedisCommand {
        name,
        optional: Some(gap),
    }
}

/// The command of this name, in capitals or not.
pub fn command(name: &str) -> Option<RedisCommand> {
    let mut commands = COMMANDS.iter();
    commands
        .find(|command| command.name.eq_ignore_ascii_case(name))
        .copied()
}

/// The names of the commands that the servers of one cluster have renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandNames(BTreeMap<&'static str, String>);

impl CommandNames {
    /// Records that the servers call `command` by this name.
    pub fn rename(&mut self, command: RedisCommand, name: impl Into<String>) {
        self.0.insert(command.name, name.into());
    }

    /// The servers' name of `command`, which is given in capitals.
    pub fn of<'a>(&'a self, command: &'a str) -> &'a str {
        self.0.get(command).map_or(command, String::as_str)
    }

    /// Whether no command is renamed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_command_has_its_name_and_any_other_keeps_its_own() {
        let mut names = CommandNames::default();
        assert!(names.is_empty());
        names.rename(command("client").expect("keepers send it"), "xclient");
        assert_eq!((names.of("CLIENT"), names.of("INFO")), ("xclient", "INFO"));
        assert_eq!(command("SLAVEOF"), None);
    }
}
