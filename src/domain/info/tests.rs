use crate::domain::node::Moment;
use crate::domain::observation::NodeObservation;
use proptest::prelude::*;

use super::*;

const PRIMARY: &str = include_str!("samples/redis-7.0-primary.txt");
const REPLICA: &str = include_str!("samples/redis-7.0-replica.txt");
const LOADING: &str = include_str!("samples/redis-7.0-loading.txt");
const LINK_DOWN: &str = include_str!("samples/redis-7.0-replica-link-down.txt");
const PROMOTED: &str = include_str!("samples/redis-7.0-promoted.txt");
const REDIS_5: &str = include_str!("samples/redis-5.0-replica.txt");
const REDIS_8: &str = include_str!("samples/redis-8.0-primary.txt");
const VALKEY: &str = include_str!("samples/valkey-8.1-replica.txt");
const SAMPLES: [&str; 8] = [
    PRIMARY, REPLICA, LOADING, LINK_DOWN, PROMOTED, REDIS_5, REDIS_8, VALKEY,
];

const SECOND: Duration = Duration::from_secs(1);

/// Texts that are no figure, no flag and no id.
const UNREADABLE: [&str; 9] = [
    "",
    "x",
    "-1",
    "-3600",
    "1e9",
    "NaN",
    "0x10",
    "1,2",
    "99999999999999999999999999",
];

fn facts(text: &str) -> NodeFacts {
    NodeFacts::of(&Info::parse(text)).expect("a full reply")
}

#[test]
fn a_primary_is_read_whole() {
    let facts = facts(PRIMARY);
    assert_eq!(facts.version.to_string(), "7.0.15");
    assert_eq!(facts.mode, Mode::Standalone);
    assert_eq!(facts.role, Role::Primary { online_replicas: 1 });
    assert_eq!(
        facts.replication_id,
        "c700a2ce5bed02b6f200c26700829ca44e8b0a34"
    );
    assert_eq!(facts.previous_replication_id, None);
    assert_eq!(facts.keys, 2, "summed over databases 0 and 3");
    assert_eq!(facts.run_id.len(), 40);
    assert!(!facts.loading);
}

#[test]
fn a_primary_tells_how_far_each_replica_has_come() {
    let facts = facts(PRIMARY);
    assert_eq!(facts.attached.len(), 1);
    let lag = facts.attached[0].lag(&facts);
    assert!(
        lag.bytes <= facts.offset && lag.seconds.is_some(),
        "{lag:?}"
    );
}

#[test]
fn a_server_that_is_shutting_down_says_so_until_that_is_called_off() {
    let ending = PRIMARY.replacen("run_id:", "shutdown_in_milliseconds:9848\r\nrun_id:", 1);
    let mut facts = facts(&ending);
    assert_eq!(facts.shutting_down, Some(Duration::from_millis(9_848)));
    let replication = Info::parse("# Replication\r\nrole:master\r\n");
    facts.update(replication, SECOND);
    assert!(
        facts.shutting_down.is_some(),
        "another section says nothing of it"
    );
    facts.update(Info::parse(PRIMARY), SECOND);
    assert_eq!(facts.shutting_down, None);
    let garbled = Info::parse("# Server\r\nshutdown_in_milliseconds:x\r\n");
    assert_eq!(garbled.shutting_down, Some(Some(Duration::ZERO)));
}

#[test]
fn a_replica_tells_what_it_follows() {
    let facts = facts(REPLICA);
    assert_eq!(facts.offset, 114);
    assert_eq!(
        facts.upstream(),
        Some(&Upstream {
            primary: NodeAddr::new("127.0.0.1", 7391),
            link: Link::Up,
            syncing: false,
            last_io: Some(Duration::ZERO),
            priority: 100,
        })
    );
}

#[test]
fn a_broken_link_tells_since_when() {
    let info = Info::parse(LINK_DOWN);
    let Some(Role::Replica(upstream)) = info.role else {
        panic!("{info:?}")
    };
    assert_eq!(upstream.last_io, None);
    assert_eq!(
        upstream.link,
        Link::Down {
            since: Some(Duration::from_secs(1))
        }
    );
}

#[test]
fn a_loading_server_says_so() {
    assert!(facts(LOADING).loading);
}

#[test]
fn redis_5_in_its_first_synchronisation_over_ipv6_is_read() {
    let facts = facts(REDIS_5);
    let upstream = facts.upstream().expect("a replica");
    assert_eq!(upstream.primary, NodeAddr::new("fd00::1", 6380));
    assert!(upstream.syncing);
    assert_eq!(upstream.priority, 0);
    assert_eq!(facts.keys, 0);
}

#[test]
fn redis_8_counts_only_replicas_that_are_online() {
    let facts = facts(REDIS_8);
    assert_eq!(facts.role, Role::Primary { online_replicas: 2 });
    assert_eq!(facts.keys, 5);
}

#[test]
fn valkey_tells_its_own_version_and_a_host_name() {
    let info = Info::parse(VALKEY);
    assert!(info.valkey);
    assert_eq!(info.config_file.as_deref(), Some("/etc/valkey/valkey.conf"));
    let facts = facts(VALKEY);
    assert_eq!(facts.version.to_string(), "8.1.1");
    assert_eq!(
        facts.upstream().map(|upstream| upstream.primary.host()),
        Some("valkey-0.valkey.default.svc.cluster.local")
    );
    assert_eq!(facts.offset, 123_456_789_012);
}

#[test]
fn a_light_reply_alone_gives_no_facts() {
    assert_eq!(NodeFacts::of(&Info::parse(LINK_DOWN)), None);
}

#[test]
fn a_light_reply_updates_replication_and_leaves_the_rest() {
    let mut facts = facts(REPLICA);
    let before = facts.clone();
    facts.update(Info::parse(PROMOTED), SECOND);
    assert_eq!(facts.role, Role::Primary { online_replicas: 0 });
    assert_eq!(
        facts.previous_replication_id.as_ref(),
        Some(&before.replication_id)
    );
    assert_eq!(facts.offset, 151);
    assert_eq!((facts.run_id, facts.keys), (before.run_id, before.keys));
    assert_eq!(facts.version, before.version);
    assert_eq!(facts.uptime, before.uptime + SECOND);
}

/// A replica with this uptime, whose link has been down for `down_since` seconds.
fn unlinked(uptime: &str, down_since: &str) -> Info {
    Info::parse(&format!(
        "run_id:r\nuptime_in_seconds:{uptime}\nrole:slave\nmaster_host:a\nmaster_port:1\nmaster_link_status:down\n\
         master_link_down_since_seconds:{down_since}\n"
    ))
}

fn down_since(facts: &NodeFacts) -> Option<u64> {
    match facts.upstream().expect("a replica").link {
        Link::Up => panic!("the link is down"),
        Link::Down { since } => since.map(|since| since.as_secs()),
    }
}

#[test]
fn a_link_that_never_was_up_is_told_apart_from_one_that_broke_whatever_the_version() {
    let read = |uptime, since| down_since(&NodeFacts::of(&unlinked(uptime, since)).expect("facts"));
    assert_eq!(read("100", "7"), Some(7));
    assert_eq!(read("100", "-1"), None, "from 6.2 on");
    assert_eq!(read("100", "1764175319"), None, "before 6.2: since 1970");
    assert_eq!(
        read("100", "5000"),
        None,
        "likewise, on a host that has no clock"
    );
    assert_eq!(read("100", "101"), Some(101), "each is rounded by itself");
    assert_eq!(read("100", "-3600"), None, "the clock was set back");
    assert_eq!(read("-3500", "7"), Some(7), "the uptime cannot be read");
}

#[test]
fn a_link_that_was_never_up_is_not_said_to_have_been_by_a_light_reply() {
    let mut facts = NodeFacts::of(&unlinked("100", "5000")).expect("facts");
    let light = |since| Info {
        run_id: None,
        uptime: None,
        ..unlinked("", since)
    };
    facts.update(light("5001"), SECOND);
    assert_eq!(down_since(&facts), None);
    facts.update(light("1"), SECOND);
    assert_eq!(down_since(&facts), Some(1), "it came up and broke");
    facts.update(light("9"), 8 * SECOND);
    assert_eq!(down_since(&facts), Some(9));
}

#[test]
fn a_process_ages_though_its_clock_is_set_back_or_its_uptime_cannot_be_read() {
    let told = |uptime| unlinked(uptime, "7");
    let mut facts = NodeFacts::of(&told("-3500")).expect("facts");
    assert_eq!(facts.uptime, Duration::ZERO);
    facts.update(told("-3490"), 10 * SECOND);
    assert_eq!(facts.uptime, 10 * SECOND, "since it was seen first");
    facts.update(told("100"), SECOND);
    assert_eq!(facts.uptime, 100 * SECOND);
    facts.update(told("5"), SECOND);
    assert_eq!(facts.uptime, 101 * SECOND);
}

#[test]
fn an_offset_that_cannot_be_read_is_none_of_another_history() {
    let mut facts = facts(REPLICA);
    let reply = |id: char| Info {
        replication_id: Some(id.to_string().repeat(40)),
        ..Info::default()
    };
    facts.update(reply('5'), SECOND);
    assert_eq!(facts.offset, 0);
    facts.offset = 7;
    facts.update(reply('5'), SECOND);
    assert_eq!(facts.offset, 7, "at least");
}

#[test]
fn replication_ids_that_cannot_be_read_are_no_common_history() {
    let unread = |name: &str| {
        let reply = format!("run_id:{name}\nrole:master\nmaster_replid:?\n");
        NodeFacts::of(&Info::parse(&reply)).expect("facts")
    };
    assert!(!unread("a").shares_history(&unread("b")));
}

#[test]
fn half_a_version_is_a_version() {
    let read = |text| version(text).map(|v| (v.major, v.minor, v.patch));
    assert_eq!(read("8.0"), Some((8, 0, 0)));
    assert_eq!(read("8.1.0-rc1"), Some((8, 1, 0)));
    assert_eq!(read("255.255.255"), Some((255, 255, 255)));
    assert_eq!(read("unstable"), None);
    assert_eq!(read(""), None);
}

/// `sample` with `text` as the value in line `at`, and the name of that field.
fn garbled(sample: &str, at: usize, text: &str) -> Option<(String, String)> {
    let mut lines: Vec<&str> = sample.lines().collect();
    let (field, _) = lines[at].split_once(':')?;
    let line = format!("{field}:{text}");
    lines[at] = &line;
    Some((lines.join("\r\n"), field.to_owned()))
}

#[test]
fn a_field_that_cannot_be_read_errs_to_the_safe_side_and_costs_no_other() {
    for sample in SAMPLES {
        let Some(before) = NodeFacts::of(&Info::parse(sample)) else {
            continue;
        };
        for (at, text) in (0..sample.lines().count()).flat_map(|at| UNREADABLE.map(|it| (at, it))) {
            let Some((reply, field)) = garbled(sample, at, text) else {
                continue;
            };
            let after = NodeFacts::of(&Info::parse(&reply));
            if field == "role" || (field == "run_id" && text.is_empty()) {
                assert_eq!(after, None, "nobody knows what this is");
                continue;
            }
            let after = after.unwrap_or_else(|| panic!("{field}:{text} costs all facts"));
            let expected = garbled_facts(before.clone(), &after, &field, text);
            assert_eq!(after, expected, "{field}:{text}");
        }
    }
}

/// The facts that remain when `field` holds `text`. A value that may be read in several ways is taken from `after`.
fn garbled_facts(mut facts: NodeFacts, after: &NodeFacts, field: &str, text: &str) -> NodeFacts {
    match field {
        "run_id" => text.clone_into(&mut facts.run_id),
        "redis_version" | "valkey_version" => facts.version = after.version,
        "uptime_in_seconds" => facts.uptime = Duration::ZERO,
        "loading" => facts.loading = false,
        "master_replid" => facts.replication_id = String::new(),
        "master_replid2" => facts.previous_replication_id = None,
        "second_repl_offset" => facts.previous_offset = None,
        "aof_enabled" => facts.append_only = false,
        "master_repl_offset" | "slave_repl_offset" => {
            assert!([0, facts.offset].contains(&after.offset));
            facts.offset = after.offset;
        }
        _ if is_numbered(field, "db") => {
            assert!((1..=facts.keys).contains(&after.keys));
            facts.keys = after.keys;
        }
        _ => {}
    }
    if is_attached_replica(field) {
        facts.attached.retain(|it| after.attached.contains(it));
        assert!(after.attached.len() <= facts.attached.len());
        assert!([after.copied, after.copied + 1].contains(&facts.copied));
        facts.copied = after.copied;
    }
    match &mut facts.role {
        Role::Primary { online_replicas } if is_attached_replica(field) => {
            let Role::Primary {
                online_replicas: left,
            } = after.role
            else {
                panic!("a primary");
            };
            assert!([left, left + 1].contains(online_replicas));
            *online_replicas = left;
        }
        Role::Primary { .. } => {}
        Role::Replica(upstream) => match field {
            "master_host" => {
                let host = Some(text).filter(|host| !host.is_empty());
                let port = upstream.primary.port();
                upstream.primary = NodeAddr::new(host.unwrap_or(UNKNOWN_HOST), port);
            }
            "master_port" => upstream.primary = NodeAddr::new(upstream.primary.host(), 0),
            "master_link_status" => {
                (upstream.link, upstream.last_io) = (Link::Down { since: None }, None);
            }
            "master_link_down_since_seconds" if upstream.link != Link::Up => {
                upstream.link = Link::Down { since: None };
            }
            "master_last_io_seconds_ago" if upstream.link == Link::Up => upstream.last_io = None,
            "master_sync_in_progress" => upstream.syncing = true,
            "slave_priority" => upstream.priority = 0,
            _ => {}
        },
    }
    facts
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let info = Info::parse(&text);
        let _ = NodeFacts::of(&info);
    }

    #[test]
    fn a_mutilated_reply_is_read_without_a_panic(
        sample in proptest::sample::select(&SAMPLES[..]),
        cut in any::<proptest::sample::Index>(),
        replaced in any::<proptest::sample::Index>(),
        with in any::<char>(),
    ) {
        let mut chars: Vec<char> = sample.chars().collect();
        let at = replaced.index(chars.len());
        chars[at] = with;
        chars.truncate(cut.index(chars.len() + 1));
        let info = Info::parse(&chars.into_iter().collect::<String>());
        let mut facts = facts(REPLICA);
        facts.update(info, SECOND);
    }

    #[test]
    fn the_order_of_lines_is_irrelevant(
        sample in proptest::sample::select(&SAMPLES[..]),
        seed in any::<u64>(),
    ) {
        let mut lines: Vec<&str> = sample.lines().collect();
        let count = lines.len();
        for at in 0..count {
            let hash = seed.wrapping_mul(at as u64 + 1).rotate_left(17);
            lines.swap(at, usize::try_from(hash % count as u64).unwrap());
        }
        prop_assert_eq!(Info::parse(&lines.join("\r\n")), Info::parse(sample));
    }
}

#[test]
fn a_sentinel_tells_no_role_and_which_process_it_is() {
    let text = "# Server\nredis_version:7.0.15\nredis_mode:sentinel\nrun_id:ab\n# Sentinel\nsentinel_masters:1\n";
    let facts = NodeFacts::of(&Info::parse(text)).expect("facts");
    assert_eq!((facts.run_id.as_str(), facts.mode), ("ab", Mode::Sentinel));
    let plain = text.replace("sentinel\nrun", "standalone\nrun");
    assert_eq!(NodeFacts::of(&Info::parse(&plain)), None);
}

#[test]
fn a_failover_by_the_servers_own_command_is_read_and_so_is_its_end() {
    let state = |text: &str| {
        let told = PRIMARY.replace("master_failover_state:no-failover", text);
        Info::parse(&told)
    };
    let waiting = state("master_failover_state:waiting-for-sync");
    let mut known = NodeFacts::of(&waiting).expect("facts");
    assert_eq!(known.failover, Some(ServerFailover::WaitingForSync));
    let before = known.clone();
    known.update(
        state("master_failover_state:failover-in-progress"),
        Duration::ZERO,
    );
    assert_eq!(known.failover, Some(ServerFailover::InProgress));
    known.update(state(""), Duration::ZERO);
    assert_eq!(known.failover, Some(ServerFailover::InProgress), "not told");
    known.update(state("master_failover_state:no-failover"), Duration::ZERO);
    assert_eq!(known.failover, None);
    assert_eq!(facts(PRIMARY).failover, None);
    assert_eq!(state("").failover, None, "before 6.2");
    let observation = |facts| NodeObservation {
        facts: Some(facts),
        ..NodeObservation::unknown(Moment::default())
    };
    assert!(
        !observation(before).same_matter(&observation(known)),
        "it is told"
    );
}
