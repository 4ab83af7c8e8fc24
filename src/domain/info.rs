//! The reply of `INFO`, read without trusting it.
//!
//! Source: <https://redis.io/docs/latest/commands/info/>. Forks and versions print different fields. A field that is
//! missing or malformed is `None`.

use std::time::Duration;

use super::facts::{
    Attached, Family, Link, Mode, NodeFacts, Role, ServerFailover, UNKNOWN_HOST, Upstream, Version,
    Writes,
};
use super::node::NodeAddr;

/// Redis's own default of `replica-priority`.
const DEFAULT_PRIORITY: u32 = 100;

/// The `replica-priority` of a replica that is never promoted, and of a replica whose priority is unreadable.
const NEVER_PROMOTED: u32 = 0;

/// No server is up for this long (31 years). Before 6.2, a replica that was never linked reports that its link has
/// been down since 1970: `repl_down_since` in <https://github.com/redis/redis/blob/6.0/src/server.c>.
const LONGER_THAN_ANY_UPTIME: Duration = Duration::from_secs(1_000_000_000);

/// How far apart two figures of one server may be, if both are in whole seconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// The replication id that stands for "none".
const NO_REPLICATION_ID: &str = "0000000000000000000000000000000000000000";

/// The figures of one `INFO` reply. A section that was not asked for leaves its fields `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// `run_id`.
    pub run_id: Option<String>,
    /// `valkey_version`, else `redis_version`.
    pub version: Option<Version>,
    /// The server says it is Valkey (`server_name`).
    pub valkey: bool,
    /// `redis_mode`, or `server_mode` of newer Valkeys.
    pub mode: Option<Mode>,
    /// `uptime_in_seconds`.
    pub uptime: Option<Duration>,
    /// `config_file`; empty when the server was started without one.
    pub config_file: Option<String>,
    /// `loading`.
    pub loading: Option<bool>,
    /// `aof_enabled`.
    pub append_only: Option<bool>,
    /// `master_failover_state`; `Some(None)` if no failover is under way.
    pub failover: Option<Option<ServerFailover>>,
    /// `shutdown_in_milliseconds`, with the section `Server`; `Some(None)` if the server is not shutting down.
    pub shutting_down: Option<Option<Duration>>,
    /// `rdb_last_bgsave_status` or `aof_last_write_status` is `err`.
    pub disk_failed: Option<bool>,
    /// `min_slaves_good_slaves`, which is present while replicas are demanded.
    pub replicas_in_touch: Option<usize>,
    /// `role`, with the fields that belong to it.
    pub role: Option<Role>,
    /// `slave0`, `slave1`, … in the state `online`; with the role.
    pub attached: Option<Vec<Attached>>,
    /// How many more replicas take a full synchronisation; with the role.
    pub copied: Option<usize>,
    /// `master_replid`.
    pub replication_id: Option<String>,
    /// `master_replid2`, unless all zeros.
    pub previous_replication_id: Option<String>,
    /// `second_repl_offset` − 1, unless there is none.
    pub previous_offset: Option<u64>,
    /// `slave_repl_offset` of a replica, else `master_repl_offset`.
    pub offset: Option<u64>,
    /// The sum of `keys=` over all databases; zero if the section `Keyspace` is present and empty.
    pub keys: Option<u64>,
}

impl Info {
    /// Reads a reply. Never fails: text that is no `INFO` reply gives an empty `Info`.
    pub fn parse(text: &str) -> Self {
        let mut info = Self::default();
        let mut replica = ReplicaFields::default();
        let mut is_replica = None;
        let mut online_replicas = 0;
        let (mut attached, mut copied) = (Vec::new(), 0_usize);
        let mut primary_offset = None;
        let mut replica_offset = None;
        for line in text.lines() {
            let line = line.trim_end();
            let Some((field, value)) = line.split_once(':') else {
                match line {
                    "# Keyspace" => {
                        info.keys.get_or_insert(0);
                    }
                    "# Server" => {
                        info.shutting_down.get_or_insert(None);
                    }
                    _ => {}
                }
                continue;
            };
            match field {
                "run_id" => info.run_id = filled(value),
                "valkey_version" => {
                    info.valkey = true;
                    info.version = version(value);
                }
                "redis_version" => info.version = info.version.or_else(|| version(value)),
                "server_name" => info.valkey |= value == "valkey",
                "redis_mode" | "server_mode" => info.mode = mode(value),
                "uptime_in_seconds" => info.uptime = seconds(value),
                "config_file" => info.config_file = Some(value.to_owned()),
                "loading" => info.loading = flag(value),
                "master_failover_state" => info.failover = Some(ServerFailover::parse(value)),
                "shutdown_in_milliseconds" => {
                    info.shutting_down = Some(Some(milliseconds(value)));
                }
                "aof_enabled" => info.append_only = flag(value),
                "rdb_last_bgsave_status" | "aof_last_write_status" => {
                    info.disk_failed = Some(info.disk_failed == Some(true) || value == "err");
                }
                "min_slaves_good_slaves" => info.replicas_in_touch = value.parse().ok(),
                "role" => {
                    is_replica = match value {
                        "master" => Some(false),
                        "slave" | "replica" => Some(true),
                        _ => None,
                    }
                }
                "master_replid" => info.replication_id = replication_id(value),
                "master_replid2" => info.previous_replication_id = replication_id(value),
                // The first byte that is not of that history; −1 stands for "none".
                "second_repl_offset" => {
                    info.previous_offset =
                        value.parse::<u64>().ok().and_then(|it| it.checked_sub(1));
                }
                "master_repl_offset" => primary_offset = value.parse().ok(),
                "slave_repl_offset" => replica_offset = Some(value.parse().ok()),
                _ if replica.read(field, value) => {}
                _ if is_attached_replica(field) => {
                    let state = value
                        .split(',')
                        .find_map(|part| part.strip_prefix("state="));
                    online_replicas += usize::from(state == Some("online"));
                    copied += usize::from(state.is_some_and(|it| !it.is_empty() && it != "online"));
                    attached.extend(Attached::parse(value));
                }
                _ if is_numbered(field, "db") => {
                    // A database is listed only if it has keys.
                    let keys = keys(value).unwrap_or(1);
                    info.keys = Some(info.keys.unwrap_or(0).saturating_add(keys));
                }
                _ => {}
            }
        }
        info.offset = replica_offset.unwrap_or(primary_offset);
        info.role = match is_replica {
            Some(true) => Some(Role::Replica(replica.upstream())),
            Some(false) => Some(Role::Primary { online_replicas }),
            None => None,
        };
        // The order of the lines must not matter.
        attached.sort_unstable();
        info.attached = info.role.is_some().then_some(attached);
        info.copied = info.role.is_some().then_some(copied);
        info
    }

    fn family(&self) -> Family {
        if self.valkey {
            Family::Valkey
        } else {
            Family::Redis
        }
    }
}

/// The fields in which a replica describes its primary, in any order.
#[derive(Default)]
struct ReplicaFields<'a> {
    host: Option<&'a str>,
    port: Option<u16>,
    link_up: bool,
    link_down_since: Option<Duration>,
    last_io: Option<Duration>,
    syncing: bool,
    priority: Option<u32>,
}

impl<'a> ReplicaFields<'a> {
    /// Returns whether the field is one of these.
    fn read(&mut self, field: &str, value: &'a str) -> bool {
        match field {
            "master_host" => self.host = Some(value).filter(|host| !host.is_empty()),
            "master_port" => self.port = value.parse().ok(),
            "master_link_status" => self.link_up = value == "up",
            "master_link_down_since_seconds" => {
                self.link_down_since = seconds(value).filter(|it| *it < LONGER_THAN_ANY_UPTIME);
            }
            "master_last_io_seconds_ago" => self.last_io = seconds(value),
            "master_sync_in_progress" => self.syncing = value != "0",
            "slave_priority" => self.priority = Some(value.parse().unwrap_or(NEVER_PROMOTED)),
            _ => return false,
        }
        true
    }

    fn upstream(&self) -> Upstream {
        Upstream {
            primary: NodeAddr::new(self.host.unwrap_or(UNKNOWN_HOST), self.port.unwrap_or(0)),
            link: if self.link_up {
                Link::Up
            } else {
                Link::Down {
                    since: self.link_down_since,
                }
            },
            syncing: self.syncing,
            last_io: self.last_io.filter(|_| self.link_up),
            priority: self.priority.unwrap_or(DEFAULT_PRIORITY),
        }
    }
}

/// `slave0`, `slave1`, …
fn is_attached_replica(field: &str) -> bool {
    is_numbered(field, "slave") || is_numbered(field, "replica")
}

fn is_numbered(field: &str, prefix: &str) -> bool {
    field
        .strip_prefix(prefix)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn filled(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// 40 hexadecimal digits, unless they stand for "none".
fn replication_id(value: &str) -> Option<String> {
    let is_id = value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && value != NO_REPLICATION_ID).then(|| value.to_owned())
}

/// Seconds. −1 stands for "never". Other negative figures come from a clock that was set back.
fn seconds(value: &str) -> Option<Duration> {
    value.parse().ok().map(Duration::from_secs)
}

/// Milliseconds; zero for a figure that is unreadable or negative.
fn milliseconds(value: &str) -> Duration {
    value.parse().map(Duration::from_millis).unwrap_or_default()
}

fn mode(value: &str) -> Option<Mode> {
    match value {
        "standalone" => Some(Mode::Standalone),
        "cluster" => Some(Mode::Cluster),
        "sentinel" => Some(Mode::Sentinel),
        _ => None,
    }
}

/// `7.0.15`, `8.0`, `8.1.0-rc1`.
fn version(value: &str) -> Option<Version> {
    let mut parts = value.split('.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().ok()
    });
    Some(Version {
        major: parts.next()??,
        minor: parts.next().flatten().unwrap_or(0),
        patch: parts.next().flatten().unwrap_or(0),
    })
}

/// `keys=2,expires=0,avg_ttl=0`.
fn keys(value: &str) -> Option<u64> {
    value
        .split(',')
        .find_map(|part| part.strip_prefix("keys="))?
        .parse()
        .ok()
}

/// The role of a Sentinel, which reports none: a Sentinel takes no part in replication.
fn sentinels(info: &Info) -> Option<Role> {
    (info.mode == Some(Mode::Sentinel)).then_some(Role::Primary { online_replicas: 0 })
}

impl NodeFacts {
    /// The facts from a reply with all sections. `None` if one of these is missing:
    /// - the process (`run_id`);
    /// - the kind of server (`role`, or `redis_mode` of a Sentinel).
    ///
    /// Any other unreadable figure errs to the safe side: see the fields.
    pub fn of(info: &Info) -> Option<Self> {
        let mut facts = Self {
            run_id: info.run_id.clone()?,
            version: info.version.unwrap_or_default(),
            family: info.family(),
            mode: info.mode.unwrap_or(Mode::Standalone),
            uptime: info.uptime.unwrap_or_default(),
            loading: info.loading.unwrap_or(false),
            role: info.role.clone().or_else(|| sentinels(info))?,
            replication_id: info.replication_id.clone().unwrap_or_default(),
            previous_replication_id: info.previous_replication_id.clone(),
            previous_offset: info.previous_offset,
            offset: info.offset.unwrap_or(0),
            attached: info.attached.clone().unwrap_or_default(),
            copied: info.copied.unwrap_or(0),
            keys: info.keys.unwrap_or(0),
            append_only: info.append_only.unwrap_or(false),
            failover: info.failover.flatten(),
            shutting_down: info.shutting_down.flatten(),
            writes: Writes {
                misconf: false,
                disk_failed: info.disk_failed.unwrap_or(false),
                replicas_in_touch: info.replicas_in_touch,
            },
            sentinels: Vec::new(),
            other_subscribers: 0,
        };
        if let Some(uptime) = info.uptime {
            facts.doubt_link_down_since(uptime);
        }
        Some(facts)
    }

    /// Takes over the figures of a later reply of the same process, with whatever sections. `elapsed` is the time
    /// since the reply before. A figure that is missing or unreadable stays as it was.
    pub fn update(&mut self, info: Info, elapsed: Duration) {
        fn take<T>(field: &mut T, told: Option<T>) {
            if let Some(told) = told {
                *field = told;
            }
        }
        if info.version.is_some() {
            self.family = info.family();
        }
        let never_linked = self.upstream().is_some_and(|it| !it.link.ever_up());
        if let Some(id) = info.replication_id {
            // Both ids come from one section: a promotion that is undone also removes the second.
            self.previous_replication_id = info.previous_replication_id;
            self.previous_offset = info.previous_offset;
            if id != self.replication_id {
                // Offsets of another history say nothing in this one.
                self.offset = 0;
            }
            self.replication_id = id;
        }
        // No process gets younger. A process whose clock was set back ages all the same.
        let aged = self.uptime.saturating_add(elapsed);
        let plausible = |told: &Duration| told.saturating_add(WHOLE_SECONDS) >= aged;
        self.uptime = info.uptime.filter(plausible).unwrap_or(aged);
        take(&mut self.append_only, info.append_only);
        take(&mut self.failover, info.failover);
        take(&mut self.shutting_down, info.shutting_down);
        take(&mut self.writes.disk_failed, info.disk_failed);
        if info.role.is_some() {
            // The role and this figure come from one section.
            self.writes.replicas_in_touch = info.replicas_in_touch;
        }
        take(&mut self.version, info.version);
        take(&mut self.mode, info.mode);
        take(&mut self.loading, info.loading);
        take(&mut self.role, info.role);
        take(&mut self.offset, info.offset);
        take(&mut self.attached, info.attached);
        take(&mut self.copied, info.copied);
        take(&mut self.keys, info.keys);
        if let Some(uptime) = info.uptime {
            self.doubt_link_down_since(uptime);
        }
        if never_linked {
            // A link that came up since, and broke again, has been down for less.
            self.doubt_link_down_since(elapsed);
        }
    }

    /// Forgets since when a link is down, if that is longer than `at_most`: such a link was never up. Before Redis
    /// 6.2, a replica that was never linked counts from 1970.
    fn doubt_link_down_since(&mut self, at_most: Duration) {
        if let Role::Replica(upstream) = &mut self.role
            && let Link::Down { since } = &mut upstream.link
        {
            *since = since.filter(|since| *since <= at_most.saturating_add(WHOLE_SECONDS));
        }
    }
}

#[cfg(test)]
mod tests;
