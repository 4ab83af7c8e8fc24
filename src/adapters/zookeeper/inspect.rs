//! Inspects live ZooKeeper servers for obstacles to a keeper's work (`check --live`). The inspection changes nothing
//! there.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ZooKeeper, failure};
use crate::domain::facts::Version;
use crate::ports::coordination::{CoordinationError, Session};

/// The time limit for the answer of one server.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The state of a server, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// The server serves.
    Serving {
        /// The server's version.
        version: Version,
        /// `leader`, `follower`, `observer`, `standalone`, `read-only`.
        mode: String,
    },
    /// The server serves no client: its ensemble has no quorum, or is about to elect a leader.
    NotServing,
    /// The server may not say: `4lw.commands.whitelist` lacks the command.
    Silenced,
}

/// A session that has created no node, not even the prefix.
pub struct Visit {
    /// The session. Its paths are relative to [`Visit::place`].
    pub session: Rc<dyn Session>,
    /// The existing part of the prefix; empty for the root.
    pub place: String,
    /// The first part of the prefix that does not exist; `None` if the whole prefix exists.
    pub missing: Option<String>,
    /// The session timeout that the ensemble grants.
    pub granted: Duration,
}

impl ZooKeeper {
    /// The state of the server at `server` (`host:port`), read with the four-letter word `srvr`.
    ///
    /// Source: <https://zookeeper.apache.org/doc/current/zookeeperAdmin.html#sc_4lw>.
    ///
    /// # Errors
    /// The server cannot be reached, or the answer is not ZooKeeper's.
    pub async fn server_state(server: &str) -> io::Result<ServerState> {
        let answer = four_letters(server, "srvr").await?;
        parse(&answer).ok_or_else(|| {
            if answer.is_empty() {
                let closed = "it closes the connection without an answer";
                io::Error::new(io::ErrorKind::UnexpectedEof, closed)
            } else {
                io::Error::new(io::ErrorKind::InvalidData, "that is no ZooKeeper's answer")
            }
        })
    }

    /// The bytes on disk of the logs and snapshots of the server at `server` (`host:port`), read with `dirs`. `None`
    /// if the server does not say.
    pub async fn disk_use(server: &str) -> Option<u64> {
        disk_use(&four_letters(server, "dirs").await.ok()?)
    }

    /// Opens a session at the existing part of the prefix.
    ///
    /// # Errors
    /// No server grants a session within about a session timeout, or the prefix cannot be read.
    pub async fn visit(&self) -> Result<Visit, CoordinationError> {
        let client = self.client().await?;
        let granted = client.session_timeout();
        let mut place = String::new();
        let mut missing = None;
        for part in self.prefix.split('/').filter(|part| !part.is_empty()) {
            let path = format!("{place}/{part}");
            let stat = client.check_stat(&path).await;
            if stat.map_err(|error| failure(&path, &error))?.is_none() {
                missing = Some(format!("/{part}"));
                break;
            }
            place = path;
        }
        let client = if place.is_empty() {
            client
        } else {
            Self::below(client, &place)?
        };
        Ok(Visit {
            session: Rc::new(self.session(client)),
            place,
            missing,
            granted,
        })
    }
}

/// The answer of the server at `server` to a four-letter word.
async fn four_letters(server: &str, word: &str) -> io::Result<String> {
    let answer = timeout(ANSWER_WITHIN, async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    });
    Ok(String::from_utf8_lossy(&answer.await??).into_owned())
}

/// Returns the larger of the two figures. By default logs and snapshots are in one directory, and both figures count
/// that directory.
fn disk_use(answer: &str) -> Option<u64> {
    let sizes = answer.lines().filter_map(|line| {
        let (_, size) = line.split_once("dir_size:")?;
        size.trim().parse().ok()
    });
    sizes.max()
}

fn parse(answer: &str) -> Option<ServerState> {
    if answer.contains("not in the whitelist") {
        return Some(ServerState::Silenced);
    }
    if answer.contains("not currently serving requests") {
        return Some(ServerState::NotServing);
    }
    let value = |key| {
        answer
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .map(str::trim)
    };
    let version = value("Zookeeper version:")?;
    let digits = version
        .split(|it: char| !it.is_ascii_digit())
        .map(str::parse);
    let mut numbers = digits.map_while(Result::ok);
    Some(ServerState::Serving {
        version: Version {
            major: numbers.next()?,
            minor: numbers.next()?,
            patch: numbers.next().unwrap_or_default(),
        },
        mode: value("Mode:")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_directory_counts_and_other_answers_say_nothing() {
        let answer = "datadir_size: 1000\nlogdir_size: 67108880\n";
        assert_eq!(disk_use(answer), Some(67_108_880));
        let silenced = "dirs is not executed because it is not in the whitelist.\n";
        assert_eq!(disk_use(silenced), None);
    }

    #[test]
    fn the_answers_of_servers_are_told_apart() {
        let serving = "Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on 2022-02-25 08:49 UTC\n\
                       Latency min/avg/max: 0/0.0/0\nReceived: 1\nMode: follower\nNode count: 5\n";
        let version = Version {
            major: 3,
            minor: 8,
            patch: 0,
        };
        assert_eq!(
            parse(serving),
            Some(ServerState::Serving {
                version,
                mode: "follower".to_owned()
            })
        );
        assert_eq!(
            parse("srvr is not executed because it is not in the whitelist.\n"),
            Some(ServerState::Silenced)
        );
        assert_eq!(
            parse("This ZooKeeper instance is not currently serving requests\n"),
            Some(ServerState::NotServing)
        );
        for other in [
            "",
            "-ERR unknown command\r\n",
            "Zookeeper version: x\nMode: leader",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
