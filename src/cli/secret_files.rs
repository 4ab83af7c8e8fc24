//! Reads secrets again while a keeper runs: when one of their files changes, and on SIGHUP.
//!
//! - A file counts as changed if its metadata differ from those at the last reading, and did not change between the
//!   last two checks. So a file that is still being written is left alone.
//! - An atomic rename, or a changed symbolic link, shows in the inode.
//! - If a file cannot be used, its former secrets stay in use. The keeper tries again at each check, and logs the
//!   fault once.
//! - New connections use the new secrets; open connections stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::ports;
use crate::adapters::redis::{RedisServers, Secrets};
use crate::adapters::zookeeper::ZooKeeper;
use crate::config::{Config, CoordinationConfig, RedisAccess, ZkAuth};
use crate::domain::node::ClusterName;

/// The time from one check of the files to the next.
const EVERY: Duration = Duration::from_secs(2);

/// The metadata that tell one version of a file from another; `None` if the file is missing or out of reach.
type Version = Option<[i128; 7]>;

/// All files with secrets of this keeper.
pub(super) struct SecretFiles {
    holders: Vec<Holder>,
    /// The version of each file at the last check.
    seen: BTreeMap<PathBuf, Version>,
}

/// A user of secrets, with the files of these secrets.
struct Holder {
    whose: Whose,
    /// The version of each file when it was last read.
    read: BTreeMap<PathBuf, Version>,
    /// The files that have changed since they were last used.
    unused: BTreeSet<PathBuf>,
    /// The reason why the files cannot be used as they are.
    fault: Option<String>,
}

enum Whose {
    Cluster(ClusterName, RedisAccess),
    ZooKeeper(ZkAuth),
}

/// The occasion of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// The start of the keeper: files may have changed since the configuration was read.
    Start,
    Time,
    Signal,
}

/// The results of one check.
#[derive(Default)]
struct Found {
    redis: Vec<(ClusterName, Secrets)>,
    digest: Option<String>,
    /// The files whose new contents are used.
    files: BTreeSet<PathBuf>,
    /// The faults that were not logged before.
    faults: BTreeSet<String>,
}

// === impl SecretFiles ===

impl SecretFiles {
    /// Collects the files that `config` names.
    pub(super) fn of(config: &Config) -> Self {
        let clusters = config.clusters.iter();
        let clusters = clusters.map(|it| Whose::Cluster(it.name.clone(), it.redis.clone()));
        let auth = match &config.coordination {
            CoordinationConfig::ZooKeeper { auth, .. } => auth.clone().map(Whose::ZooKeeper),
            CoordinationConfig::Embedded => None,
        };
        let holders = clusters.chain(auth).map(Holder::of);
        Self {
            holders: holders.filter(Holder::holds_anything).collect(),
            seen: BTreeMap::new(),
        }
    }

    /// Checks the files again and again, and passes new secrets to the clients of Redis and ZooKeeper.
    pub(super) async fn follow(
        mut self,
        redis: Rc<RedisServers>,
        zookeeper: Option<ZooKeeper>,
        mut hangup: Signal,
    ) {
        let mut occasion = Occasion::Start;
        loop {
            // On a thread of its own: the disk of a file may hang.
            let look = spawn_blocking(move || {
                let found = self.look(occasion);
                (self, found)
            });
            let Ok((files, found)) = look.await else {
                tracing::error!(
                    "files of secrets are watched no more: restart the keeper to have them read"
                );
                return;
            };
            self = files;
            found.tell(occasion);
            for (cluster, secrets) in found.redis {
                redis.replace_secrets(&cluster, secrets);
            }
            if let (Some(digest), Some(zookeeper)) = (found.digest, &zookeeper)
                && zookeeper.replace_digest(digest)
            {
                tracing::info!(
                    "the next ZooKeeper session uses the login that zk-auth-file holds now"
                );
            }
            occasion = tokio::select! {
                Some(()) = hangup.recv() => Occasion::Signal,
                () = sleep(EVERY), if !self.holders.is_empty() => Occasion::Time,
                else => return,
            };
        }
    }

    fn look(&mut self, occasion: Occasion) -> Found {
        let files = self.holders.iter().flat_map(|holder| holder.read.keys());
        let now: BTreeMap<_, _> = files.map(|file| (file.clone(), version(file))).collect();
        let mut found = Found::default();
        for holder in &mut self.holders {
            let at_rest = holder
                .read
                .keys()
                .all(|file| now.get(file) == self.seen.get(file));
            if occasion != Occasion::Time || at_rest {
                holder.look(occasion, &now, &mut found);
            }
        }
        self.seen = now;
        found
    }
}

// === impl Holder ===

impl Holder {
    fn of(whose: Whose) -> Self {
        let files: Vec<PathBuf> = match &whose {
            Whose::Cluster(_, access) => access.files().map(Path::to_owned).collect(),
            Whose::ZooKeeper(auth) => auth.file.clone().into_iter().collect(),
        };
        Self {
            whose,
            read: files.into_iter().map(|file| (file, None)).collect(),
            unused: BTreeSet::new(),
            fault: None,
        }
    }

    /// Whether there is anything to read again: a file, or the system's authorities, which only a signal reads again.
    fn holds_anything(&self) -> bool {
        let tls = matches!(&self.whose, Whose::Cluster(_, access) if access.tls.is_some());
        tls || !self.read.is_empty()
    }

    fn look(&mut self, occasion: Occasion, now: &BTreeMap<PathBuf, Version>, found: &mut Found) {
        let asked = occasion != Occasion::Time;
        for (file, read) in &mut self.read {
            let now = now.get(file).copied().flatten();
            if asked || *read != now {
                self.unused.insert(file.clone());
            }
            *read = now;
        }
        if self.unused.is_empty() && !asked {
            return;
        }
        match self.secrets(found) {
            Ok(()) => {
                found.files.append(&mut self.unused);
                self.fault = None;
            }
            Err(fault) => {
                if asked || self.fault.as_ref() != Some(&fault) {
                    found.faults.insert(fault.clone());
                }
                self.fault = Some(fault);
            }
        }
    }

    fn secrets(&self, found: &mut Found) -> Result<(), String> {
        match &self.whose {
            Whose::Cluster(name, access) => {
                let access = access.read_again().map_err(|error| error.to_string())?;
                let secrets = Secrets::read(&ports::access(&access));
                let secrets = secrets.map_err(|error| error.to_string())?;
                found.redis.push((name.clone(), secrets));
            }
            Whose::ZooKeeper(auth) => {
                let auth = auth.read_again().map_err(|error| error.to_string())?;
                found.digest = Some(ports::digest(&auth));
            }
        }
        Ok(())
    }
}

// === impl Found ===

impl Found {
    /// Logs the files that are used anew, and the faults.
    fn tell(&self, occasion: Occasion) {
        for fault in &self.faults {
            tracing::warn!(
                fault,
                "a file of secrets cannot be used: what it held before stays in use; mend the file, and it is read again"
            );
        }
        let files: Vec<_> = self
            .files
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        match occasion {
            Occasion::Signal if files.is_empty() && self.faults.is_empty() => {
                tracing::info!(
                    "SIGHUP: the configuration names no file of secrets; all else is read at start"
                );
            }
            Occasion::Start => {}
            _ if files.is_empty() => {}
            Occasion::Time | Occasion::Signal => {
                tracing::info!(
                    files = files.join(", "),
                    "secrets read again: new connections use them"
                );
            }
        }
    }
}

/// The version of the file at `path`. Symbolic links are followed.
fn version(path: &Path) -> Version {
    let it = std::fs::metadata(path).ok()?;
    Some([
        it.dev().into(),
        it.ino().into(),
        it.size().into(),
        it.mtime().into(),
        it.mtime_nsec().into(),
        it.ctime().into(),
        it.ctime_nsec().into(),
    ])
}

#[cfg(test)]
mod tests;
