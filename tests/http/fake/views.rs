//! The actors' views of a healthy cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis_keeper::actors::cluster_api::{ClusterView, NodeView, ProxyState, ProxyView, Reason};
use redis_keeper::domain::drain::Proxy;
use redis_keeper::domain::election::Ineligibility as Ineligible;
use redis_keeper::domain::explain::{Explanation, Successor};
use redis_keeper::domain::facts::{Family, Mode, NodeFacts, Role, Version, Writes};
use redis_keeper::domain::lease::Lease;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::{ClusterName, Generation, KeeperId, Moment, NodeAddr};
use redis_keeper::domain::observation::NodeObservation;
use redis_keeper::domain::plan::HoldKind;
use redis_keeper::domain::published::Published;
use redis_keeper::domain::verdict::Verdict;

pub(super) const NOW: Moment = Moment(Duration::from_secs(1000));
/// When the node last gave a proof of life.
pub(super) const LAST_ALIVE: Moment = Moment(Duration::from_millis(998_500));

pub(super) fn primary() -> NodeAddr {
    NodeAddr::new("10.0.0.1", 6379)
}

pub(super) fn cluster_view() -> ClusterView {
    ClusterView {
        other_groups: Vec::new(),
        astray: Vec::new(),
        differences: [].into(),
        proxies: vec![ProxyView {
            proxy: Proxy {
                name: "lb1".to_owned(),
                backend: "cluster-1-writable".to_owned(),
                address: Some([10, 0, 0, 9].into()),
            },
            node: primary(),
            state: ProxyState::Up,
            at: LAST_ALIVE,
            named: None,
        }],
        name: ClusterName::new("cluster-1"),
        now: NOW,
        lease: Lease::Earned(NOW.after(Duration::from_millis(800))),
        published: Some(Published {
            primary: Some(primary()),
            generation: Generation(7),
            ..Published::default()
        }),
        version: Some(3),
        keepers: BTreeSet::from([KeeperId::new("keeper-1")]),
        leading: None,
        writable: true,
        plan: "nothing to do".to_owned(),
        held: BTreeSet::from([HoldKind::NotLinked]),
        nodes: vec![node_view()],
    }
}

pub(super) fn explanation() -> Explanation {
    let (next, refused) = (
        NodeAddr::new("10.0.0.2", 6379),
        NodeAddr::new("10.0.0.3", 6379),
    );
    Explanation {
        primary: Some(primary()),
        sentence: "10.0.0.2:6379 would take over; 10.0.0.3:6379 not, because it has priority 0"
            .to_owned(),
        not_considered: BTreeSet::new(),
        next: Some(next.clone()),
        ranking: vec![Successor {
            node: next,
            history: "b".repeat(40),
            promotions_back: 0,
            offset: 42,
            lag: None,
            age: Some(Duration::ZERO),
            priority: 100,
            uptime: Duration::from_millis(1_500),
        }],
        refused: BTreeMap::from([(refused, Ineligible::NeverByPriority)]),
        left_behind: BTreeMap::new(),
        troubles: BTreeMap::new(),
        held_by: Vec::new(),
        now: "nothing to do".to_owned(),
    }
}

pub(super) fn node_view() -> NodeView {
    NodeView {
        node: primary(),
        now: NOW,
        observation: observation(),
        verdict: Verdict {
            unreachable: 1,
            loading: 0,
            refused: 0,
            keepers: 3,
            min_votes: 1,
        },
        votes: BTreeMap::from([(KeeperId::new("keeper-2"), DownReason::Refused)]),
        offset: Some(42),
        lag_bytes: None,
        lag_seconds: None,
        age: Some(Duration::ZERO),
        writable: Reason::Primary,
        readable: Reason::Primary,
    }
}

pub(super) fn observation() -> NodeObservation {
    NodeObservation {
        order: (Moment::default(), 0),
        facts: Some(NodeFacts {
            run_id: "a".repeat(40),
            version: Version {
                major: 7,
                minor: 0,
                patch: 15,
            },
            family: Family::Redis,
            mode: Mode::Standalone,
            uptime: Duration::from_mins(1),
            loading: false,
            role: Role::Primary { online_replicas: 1 },
            replication_id: "b".repeat(40),
            previous_replication_id: None,
            previous_offset: None,
            offset: 42,
            attached: Vec::new(),
            copied: 0,
            keys: 1,
            append_only: false,
            failover: None,
            shutting_down: None,
            writes: Writes::default(),
            sentinels: Vec::new(),
            other_subscribers: 0,
        }),
        probed: true,
        answering: true,
        ..NodeObservation::unknown(NOW)
    }
}
