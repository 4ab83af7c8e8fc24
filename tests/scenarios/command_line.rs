//! The program on the command line: exit codes, and its messages about a configuration.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A configuration with eight faults, one a line.
const WRONG: &str = "{
  'zk-quorum': ['zk:2181', 'zk:99999'],
  'rest-port': 0,
  'tick-secondz': 1,
  'seconds-mark-down': 0.1,
  'clusters': [
    {'name': 'a', 'nodes': [{'host': '10.0.0.1', 'port': 6379}]},
    {'name': 'a', 'nodes': [{'host': '10.0.0.2', 'port': 6379}]},
    {'name': 'b', 'nodes': [{'host': '10.0.0.1', 'port': 6379}]},
    {'name': 'c', 'nodes': []},
    {'name': 'd', 'nodes': [{'host': '10.0.0.3', 'port': 'many'}]},
  ],
}";

fn redis_keeper(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_redis-keeper"))
        .args(arguments)
        .output()
        .expect("the built program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn written(dir: &TempDir, config: &str) -> String {
    let file = dir.path().join("keeper.conf");
    std::fs::write(&file, config).expect("keeper.conf");
    file.display().to_string()
}

#[test]
fn a_bad_configuration_exits_78_with_line_value_and_remedy_of_every_problem() {
    let dir = TempDir::new().expect("a directory");
    let file = written(&dir, WRONG);
    // Each message has the line, the path, the wrong value, and a word of the remedy.
    let problems = [
        (2, "zk-quorum[1]", "zk:99999", "host:port"),
        (3, "rest-port", "0", "65535"),
        (4, "tick-secondz", "", "did you mean tick-seconds?"),
        (5, "seconds-mark-down", "0.1", "raise"),
        (8, "clusters[1].name", "'a'", "of its own"),
        (9, "clusters[2].nodes[0]", "10.0.0.1:6379", "once"),
        (10, "clusters[3].nodes", "", "at least one"),
        (11, "clusters[4].nodes[0].port", "many", "65535"),
    ];
    for arguments in [&["run", &file][..], &[&file], &["check", &file]] {
        let output = redis_keeper(arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "problems go to standard error");
        let told = text(&output.stderr);
        for (line, path, value, remedy) in problems {
            let place = format!("{file}:{line}:");
            let problem = told
                .lines()
                .map(str::trim_start)
                .find(|it| it.starts_with(&place) && it.contains(path))
                .unwrap_or_else(|| panic!("nothing on line {line} about {path} in:\n{told}"));
            assert!(problem.contains(value), "{value:?} is not in {problem:?}");
            assert!(problem.contains(remedy), "{remedy:?} is not in {problem:?}");
        }
    }
}

#[test]
fn a_file_that_is_missing_or_no_json5_exits_78_and_says_where() {
    let dir = TempDir::new().expect("a directory");
    let missing = redis_keeper(&["/nowhere/keeper.conf"]);
    assert_eq!(missing.status.code(), Some(78));
    assert!(
        text(&missing.stderr).contains("/nowhere/keeper.conf"),
        "{missing:?}"
    );
    let file = written(&dir, "{\n  'rest-port': 1,\n  'clusters': [,]\n}");
    let broken = redis_keeper(&[&file]);
    assert_eq!(broken.status.code(), Some(78));
    let told = text(&broken.stderr);
    assert!(told.contains(&format!("{file}:3")), "{told}");
}

#[test]
fn wrong_arguments_exit_64_and_show_the_usage() {
    for arguments in [&["--nonsense"][..], &["run"], &["check"], &["a", "b"]] {
        let output = redis_keeper(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains("Usage:"), "{output:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        let output = redis_keeper(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(text(&output.stdout).contains("redis-keeper"), "{output:?}");
    }
}

#[test]
fn check_prints_the_effective_configuration_which_means_the_same_when_read_again() {
    let dir = TempDir::new().expect("a directory");
    for sample in ["tests/compat/keeper.conf", "conf/keeper.conf"] {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join(sample);
        let first = redis_keeper(&["check", &sample.display().to_string()]);
        assert_eq!(first.status.code(), Some(0), "{first:?}");
        let effective: Value = serde_json::from_slice(&first.stdout).expect("JSON");
        assert_eq!(effective["rest-port"], 46379, "what the file says");
        assert_eq!(effective["lease-seconds"], 0.8, "what it does not say");
        let file = written(&dir, &text(&first.stdout));
        let second = redis_keeper(&["check", &file]);
        assert_eq!(second.status.code(), Some(0), "{second:?}");
        assert_eq!(text(&second.stdout), text(&first.stdout));
        let costs = text(&second.stderr);
        let figures = ["takes writes for 0.8 at most", "seconds-mark-down 5"];
        for figure in figures {
            assert!(costs.contains(figure), "{figure:?} is missing in:\n{costs}");
        }
    }
}

#[test]
fn the_environment_overrides_the_file_and_is_named_when_it_is_wrong() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/keeper.conf");
    let check = |value: &str| {
        Command::new(env!("CARGO_BIN_EXE_redis-keeper"))
            .arg("check")
            .arg(&sample)
            .env("REDIS_KEEPER_REST_PORT", value)
            .output()
            .expect("the built program")
    };
    let right = check("1234");
    let effective: Value = serde_json::from_slice(&right.stdout).expect("JSON");
    assert_eq!(effective["rest-port"], 1234);
    let wrong = check("many");
    assert_eq!(wrong.status.code(), Some(78));
    assert!(
        text(&wrong.stderr).contains("REDIS_KEEPER_REST_PORT"),
        "{wrong:?}"
    );
}
