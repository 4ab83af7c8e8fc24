use std::collections::BTreeMap;
use std::time::Duration;

use proptest::array::uniform4;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::domain::confirmation::{Finding, PollAnswer, PollState};
use crate::domain::drain::{Proxy, ProxyReport};
use crate::domain::facts::{
    Family, Link, MinReplicas, Mode, NodeFacts, Role, ServerFailover, Upstream, Version, Writes,
};
use crate::domain::failsafe::Failsafe;
use crate::domain::group::{GroupToken, OtherGroup};
use crate::domain::keepers::generations::CHANGES_NAMED;
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::liveness::DownReason;
use crate::domain::node::KeeperId;
use crate::domain::published::Published;
use crate::domain::published::{Deposed, Intent, Step};
use crate::domain::report::{KeeperReport, ProcessEnd, RelayReport};
use crate::domain::task::{Task, TaskCommand, TaskId, TaskOutcome};
use crate::domain::witness::{LastRead, SeenReplica, Witness};

fn addr() -> impl Strategy<Value = NodeAddr> {
    (
        prop_oneof![
            "[a-z0-9.-]{1,12}",
            Just("::1".to_owned()),
            Just("fe80::2".to_owned())
        ],
        1..u16::MAX,
    )
        .prop_map(|(host, port)| NodeAddr::new(host, port))
}

prop_compose! {
    fn intent()(
        epoch: u64,
        old in option::of(addr()),
        old_run_id in option::of("[0-9a-f]{8}"),
        switchover in option::of(addr()),
        candidate in option::of(addr()),
        step in prop_oneof![Just(Step::Withdrawn), Just(Step::Promoting)],
        reason: String,
    ) -> Intent {
        Intent { epoch: Epoch(epoch), old, old_run_id, switchover, candidate, step, reason }
    }
}

prop_compose! {
    fn published()(
        primary in option::of(addr()),
        replicas in btree_set(addr(), 0..4),
        epoch: u64,
        generation: u64,
        processes in (option::of("[0-9a-f]{8}"), btree_map(addr(), deposed(), 0..3)),
        known in btree_set(addr(), 0..4),
        lineage in vec("[0-9a-f]{8}", 0..3),
        has_data: bool,
        former in btree_map(addr(), (any::<u32>(), any::<u32>()), 0..3),
        addresses in btree_map("[a-z]{1,3}", btree_set(any::<std::net::IpAddr>(), 1..3), 0..3),
        (breaker, by, intent) in (any::<bool>(), option::of("[a-z]{1,8}".prop_map(KeeperId::new)), option::of(intent())),
    ) -> Published {
        Published {
            primary, replicas, epoch: Epoch(epoch), generation: Generation(generation), known, lineage,
            run_id: processes.0, deposed: processes.1,
            has_data, addresses, breaker, by, intent,
            former_min_replicas: former.into_iter().map(|(node, (to_write, max_lag))| {
                (node, MinReplicas { to_write, max_lag })
            }).collect(),
        }
    }
}

fn reason() -> impl Strategy<Value = DownReason> {
    use DownReason::{Busy, Closed, Impostor, Loading, Refused, Unanswered};
    prop::sample::select(vec![Refused, Closed, Unanswered, Loading, Busy, Impostor])
}

fn span() -> impl Strategy<Value = Duration> {
    (0..1_000_000_u64).prop_map(Duration::from_millis)
}

prop_compose! {
    fn upstream()(
        primary in addr(),
        link in prop_oneof![Just(Link::Up), option::of(span()).prop_map(|since| Link::Down { since })],
        syncing: bool,
        last_io in option::of(span()),
        priority: u32,
    ) -> Upstream {
        Upstream { primary, link, syncing, last_io, priority }
    }
}

prop_compose! {
    fn facts()(
        run_id in "[0-9a-f]{8}",
        version: (u16, u16, u16),
        mode in prop::sample::select(vec![Mode::Standalone, Mode::Cluster, Mode::Sentinel]),
        uptime in span(),
        loading: bool,
        role in prop_oneof![
            (0..9_usize).prop_map(|online_replicas| Role::Primary { online_replicas }),
            upstream().prop_map(Role::Replica),
        ],
        family in prop::sample::select(vec![Family::Redis, Family::Valkey]),
        append_only: bool,
        failover in prop::sample::select(vec![
            None, Some(ServerFailover::WaitingForSync), Some(ServerFailover::InProgress),
        ]),
        ids in ("[0-9a-f]{8}", option::of("[0-9a-f]{8}")),
        figures: (u64, u64, Option<u64>),
        sentinels in vec("[a-z ]{1,8}", 0..2),
        other_subscribers: usize,
        writes in (any::<bool>(), any::<bool>(), option::of(any::<usize>())),
    ) -> NodeFacts {
        let (major, minor, patch) = version;
        NodeFacts {
            run_id, version: Version { major, minor, patch }, family, append_only, mode, uptime, loading, role,
            replication_id: ids.0, previous_replication_id: ids.1, previous_offset: figures.2, offset: figures.0, attached: Vec::new(), copied: 0, keys: figures.1, sentinels,
            other_subscribers, failover, shutting_down: None,
            writes: Writes { misconf: writes.0, disk_failed: writes.1, replicas_in_touch: writes.2 },
        }
    }
}

prop_compose! {
    fn deposed()(run_id in option::of("[0-9a-f]{8}"), histories in vec("[0-9a-f]{8}", 0..3)) -> Deposed {
        Deposed { run_id, histories }
    }
}

prop_compose! {
    fn witness()(
        primary in option::of((addr(), "[0-9a-f]{8}", any::<u64>())),
        replicas in btree_map(addr(), ("[0-9a-f]{8}", any::<bool>()), 0..3),
    ) -> Witness {
        Witness {
            primary: primary.map(|(node, run_id, offset)| LastRead { node, run_id, offset }),
            replicas: replicas.into_iter().map(|(node, (run_id, linked))| {
                (node, SeenReplica { run_id, linked })
            }).collect(),
            ..Witness::default()
        }
    }
}

prop_compose! {
    fn proxy()(name: String, backend in "[a-z]{1,8}", address in option::of(any::<std::net::IpAddr>())) -> Proxy {
        Proxy { name, backend, address }
    }
}

prop_compose! {
    fn heard()(
        generation: u64, up in btree_set(proxy(), 0..3), down in btree_set(proxy(), 0..3), more: bool
    ) -> ProxyReport {
        ProxyReport { generation: Generation(generation), up, down, more }
    }
}

fn task_id() -> impl Strategy<Value = TaskId> {
    any::<(u64, u64)>().prop_map(|(epoch, number)| TaskId {
        epoch: Epoch(epoch),
        number,
    })
}

prop_compose! {
    fn task()(
        keeper in "[a-z0-9]{1,8}",
        latch: String,
        version: i32,
        node in addr(),
        run_id in option::of("[0-9a-f]{1,8}"),
        command in prop_oneof![
            Just(TaskCommand::Fence),
            Just(TaskCommand::Promote),
            addr().prop_map(TaskCommand::Follow),
        ],
    ) -> Task {
        Task { keeper: KeeperId::new(keeper), latch, version, node, run_id, command }
    }
}

fn outcome() -> impl Strategy<Value = TaskOutcome> {
    prop_oneof![
        vec(any::<String>(), 0..3).prop_map(TaskOutcome::Done),
        any::<String>().prop_map(TaskOutcome::NotDone),
        any::<String>().prop_map(TaskOutcome::Unknown),
    ]
}

prop_compose! {
    fn other_group()(
        group: u64, keeper: String, rest in addr(), place: String, cluster: String, primary in option::of(addr()),
    ) -> OtherGroup {
        OtherGroup {
            group: GroupToken::drawn(group),
            keeper: KeeperId::new(keeper),
            rest,
            place,
            cluster: ClusterName::new(cluster),
            primary,
        }
    }
}

proptest! {
    #[test]
    fn published_states_read_back(state in published()) {
        prop_assert_eq!(Published::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn reports_read_back(
        votes in btree_map(addr(), reason(), 0..4),
        [refused, unprobed, unpublished, unread] in uniform4(btree_set(addr(), 0..4)),
        absent: bool,
        ended in option::of((any::<u64>(), option::of(any::<String>()))),
        asks in btree_set(addr(), 0..4),
        (recent_proxies, overflowed) in (btree_set(proxy(), 0..3), any::<bool>()),
        drains: Option<u64>,
        heard in option::of(heard()),
        fresh in option::of((any::<u64>(), btree_map(addr(), facts(), 0..4))),
        tasks in btree_map(task_id(), task(), 0..3),
        outcomes in btree_map(task_id(), outcome(), 0..3),
        witness in option::of(witness()),
        (other_groups, overlaps) in (
            vec(other_group(), 0..3),
            btree_map(any::<String>().prop_map(ClusterName::new), btree_set(addr(), 0..3), 0..3),
        ),
    ) {
        let fresh = fresh.map(|(generation, nodes)| RelayReport { generation: Generation(generation), nodes });
        let drains = drains.map(Generation);
        let ended = ended.map(|(generation, closed)| ProcessEnd { generation: Generation(generation), closed });
        let report = KeeperReport {
            votes, refused, unprobed, unpublished, unread, absent, ended, asks, fresh, recent_proxies, overflowed, drains, heard, tasks, outcomes, witness,
            other_groups, overlaps,
        };
        prop_assert_eq!(KeeperReport::decode(&report.encode()), Ok(report));
    }

    #[test]
    fn keeper_records_read_back(
        rest: String, version: String, process: String, lease in 0..1_000_000_u64,
        failsafe in option::of((0..1_000_000_u64, 0..1_000_000_u64)), acknowledged: u64,
        polls in option::of(btree_map(
            any::<String>(),
            (any::<Option<u64>>(), btree_map(any::<String>(), (any::<u64>(), 0..5_usize), 0..3)),
            0..4,
        )),
    ) {
        let failsafe = failsafe.map(|(consent, limit)| Failsafe {
            consent: Duration::from_millis(consent),
            limit: Duration::from_millis(limit),
        });
        let lease = Duration::from_millis(lease);
        let findings = [Finding::Refused, Finding::Silent, Finding::Loading, Finding::Answers, Finding::Replaced, Finding::Unknown];
        let answer = |(asker, (number, finding)): (String, (u64, usize))| {
            let finding = findings[finding];
            (KeeperId::new(asker), PollAnswer { number, finding })
        };
        let told = |(asks, answers): (Option<u64>, BTreeMap<String, (u64, usize)>)| PollState {
            asks,
            answers: answers.into_iter().map(answer).collect(),
        };
        let polls = polls.map(|polls| {
            let polls = polls.into_iter();
            polls.map(|(cluster, it)| (ClusterName::new(cluster), told(it))).collect()
        });
        let record = KeeperRecord { rest, version, process, lease, failsafe, acknowledged: Generation(acknowledged), polls };
        prop_assert_eq!(KeeperRecord::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn hostile_data_is_an_error_never_a_panic(data: Vec<u8>) {
        let _ = Published::decode(&data);
        let _ = Generations::decode(&data);
        let _ = Epoch::decode(&data);
    }

    #[test]
    fn generations_name_the_last_change_of_every_cluster(
        raises in vec(0..5_u8, 0..300),
        applied in 0..300_u64,
    ) {
        let mut generations = Generations::default();
        let mut model: BTreeMap<ClusterName, Generation> = BTreeMap::new();
        for cluster in raises {
            let cluster = ClusterName::new(cluster.to_string());
            generations = generations.raised(&cluster, Generation(0));
            model.insert(cluster, generations.generation);
        }
        prop_assert_eq!(&Generations::decode(&generations.encode()), &Ok(generations.clone()));
        model.retain(|_, generation| generation.0 > applied);
        match generations.since(Generation(applied)) {
            Some(named) => prop_assert_eq!(named, model.iter().map(|(name, at)| (name, *at)).collect()),
            None => prop_assert!(generations.generation.0 - applied > CHANGES_NAMED as u64),
        }
    }
}

#[test]
fn clients_find_the_names_they_know() {
    let state = Published {
        primary: Some(NodeAddr::new("10.0.0.1", 6379)),
        replicas: [NodeAddr::new("10.0.0.2", 6379)].into(),
        epoch: Epoch(3),
        generation: Generation(7),
        ..Published::default()
    };
    let json: serde_json::Value = serde_json::from_slice(&state.encode()).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["master"]["host"], "10.0.0.1");
    assert_eq!(json["master"]["port"], 6379);
    assert_eq!(json["slaves"][0]["host"], "10.0.0.2");
    assert_eq!(json["epoch"], 3);
    assert_eq!(json["generation"], 7);
    assert!(json["failover"].is_null());
}

#[test]
fn a_state_with_the_breaker_tripped_reads_back_and_one_without_is_written_as_before() {
    let tripped = Published {
        breaker: true,
        ..Published::default()
    };
    assert_eq!(Published::decode(&tripped.encode()), Ok(tripped));
    let text = String::from_utf8(Published::default().encode()).unwrap();
    assert!(!text.contains("breaker"), "{text}");
}

#[test]
fn a_state_without_former_settings_reads_back_and_is_written_as_before() {
    let older = br#"{"format":1,"master":null,"slaves":[],"epoch":1,"generation":2}"#;
    let state = Published::decode(older).unwrap();
    assert_eq!(state.former_min_replicas, [].into());
    let json: serde_json::Value = serde_json::from_slice(&state.encode()).unwrap();
    assert!(json.get("former-min-replicas").is_none(), "{json}");
}

#[test]
fn former_builds_read_a_vote_against_an_impostor_as_one_for_a_closed_connection() {
    let votes = [(NodeAddr::new("a", 1), DownReason::Impostor)].into();
    let report = KeeperReport {
        votes,
        ..KeeperReport::default()
    };
    let written: serde_json::Value = serde_json::from_slice(&report.encode()).unwrap();
    assert_eq!(written["down"][0]["reason"], "closed", "{written}");
    let closed = KeeperReport {
        votes: [(NodeAddr::new("a", 1), DownReason::Closed)].into(),
        ..report
    };
    assert!(
        !String::from_utf8(closed.encode())
            .unwrap()
            .contains("impostor")
    );
}

#[test]
fn a_newer_format_is_refused_and_unknown_fields_are_not() {
    let newer = br#"{"format":2,"generation":1,"changed":[]}"#;
    assert_eq!(Generations::decode(newer), Err(LayoutError::Newer(2)));
    let extended = br#"{"format":1,"generation":1,"changed":["a"],"colour":"red"}"#;
    assert!(Generations::decode(extended).is_ok());
}

#[test]
fn a_raise_goes_past_what_a_cluster_has_been_published_with() {
    let cluster = ClusterName::new("a");
    let raised = Generations::default().raised(&cluster, Generation(41));
    assert_eq!(raised.generation, Generation(42));
    assert_eq!(
        raised.since(Generation(41)),
        Some([(&cluster, Generation(42))].into())
    );
    assert_eq!(raised.since(Generation(40)), None);
}
