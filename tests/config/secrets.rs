//! Passwords, two of them during a change, and renamed commands.

use redis_keeper::config::Secret;
use redis_keeper::domain::commands::CommandNames;

use super::{config, document, faults, parse, problems};

fn redis(text: &str) -> String {
    document(&format!("redis: {{{text}}},"), "")
}

fn passwords(words: &[&str]) -> Vec<Secret> {
    words.iter().map(|word| Secret::new(*word)).collect()
}

#[test]
fn a_password_may_be_a_list_of_two_and_the_effective_configuration_masks_both() {
    for (text, expected) in [
        ("password: 'a'", &["a"][..]),
        ("password: ''", &[""]),
        ("password: ['a']", &["a"]),
        ("password: ['a', 's3cret']", &["a", "s3cret"]),
    ] {
        let config = config(&redis(text), &[]);
        assert_eq!(
            config.clusters[0].redis.passwords,
            passwords(expected),
            "{text}"
        );
        let effective = config.effective();
        assert!(
            effective.contains("***") && !effective.contains("s3cret"),
            "{effective}"
        );
        assert!(parse(&effective, &[]).is_ok(), "{effective}");
    }
    for (text, fault) in [
        (
            "password: ['one', 'two', 'three']",
            "redis.password: lists more than two passwords",
        ),
        ("password: []", "redis.password: is empty"),
        (
            "password: ['one', 2]",
            "redis.password: lists something else than text",
        ),
    ] {
        assert_eq!(faults(&redis(text), &[]), [fault]);
        let error = parse(&redis(text), &[]).unwrap_err().to_string();
        assert!(!error.contains("one"), "{error}");
    }
}

#[test]
fn a_variable_holds_one_password_or_a_list_of_two() {
    let read = |text| {
        let config = config(&redis(""), &[("REDIS_KEEPER_REDIS_PASSWORD", text)]);
        config.clusters[0].redis.passwords.clone()
    };
    assert_eq!(read("[\"new\", 'old']"), passwords(&["new", "old"]));
    for alone in ["a,b", "[a", "[1, 2]", "{a: 'b'}", " a "] {
        assert_eq!(read(alone), passwords(&[alone]));
    }
    let variables = [("REDIS_KEEPER_REDIS_PASSWORD", "['x', 'y', 'z']")];
    assert_eq!(
        faults(&redis(""), &variables),
        ["redis.password: lists more than two passwords"]
    );
}

#[test]
fn a_file_holds_one_password_a_line_and_not_more_than_two() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let text = redis(&format!("'password-file': {path:?}"));
    for (written, expected) in [
        ("a", &["a"][..]),
        ("a\n", &["a"]),
        ("a\r\n\n", &["a"]),
        ("a\nb", &["a", "b"]),
        ("a b\r\nc\r\n", &["a b", "c"]),
    ] {
        std::fs::write(&path, written).unwrap();
        let config = config(&text, &[]);
        assert_eq!(
            config.clusters[0].redis.passwords,
            passwords(expected),
            "{written:?}"
        );
        let files: Vec<_> = config.clusters[0].redis.files().collect();
        assert_eq!(files, [path.as_path()]);
    }
    for (written, fault) in [
        ("a\nb\nc", "redis.password-file: names a file of 3 lines"),
        (
            "\nb",
            "redis.password-file: names a file with an empty line",
        ),
    ] {
        std::fs::write(&path, written).unwrap();
        assert_eq!(faults(&text, &[]), [fault]);
    }
}

#[test]
fn renamed_commands_are_those_that_keepers_send_and_have_names() {
    let names = |text: &str, variables: &[(&str, &str)]| -> CommandNames {
        config(&redis(text), variables).clusters[0]
            .redis
            .names
            .clone()
    };
    let renamed = names("'rename-commands': {client: 'xclient', PUBSUB: ''}", &[]);
    assert_eq!(
        (renamed.of("CLIENT"), renamed.of("PUBSUB")),
        ("xclient", "PUBSUB")
    );
    let variable = ("REDIS_KEEPER_REDIS_RENAME_COMMANDS", "{ROLE: 'xrole'}");
    assert_eq!(names("", &[variable]).of("ROLE"), "xrole");
    let own = document(
        "redis: {'rename-commands': {ROLE: 'xrole'}},",
        "redis: {'rename-commands': {INFO: 'xinfo'}},",
    );
    let own = config(&own, &[]).clusters[0].redis.names.clone();
    assert_eq!(
        (own.of("INFO"), own.of("ROLE")),
        ("xinfo", "ROLE"),
        "one takes the other's place"
    );

    let text = redis(
        "'rename-commands': {CLIENT: '', FLUSHALL: 'x', INFO: 'a b', role: 'x', ROLE: 'y', EXEC: 7}",
    );
    let mut found = faults(&text, &[]);
    found.sort();
    assert_eq!(
        found,
        [
            "redis.rename-commands.CLIENT: says that the servers do not have CLIENT",
            "redis.rename-commands.EXEC: is a number",
            "redis.rename-commands.FLUSHALL: is no command that keepers send",
            "redis.rename-commands.INFO: is no name of a command",
            "redis.rename-commands.role: is renamed twice",
        ]
    );
    let mut problems = problems(&text, &[]).into_iter();
    let unknown = problems
        .find(|it| it.fault.starts_with("is no command"))
        .unwrap();
    assert!(unknown.remedy.contains("REPLICAOF"), "{unknown}");
    let (_, warnings) = parse(&redis("'rename-commands': {CONFIG: ''}"), &[]).unwrap();
    assert!(
        warnings
            .iter()
            .any(|it| it.text.contains("the servers do not have CONFIG"))
    );
}
