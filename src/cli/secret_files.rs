//! Secrets that are read again while a keeper runs: when one of their files changes, and on SIGHUP.
//!
//! - A file counts as changed once its metadata differ from what they were when it was read last, and no more from one look
//!   to the next: a file that is being written is left alone. An atomic rename and a symbolic link that is changed differ by
//!   their inode.
//! - A file that cannot be used leaves what it held before in use. It is tried again at each look, and told once.
//! - New connections use what was read; open ones stay as they are.

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

/// From one look at the files to the next.
const EVERY: Duration = Duration::from_secs(2);

/// What tells one version of a file from another; `None`: it is not there, or out of reach.
type Version = Option<[i128; 7]>;

/// All files that hold secrets of this keeper.
pub(super) struct SecretFiles {
    holders: Vec<Holder>,
    /// Each file as it was at the last look.
    seen: BTreeMap<PathBuf, Version>,
}

/// Who uses secrets, and the files that they stand in.
struct Holder {
    whose: Whose,
    /// Each file as it was when it was read last.
    read: BTreeMap<PathBuf, Version>,
    /// Files that have changed since they were last used.
    unused: BTreeSet<PathBuf>,
    /// Why they cannot be used as they are.
    fault: Option<String>,
}

enum Whose {
    Cluster(ClusterName, RedisAccess),
    ZooKeeper(ZkAuth),
}

/// Why the files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// They may have changed since the configuration was read.
    Start,
    Time,
    Signal,
}

/// What one look has found.
#[derive(Default)]
struct Found {
    redis: Vec<(ClusterName, Secrets)>,
    digest: Option<String>,
    /// Files that are used anew.
    files: BTreeSet<PathBuf>,
    /// Faults that were not told before.
    faults: BTreeSet<String>,
}

// === impl SecretFiles ===

impl SecretFiles {
    /// The files that `config` names.
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

    /// Looks again and again, and gives what was read to those who open connections.
    pub(super) async fn follow(
        mut self,
        redis: Rc<RedisServers>,
        zookeeper: Option<ZooKeeper>,
        mut hangup: Signal,
    ) {
        let mut occasion = Occasion::Start;
        loop {
            // Files may be on a disk that hangs.
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

    /// There is a file, or there are the authorities of the system, which only a signal has read again.
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
    /// Tells what is used anew, by the names of the files, and what cannot be used.
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

/// The file that `path` leads to, symbolic links followed.
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
