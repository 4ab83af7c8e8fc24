//! Checks ZooKeeper for obstacles to a keeper's work. Writes are only rehearsed, in transactions that cannot succeed.
//! So the check leaves nothing behind.

use std::time::Duration;

use futures::future::join_all;

use super::findings::Subject;
use super::keepers;
use super::lists;
use super::settings;
use crate::actors::zk_session::stranger_below;
use crate::adapters::peers::HttpPeers;
use crate::adapters::zookeeper::ZooKeeper;
use crate::adapters::zookeeper::inspect::{ServerState, Visit};
use crate::config::Config;
use crate::domain::facts::Version;
use crate::domain::group::GroupToken;
use crate::layout::paths;
use crate::layout::state::Document as _;
use crate::ports::coordination::{CoordinationError, Session, Write};

/// The oldest server version with the operations that keepers use.
const OLDEST: Version = Version {
    major: 3,
    minor: 6,
    patch: 0,
};

/// The bytes on disk above which a server probably deletes nothing. A server that deletes all but three snapshots has
/// less: four logs of 64 MiB, and snapshots of some MB.
const MUCH: u64 = 1_000_000_000;

/// The time limit for a session.
const SESSION_WITHIN: Duration = Duration::from_secs(10);

/// A version that no node ever has. A transaction that checks for this version changes nothing.
const NEVER: i32 = i32::MAX;

/// Checks each server of the ensemble, the session, the prefix, and the registered keepers. Returns the group of
/// keepers, too, if there is one below the prefix.
pub(super) async fn look(
    ensemble: &ZooKeeper,
    config: &Config,
) -> (Vec<Subject>, Option<GroupToken>) {
    let servers = ensemble.servers();
    let alone = servers.len() == 1;
    let mut subjects = join_all(servers.iter().map(|server| look_at(server, alone))).await;
    let session = Subject::new("ZooKeeper session");
    let refused = match tokio::time::timeout(SESSION_WITHIN, ensemble.visit()).await {
        Ok(Ok(visit)) => {
            let asked = ensemble.session_timeout();
            subjects.push(granted(session, asked, visit.granted, config.timing.lease));
            subjects.push(prefix(&visit, ensemble.prefix()).await);
            if visit.missing.is_none() {
                let peers = HttpPeers::new();
                subjects.extend(keepers::id_taken(config, &*visit.session, &peers).await);
                subjects.extend(keepers::look(config, &*visit.session, &peers).await);
                subjects.extend(lists::look(&*visit.session, &config.clusters).await);
                subjects.extend(settings::look(config, &*visit.session).await);
            }
            let group = visit.session.get(paths::GROUP).await.ok().flatten();
            let group = group.and_then(|node| GroupToken::decode(&node.data).ok());
            return (subjects, group);
        }
        Ok(Err(error)) => format!("none is granted: {error}"),
        Err(_) => format!("none is granted within {SESSION_WITHIN:?}"),
    };
    subjects.push(session.problem(
        refused,
        "see to it that a majority of the servers above serves; look at zk-auth",
    ));
    (subjects, None)
}

async fn look_at(server: &str, alone: bool) -> Subject {
    let subject = Subject::new(format!("ZooKeeper {server}"));
    match ZooKeeper::server_state(server).await {
        Ok(ServerState::Serving { version, mode }) => {
            let subject = subject.note(format!("ZooKeeper {version}, {mode}"));
            if version < OLDEST {
                return subject.problem(format!("is older than {OLDEST}"), "update it");
            }
            let subject = growth(subject, ZooKeeper::disk_use(server).await);
            match mode.as_str() {
                "standalone" if !alone => subject.problem(
                    "belongs to no ensemble, but zk-quorum names several servers: keepers would not all meet",
                    "list all servers in its zoo.cfg (server.1=…), or name only this one in zk-quorum",
                ),
                "read-only" => subject.problem("is cut off from its ensemble", "look at its network and its log"),
                _ => subject,
            }
        }
        Ok(ServerState::NotServing) => subject.problem(
            "serves nobody: its ensemble has no leader",
            "start the other servers; look at its log",
        ),
        Ok(ServerState::Silenced) => subject.warning(
            "its version cannot be seen",
            format!("add srvr to 4lw.commands.whitelist in its zoo.cfg, or make sure that it is {OLDEST} or newer"),
        ),
        Err(error) => subject.problem(
            format!("cannot be reached: {error}"),
            "start it, or correct its address or the firewall",
        ),
    }
}

/// Warns if logs and snapshots take too much space on disk. A server does not say whether it ever deletes any.
fn growth(subject: Subject, bytes: Option<u64>) -> Subject {
    match bytes {
        Some(bytes) if bytes > MUCH => subject.warning(
            format!(
                "its logs and snapshots take {} MB: by default it deletes none",
                bytes / 1_000_000
            ),
            "set autopurge.purgeInterval=1 in its zoo.cfg, or delete old ones otherwise (docs/zookeeper.md)",
        ),
        _ => subject,
    }
}

/// Compares the granted session timeout with the one asked for, and with the `lease`: a lease may be half of it at
/// most (RK-3).
fn granted(session: Subject, asked: Duration, granted: Duration, lease: Duration) -> Subject {
    let text = format!("{granted:?} granted, {asked:?} asked for");
    let fits = granted / 2;
    if lease > fits {
        let cost = format!("every keeper cuts its lease of {lease:?} to half of that");
        let remedy = format!(
            "lower lease-seconds to {} in all keepers, or set maxSessionTimeout={} in the servers' zoo.cfg",
            fits.as_secs_f64(),
            asked.max(lease * 2).as_millis()
        );
        return session.warning(format!("{text}: {cost}"), remedy);
    }
    if granted > asked {
        let cost =
            "a keeper that has died counts among the online ones and holds its id for so long";
        let remedy = format!(
            "set minSessionTimeout={} in the servers' zoo.cfg",
            asked.as_millis()
        );
        return session.warning(format!("{text}: {cost}"), remedy);
    }
    session.note(text)
}

// === the prefix ===

async fn prefix(visit: &Visit, prefix: &str) -> Subject {
    let session = &*visit.session;
    let subject = Subject::new(format!("ZooKeeper prefix {prefix}"));
    let place = if visit.place.is_empty() {
        "/"
    } else {
        &visit.place
    };
    if let Some(missing) = &visit.missing {
        let create = Write::Create {
            path: missing.clone(),
            data: Vec::new(),
        };
        return match rehearse(session, vec![create]).await {
            Ok(()) => subject.note("is free; the first keeper creates it"),
            Err(error) => subject.problem(
                format!("does not exist, and cannot be created below {place}: {error}"),
                format!("create {prefix} with all rights for the keepers, or give them the right to create below {place}"),
            ),
        };
    }
    match stranger_below(session).await {
        Ok(None) => {}
        Ok(Some(stranger)) => {
            return subject.problem(
                stranger,
                "keep the two programs apart: they would fight over the same servers",
            );
        }
        Err(error) => return subject.problem(format!("cannot be read: {error}"), RIGHTS),
    }
    match rights(session).await {
        Ok(0) => subject.note("is empty; it may be read and written"),
        Ok(_) => subject.note("holds the state of keepers; it may be read and written"),
        Err((path, error)) => subject.problem(format!("{place}{path}: {error}"), RIGHTS),
    }
}

const RIGHTS: &str = "set zk-auth to the user whom the access control lists name, or give all rights to the keepers' user (setAcl -R)";

/// Rehearses the writes of keepers at the existing nodes. Returns the number of nodes.
///
/// # Errors
/// The path of the node where a write is not permitted, and the reason.
async fn rights(session: &dyn Session) -> Result<usize, (String, CoordinationError)> {
    let names = session
        .children(paths::ROOT)
        .await
        .map_err(|error| (String::new(), error))?
        .names;
    let is_there = |path: &str| names.iter().any(|name| *name == path[1..]);
    let mut there = 0;
    for parent in [
        paths::ROOT,
        paths::LEADER,
        paths::KEEPERS,
        paths::FAILSAFE_MEMBERS,
        paths::FILES,
        paths::CLUSTERS,
    ] {
        if parent == paths::ROOT || is_there(parent) {
            there += usize::from(parent != paths::ROOT);
            let path = format!("{}/check-live", parent.trim_end_matches('/'));
            let create = Write::Create {
                path: path.clone(),
                data: Vec::new(),
            };
            let delete = Write::Delete {
                path,
                version: None,
            };
            let outcome = rehearse(session, vec![create, delete]).await;
            outcome.map_err(|error| (parent.to_owned(), error))?;
        }
    }
    for value in [paths::EPOCH, paths::GENERATION] {
        if is_there(value) {
            let set = Write::Set {
                path: value.to_owned(),
                data: Vec::new(),
                version: None,
            };
            rehearse(session, vec![set])
                .await
                .map_err(|error| (value.to_owned(), error))?;
        }
    }
    Ok(there)
}

/// Checks whether `writes` would succeed, without making them: the transaction ends with a condition that never
/// holds.
async fn rehearse(session: &dyn Session, mut writes: Vec<Write>) -> Result<(), CoordinationError> {
    let last = writes.len();
    writes.push(Write::Check {
        path: paths::ROOT.to_owned(),
        version: Some(NEVER),
    });
    match session.multi(writes).await {
        Ok(()) => Ok(()),
        Err(CoordinationError::MultiRefused(index, _)) if index == last => Ok(()),
        Err(CoordinationError::MultiRefused(_, error)) => Err(*error),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::embedded::Embedded;
    use crate::ports::coordination::{Coordination, CreateKind};

    #[tokio::test]
    async fn a_rehearsal_says_what_would_be_refused_and_changes_nothing() {
        let session = Embedded::new().connect().await.unwrap();
        let create = |path: &str| Write::Create {
            path: path.to_owned(),
            data: Vec::new(),
        };
        rehearse(&*session, vec![create("/a")]).await.unwrap();
        assert_eq!(
            session.children("/").await.unwrap().names,
            Vec::<String>::new()
        );
        session
            .create("/a", b"", CreateKind::Persistent)
            .await
            .unwrap();
        let refused = rehearse(&*session, vec![create("/a")]).await;
        assert_eq!(refused, Err(CoordinationError::NodeExists("/a".to_owned())));
    }

    #[test]
    fn a_server_that_deletes_nothing_is_told_by_what_it_has_on_disk() {
        let said = |bytes| growth(Subject::new("ZooKeeper"), bytes).to_string();
        assert!(said(None).starts_with("ok") && said(Some(268_435_456)).starts_with("ok"));
        let told = said(Some(2_500_000_000));
        assert!(
            told.starts_with("warning") && told.contains("2500 MB"),
            "{told}"
        );
        assert!(told.contains("autopurge.purgeInterval"), "{told}");
    }

    #[test]
    fn a_longer_session_costs_time_and_a_shorter_one_cuts_the_lease() {
        let ms = Duration::from_millis;
        let said = |asked, given, lease| {
            granted(Subject::new("session"), ms(asked), ms(given), ms(lease)).to_string()
        };
        assert!(said(2_000, 2_000, 1_000).starts_with("ok"));
        assert!(said(4_000, 2_000, 1_000).starts_with("ok"));
        let longer = said(1_000, 4_000, 500);
        assert!(longer.starts_with("warning") && longer.contains("minSessionTimeout=1000"));
        let shorter = said(4_000, 1_000, 800);
        assert!(shorter.starts_with("warning"), "{shorter}");
        assert!(
            shorter.contains("lower lease-seconds to 0.5")
                && shorter.contains("maxSessionTimeout=4000"),
            "{shorter}"
        );
    }
}
