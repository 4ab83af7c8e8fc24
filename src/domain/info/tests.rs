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
    facts.update(Info::parse(PROMOTED));
    assert_eq!(facts.role, Role::Primary { online_replicas: 0 });
    assert_eq!(
        facts.previous_replication_id.as_ref(),
        Some(&before.replication_id)
    );
    assert_eq!(facts.offset, 151);
    assert_eq!((facts.run_id, facts.keys), (before.run_id, before.keys));
    assert_eq!(facts.version, before.version);
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
        facts.update(info);
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
