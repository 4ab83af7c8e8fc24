//! Scenario 28: all problems at once, each with its path, its line where known, its value, and the correct form.

use std::path::Path;

use redis_keeper::config::{Config, Origin};

use super::{config, document, faults, parse, problems};

#[test]
fn every_problem_is_told_at_once_with_its_line_value_and_remedy() {
    let text = r#"{
  "keeper-id": "a/b",
  "rest-prot": 46379,
  "zk-quorum": ["zk1:2181", "zk2:port", 7],
  "zk-prefix": "rediskeeper/",
  "tick-seconds": -1,
  "failover-tick-seconds": NaN,
  "seconds-mark-down": "5",
  "lease-seconds": 1.5,
  "settle-unrelated": "no",
  "chained-replicas": "ignore",
  "redis": {"password": 12345, "user": "keeper"},
  "clusters": [
    {"name": "one", "nodes": [
      {"host": "10.0.0.1", "port": 0},
      {"host": "10.0.0.1", "port": "6379"},
      {"host": "10.0.0.256", "port": 70000},
      {"host": "::1", "port": 6379},
    ]},
    {"name": "one", "nodes": [
      {"host": "[0:0::1]", "port": 6379, "priorty": 1},
      {"hots": "b", "port": 1},
    ]},
    {"name": "..", "nodes": []},
    "four",
  ],
  "clusters-extra": null,
}"#;
    let expected = "\
26 problems in the configuration
  keeper.conf:2: keeper-id = \"a/b\": contains '/', which no path can; write a name of letters, digits, '-', '_' and '.'
  keeper.conf:3: rest-prot: is not a known key; did you mean rest-port?
  keeper.conf:4: zk-quorum[2] = 7: is a number; write text in quotes
  keeper.conf:4: zk-quorum[1] = \"zk2:port\": has no valid port; write host:port, the port from 1 to 65535
  keeper.conf:5: zk-prefix = \"rediskeeper/\": does not begin with a slash; write \"/rediskeeper\"
  keeper.conf:6: tick-seconds = -1: is not a positive time; write seconds from 0.001 to 86400, fractions allowed
  keeper.conf:7: failover-tick-seconds = NaN: is not a number; write seconds from 0.001 to 86400, fractions allowed
  keeper.conf:8: seconds-mark-down = \"5\": is text; write seconds from 0.001 to 86400, fractions allowed
  keeper.conf:9: lease-seconds = 1.5: lease-seconds (1.5) is longer than half of zk-session-timeout-seconds (2); lower lease-seconds to 1, or raise the session timeout to 3
  keeper.conf:10: settle-unrelated = \"no\": is text; write true or false
  keeper.conf:11: chained-replicas = \"ignore\": is not one of the choices; write \"accept\" or \"correct\"
  keeper.conf:12: redis.password: is a number; write text in quotes, or a list of two while the password is changed: [\"…\", \"…\"]
  keeper.conf:12: redis.user: is not a known key; did you mean username?
  keeper.conf:15: clusters[0].nodes[0].port = 0: is not a port; write a whole number from 1 to 65535
  keeper.conf:16: clusters[0].nodes[1].port = \"6379\": is text; write a whole number from 1 to 65535
  keeper.conf:17: clusters[0].nodes[2].port = 70000: is not a port; write a whole number from 1 to 65535
  keeper.conf:17: clusters[0].nodes[2].host = \"10.0.0.256\": is not an IPv4 address; write four numbers from 0 to 255: 192.168.1.40
  keeper.conf:20: clusters[1].name = \"one\": is the name of clusters[0] too; give each cluster a name of its own
  keeper.conf:21: clusters[1].nodes[0].priorty: is not a known key; did you mean priority?
  keeper.conf:21: clusters[1].nodes[0]: [0:0::1]:6379 is clusters[0].nodes[3] too; list each node once, in one cluster
  keeper.conf:22: clusters[1].nodes[1].host: is missing; write text in quotes
  keeper.conf:22: clusters[1].nodes[1].hots: is not a known key; did you mean host?
  keeper.conf:24: clusters[2].nodes: is empty; list at least one
  keeper.conf:24: clusters[2].name = \"..\": is a relative path; write a name of letters, digits, '-', '_' and '.'
  keeper.conf:25: clusters[3]: is text; write an object: {…}
  keeper.conf:27: clusters-extra: is not a known key; did you mean clusters?";
    let told = parse(text, &[]).unwrap_err().to_string();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        expected.lines().collect::<Vec<_>>()
    );
}

#[test]
fn a_text_that_is_not_json5_is_told_with_its_line() {
    for (text, line) in [("{\n\n  a: ,\n}", 3), ("", 1), ("[1]", 1), ("{\n 'a", 1)] {
        let problems = problems(text, &[]);
        assert_eq!(problems.len(), 1);
        assert_eq!(
            problems[0].origin,
            Origin::File { line: Some(line) },
            "{text}"
        );
    }
    assert_eq!(
        faults(&"[".repeat(100_000), &[]),
        [": is nested too deeply"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Path::new("/nowhere/keeper.conf"), std::iter::empty()).unwrap_err();
    let expected = "cannot read the configuration file /nowhere/keeper.conf: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn settings_that_are_missing_altogether_are_named() {
    assert_eq!(
        faults("{}", &[]),
        ["clusters: is missing", "zk-quorum: is missing"]
    );
    assert_eq!(
        faults("{coordination: 'embedded', clusters: null}", &[]),
        ["clusters: is missing"]
    );
}

#[test]
fn a_key_written_twice_is_a_problem() {
    assert_eq!(
        faults(&document("'rest-port': 1,\n 'rest-port': 2,", ""), &[]),
        ["rest-port: is written twice"]
    );
}

#[test]
fn a_mark_down_that_leaves_no_room_for_a_probe_is_refused() {
    let text = document("'seconds-mark-down': 1,", "");
    let expected = "seconds-mark-down: seconds-mark-down (1) is shorter than tick-seconds (1) + probe-timeout-seconds (0.25)";
    assert!(
        faults(&text, &[])[0].starts_with(expected),
        "{:?}",
        faults(&text, &[])
    );
    let text = document("'seconds-mark-down': 1,", "'tick-seconds': 0.5,");
    assert_eq!(config(&text, &[]).clusters.len(), 1);
    let text = document("", "'tick-seconds': 4.5,");
    assert!(faults(&text, &[])[0].starts_with("clusters[0].tick-seconds: "));
}

/// A log filter would take the word for the name of a module, and the keeper would log nothing.
#[test]
fn a_log_level_that_is_no_level_is_a_problem() {
    for level in ["warning", "verbose", "info,inf"] {
        let text = document(&format!("'log-level': '{level}',"), "");
        let word = level.rsplit(',').next().unwrap_or_default();
        let expected = format!("log-level: `{word}` is not a level");
        assert_eq!(faults(&text, &[]), [expected]);
    }
    for level in [
        "WARN",
        "info,redis_keeper::actors=debug",
        "off",
        "warn,my_module[span]=trace",
    ] {
        let text = document(&format!("'log-level': '{level}',"), "");
        assert_eq!(config(&text, &[]).log.level, level);
    }
}

#[test]
fn leases_must_fit_each_other_and_the_session() {
    for (top, path) in [
        ("'lease-seconds': 1.01,", "lease-seconds"),
        (
            "'zk-session-timeout-seconds': 1.5,",
            "zk-session-timeout-seconds",
        ),
        ("'heartbeat-seconds': 0.8,", "heartbeat-seconds"),
        ("'read-lease-seconds': 0.5,", "read-lease-seconds"),
    ] {
        let problems = problems(&document(top, ""), &[]);
        assert_eq!((problems.len(), problems[0].path.as_str()), (1, path));
    }
}

#[test]
fn less_patience_with_a_busy_primary_than_with_a_silent_one_is_a_warning() {
    let (_, warnings) = parse(
        &document("'busy-seconds': 30,", "'busy-seconds': 4.5,"),
        &[],
    )
    .unwrap();
    let told: Vec<_> = warnings.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(told, ["clusters[0].busy-seconds"]);
    let text = "busy-seconds (4.5) is shorter than seconds-mark-down (5)";
    assert!(warnings[0].text.contains(text), "{}", warnings[0]);
    for well in ["'busy-seconds': 5,", "'busy-seconds': 0,"] {
        let (_, warnings) = parse(&document("", well), &[]).unwrap();
        assert_eq!(warnings, [], "{well}");
    }
    let problems = parse(&document("'busy-seconds': -1,", ""), &[]).unwrap_err();
    let text = problems.to_string();
    assert!(
        text.contains("busy-seconds") && text.contains("write 0, or seconds from"),
        "{text}"
    );
}

#[test]
fn a_mark_down_that_a_session_outlasts_is_a_warning_that_says_what_it_costs() {
    let (_, warnings) = parse(
        &document("'seconds-mark-down': 1, 'tick-seconds': 0.5,", ""),
        &[],
    )
    .unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        (warnings[0].path.as_str(), &warnings[0].origin),
        ("seconds-mark-down", &Origin::File { line: Some(2) })
    );
    assert!(
        warnings[0].text.contains("may take 2 s and not 1 s"),
        "{}",
        warnings[0]
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let secrets = "'zk-auth': 'digest:user:hunter2', redis: {password: 'hunter2'},";
    let cluster = "redis: {password: 'hunter2'},";
    let variables = [("REDIS_KEEPER_CLUSTERS__C_1__REDIS_PASSWORD", "hunter2")];
    let config = config(&document(secrets, cluster), &variables);
    assert_eq!(config.clusters[0].redis.passwords[0].expose(), "hunter2");
    assert!(!format!("{config:?} {}", config.effective()).contains("hunter2"));
    let text = document(
        "'zk-auth': 'hunter2', redis: 'hunter2', pasword: 'hunter2', 'zk-auth-file': ['hunter2'],",
        "redis: {pass: 'hunter2'},",
    );
    let variables = [
        ("REDIS_KEEPER_PASSWORD", "hunter2"),
        ("REDIS_KEEPER_CLUSTERS__C_1__NODES", "hunter2"),
    ];
    let error = parse(&text, &variables).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    assert!(error.to_string().starts_with("7 problems"), "{error}");
}

#[test]
fn a_word_that_is_no_criterion_or_comes_twice_is_told_with_the_right_ones() {
    let text = document("", "'election-order': ['offset', 'age', 'offset'],");
    let told = |order: &str| {
        let text = text.replace("['offset', 'age', 'offset']", order);
        let problems = problems(&text, &[]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = &problems[0];
        let value = problem.value.clone();
        (problem.path.clone(), value, problem.to_string())
    };
    let (path, value, words) = told("['offset', 'age']");
    assert_eq!(path, "clusters[0].election-order[1]");
    assert_eq!(value.as_deref(), Some("'age'"));
    assert!(
        words.contains("write \"offset\" or \"priority\" or \"uptime\""),
        "{words}"
    );
    let (path, _, words) = told("['offset', 'uptime', 'offset']");
    assert_eq!(path, "clusters[0].election-order[2]");
    assert!(words.contains("is listed twice"), "{words}");
    let (_, _, words) = told("[]");
    assert!(words.contains("list at least one"), "{words}");
}
