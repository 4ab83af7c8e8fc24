//! A server's answers to probes.

use std::time::Duration;

use redis_keeper::domain::facts::{Link, Mode, Role, Upstream, Version};
use redis_keeper::domain::info::Info;
use redis_keeper::ports::redis::{Alive, Clients, Depth, Subscribers};

use super::{Server, run_id};

impl Server {
    /// The contents of `INFO`.
    fn info(&self) -> Info {
        let (now, ending) = (self.world.now(), self.is_ending());
        let state = self.state.borrow();
        let span = |since: u64| Duration::from_secs(now.saturating_sub(since) / 1_000_000);
        let role = match &state.replica {
            None => Role::Primary {
                online_replicas: state.attached.len(),
            },
            Some(replica) => Role::Replica(Upstream {
                primary: replica.primary.clone(),
                link: if replica.linked() {
                    Link::Up
                } else {
                    Link::Down {
                        since: replica.down_since.map(span),
                    }
                },
                syncing: replica.syncing(),
                last_io: replica.linked().then(|| span(replica.heard)),
                priority: state.priority,
            }),
        };
        Info {
            run_id: Some(run_id(state.incarnation)),
            version: Some(Version {
                major: 7,
                minor: 0,
                patch: 15,
            }),
            mode: Some(Mode::Standalone),
            uptime: Some(span(state.started)),
            loading: Some(state.loading(now)),
            role: Some(role),
            replication_id: Some(state.replication_id.clone()),
            previous_replication_id: state.previous.as_ref().map(|(id, _)| id.clone()),
            previous_offset: state.previous.as_ref().map(|(_, until)| *until),
            append_only: Some(state.append_only),
            offset: Some(state.offset),
            keys: Some(state.log.len() as u64),
            shutting_down: Some(ending.then_some(Duration::from_secs(10))),
            ..Info::default()
        }
    }

    /// The clients that are connected (`CLIENT LIST`).
    pub(super) fn clients(&self) -> Clients {
        let state = self.state.borrow();
        let names = state
            .connections
            .values()
            .map(|it| it.name.borrow().clone());
        Clients {
            keepers: names.flatten().collect(),
            count: state.connections.len(),
        }
    }
}

/// A healthy server's answer to a probe of this depth.
pub(super) fn tell(server: &Server, depth: Depth) -> Alive {
    let info = server.info();
    let loading = info.loading == Some(true);
    let info = match depth {
        Depth::Full | Depth::FullWithSettings => info,
        Depth::Tick => Info {
            role: info.role,
            replication_id: info.replication_id,
            previous_replication_id: info.previous_replication_id,
            previous_offset: info.previous_offset,
            offset: info.offset,
            shutting_down: info.shutting_down,
            ..Info::default()
        },
    };
    Alive {
        info: Some(info),
        loading,
        error: None,
        hindrance: server.misconf().map(str::to_owned),
        login_refused: None,
        foreign: false,
        subscribers: depth.is_full().then(Subscribers::default),
        min_replicas: (depth == Depth::FullWithSettings)
            .then(|| Ok(server.state.borrow().min_replicas)),
    }
}
