//! The facts that a server of the model reports.

use std::time::Duration;

use super::super::builder::addr;
use super::{OUTSIDE, Server, name_of};
use crate::domain::facts::{Family, Link, Mode, NodeFacts, Role, Upstream, Version, Writes};

/// How many replicas are in touch with the server.
pub(in super::super) fn linked_to(index: usize, servers: &[Server]) -> usize {
    let linked = |server: &&Server| server.up && server.linked && server.follows == Some(index);
    servers.iter().filter(linked).count()
}

pub(super) fn facts(index: usize, server: &Server, servers: &[Server]) -> NodeFacts {
    let down = Link::Down {
        since: Some(Duration::from_secs(1)),
    };
    let role = match server.follows {
        None => Role::Primary {
            online_replicas: linked_to(index, servers),
        },
        Some(of) => Role::Replica(Upstream {
            primary: if of < servers.len() {
                name_of(of)
            } else {
                addr(OUTSIDE)
            },
            link: if server.linked { Link::Up } else { down },
            syncing: false,
            last_io: None,
            priority: server.priority,
        }),
    };
    NodeFacts {
        run_id: format!("process {index}.{}", server.process),
        version: Version {
            major: 7,
            minor: 0,
            patch: 15,
        },
        family: Family::Redis,
        mode: Mode::Standalone,
        uptime: Duration::from_secs(u64::from(server.process)),
        loading: server.loading,
        role,
        replication_id: server.history.clone(),
        previous_replication_id: server.previous.clone(),
        previous_offset: None,
        offset: server.offset,
        attached: Vec::new(),
        copied: 0,
        keys: server.keys,
        append_only: false,
        failover: None,
        shutting_down: None,
        writes: Writes::default(),
        sentinels: Vec::new(),
        other_subscribers: 0,
    }
}
