//! The login: probes, commands and `check --live` log in first on each connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use redis::Value;

use super::reply;
use super::wire::{Wire, WireError};
use crate::domain::node::NodeAddr;

/// The meaning of a server's answer to `AUTH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// The server has authenticated the connection as the user.
    LoggedIn,
    /// The server wants no password from the default user. The connection has the rights of that user.
    NotWanted,
    /// The server does not know this user with this password. Another password may fit.
    WrongPassword(String),
    /// The server knows no users: a server before Redis 6 takes only a password.
    NoUsers(String),
    /// Another answer. No other password would help.
    Refused(String),
}

/// The user name and the passwords for the login.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    username: Option<String>,
    /// If the list is empty, no `AUTH` is sent. During a rotation there are two passwords.
    passwords: Vec<String>,
    /// The index of the password that each server accepted last. Missing entries mean 0.
    worked: RefCell<BTreeMap<NodeAddr, usize>>,
}

// === impl Login ===

impl Login {
    /// Reads the answer to `AUTH`.
    ///
    /// - No password wanted, Redis 5: `ERR Client sent AUTH, but no password is set`.
    /// - No password wanted, Redis 6 and later, Valkey:
    ///   `ERR AUTH <password> called without any password configured for the default user. …`.
    /// - Wrong password, Redis 5: `ERR invalid password`.
    /// - Wrong password, Redis 6 and later, Valkey: `WRONGPASS …`.
    ///
    /// Sources: <https://github.com/redis/redis/blob/5.0/src/server.c>,
    /// <https://github.com/redis/redis/blob/7.0/src/acl.c> (`authCommand`).
    pub(super) fn of(reply: &Value) -> Self {
        let Value::ServerError(error) = reply else {
            return Self::LoggedIn;
        };
        let words = reply::words(error);
        let says = |text| error.details().is_some_and(|said| said.contains(text));
        let plain = error.code() == "ERR";
        if error.code() == "WRONGPASS" || plain && says("invalid password") {
            Self::WrongPassword(words)
        } else if plain && (says("no password is set") || says("without any password configured")) {
            Self::NotWanted
        } else if plain && says("wrong number of arguments for 'auth'") {
            Self::NoUsers(words)
        } else {
            Self::Refused(words)
        }
    }

    /// The server's error message if the login failed; `None` if the connection may be used.
    pub(super) fn refusal(self) -> Option<String> {
        match self {
            Self::LoggedIn | Self::NotWanted => None,
            Self::WrongPassword(why) | Self::NoUsers(why) | Self::Refused(why) => Some(why),
        }
    }
}

// === impl Credentials ===

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("passwords", &self.passwords.len())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn new(username: Option<String>, passwords: Vec<String>) -> Self {
        Self {
            username,
            passwords,
            worked: RefCell::default(),
        }
    }

    /// Whether no `AUTH` is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.passwords.is_empty()
    }

    /// Each password alone, in order; none unless there are two.
    pub(super) fn each_of_two(&self) -> impl Iterator<Item = Self> {
        let alone = |password: &String| Self::new(self.username.clone(), vec![password.clone()]);
        let two = self.passwords.len() > 1;
        self.passwords.iter().filter(move |_| two).map(alone)
    }

    /// Logs in at `addr`, on a connection that owes no reply. The password that worked there last goes first, then
    /// the other one. Each `AUTH` waits for its answer, so a server never gets two passwords at once.
    ///
    /// # Errors
    /// The answer cannot be read.
    ///
    /// # Cancellation safety
    /// A cancelled call leaves the connection owing the answer. A later call may send `AUTH` again behind it.
    pub(super) async fn log_in(
        &self,
        wire: &mut Wire,
        addr: &NodeAddr,
    ) -> Result<Login, WireError> {
        let count = self.passwords.len();
        let first = self.worked.borrow().get(addr).copied().unwrap_or(0);
        let mut wrong = None;
        for at in (0..count).map(|step| (first + step) % count) {
            match self.try_password(wire, &self.passwords[at]).await? {
                Login::WrongPassword(why) => wrong = wrong.or(Some(why)),
                login => {
                    if login == Login::LoggedIn && at != first {
                        self.worked.borrow_mut().insert(addr.clone(), at);
                    }
                    return Ok(login);
                }
            }
        }
        Ok(wrong.map_or(Login::NotWanted, Login::WrongPassword))
    }

    async fn try_password(&self, wire: &mut Wire, password: &str) -> Result<Login, WireError> {
        let Some(username) = &self.username else {
            return Ok(Login::of(&wire.call(&["AUTH", password]).await?));
        };
        match Login::of(&wire.call(&["AUTH", username, password]).await?) {
            Login::NoUsers(_) => Ok(Login::of(&wire.call(&["AUTH", password]).await?)),
            login => Ok(login),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_all_servers_to_a_password_are_told_apart() {
        let login = |line: &str| {
            let reply = redis::parse_redis_value(format!("{line}\r\n").as_bytes());
            Login::of(&reply.expect("a reply"))
        };
        assert_eq!(login("+OK"), Login::LoggedIn);
        for open in [
            "-ERR Client sent AUTH, but no password is set",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ] {
            assert_eq!(login(open), Login::NotWanted, "{open}");
            assert_eq!(login(open).refusal(), None);
        }
        for wrong in [
            "WRONGPASS invalid username-password pair or user is disabled.",
            "ERR invalid password",
        ] {
            let login = login(&format!("-{wrong}"));
            assert_eq!(login, Login::WrongPassword(wrong.to_owned()));
            assert_eq!(login.refusal().as_deref(), Some(wrong));
        }
        let no_users = "ERR wrong number of arguments for 'auth' command";
        assert_eq!(
            login(&format!("-{no_users}")),
            Login::NoUsers(no_users.to_owned())
        );
        for other in [
            "ERR max number of clients reached",
            "ERR unknown command `AUTH`, with args beginning with: `x`, ",
            "LOADING Redis is loading the dataset in memory",
            "NOPERM this user has no permissions to run the 'auth' command",
        ] {
            let login = login(&format!("-{other}"));
            assert_eq!(login, Login::Refused(other.to_owned()));
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = format!(
            "{:?}",
            Credentials::new(Some("keeper".to_owned()), vec!["hunter2".to_owned()])
        );
        assert!(
            shown.contains("keeper") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
