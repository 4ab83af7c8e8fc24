//! The words by which tests, the chaos run and the demo know a line of a keeper's log are words that a keeper logs. A
//! line in new words would otherwise pass by a judge, an `assert!(!log.contains(…))` or the demo unnoticed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::literals::{Literal, code_of_keepers, files, literals};
use super::logs::SIGNS;

/// Words that other programs log.
const FOREIGN: [&str; 8] = [
    "DB loaded from",
    "MASTER MODE enabled",
    "REPLICA sync: Finished with success",
    "REPLICA sync: Flushing old data",
    "REPLICA sync: Master accepted a Partial Resynchronization",
    "Redis is starting",
    "Too many open files",
    "fails to establish session",
];

/// All texts of a keeper: the string literals of `src/` without those of its tests.
fn words_of_keepers() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for code in code_of_keepers() {
        words.extend(literals(&code).into_iter().map(|it| it.text));
    }
    assert!(words.len() > 1_000, "{} texts", words.len());
    words
}

/// Whether a keeper may log a message of exactly these words: one literal, or one with another in its only `{…}`.
fn is_message(words: &BTreeSet<String>, message: &str) -> bool {
    let filled = |template: &String| {
        let (before, rest) = template.split_once('{')?;
        let (_name, after) = rest.split_once('}')?;
        let middle = message.strip_prefix(before)?.strip_suffix(after)?;
        words.get(middle)
    };
    words.contains(message) || words.iter().any(|it| filled(it).is_some())
}

/// Whether a text of a keeper has these words, or such a message is composed of two texts.
fn is_said(words: &BTreeSet<String>, phrase: &str) -> bool {
    words.iter().any(|it| it.contains(phrase)) || is_message(words, phrase)
}

/// The phrases that code looks for in lines of a log: the literals in `log.contains("…")` and the like. Phrases of a
/// single word are left out: they are values.
fn phrases(code: &str) -> Vec<String> {
    const LOOKS: [&str; 5] = [
        ".contains(",
        ".matches(",
        ".find(",
        ".starts_with(",
        ".ends_with(",
    ];
    const LOGS: [&str; 5] = ["log", "log()", "line", "told", "it"];
    let looked_for = |literal: &Literal| {
        let before = literal.before.trim_end();
        let log = LOOKS.iter().find_map(|look| before.strip_suffix(look));
        log.is_some_and(|log| LOGS.iter().any(|it| log.trim_end().ends_with(it)))
    };
    let found = literals(code).into_iter().filter(looked_for);
    let found = found.map(|it| it.text);
    found.filter(|it| it.contains(' ')).collect()
}

/// The messages that stand as patterns of `match` in the demo: literals before `=>` or `|`.
fn patterns(code: &str) -> Vec<String> {
    let (_, code) = code.split_once("match line.message() {").expect("a match");
    let (code, _) = code.split_once("_ => Ok(())").expect("its end");
    let is_pattern = |it: &Literal| {
        let after = it.after.trim_start_matches([')', ' ', '\n']);
        after.starts_with("=>") || after.starts_with('|')
    };
    let found = literals(code).into_iter().filter(is_pattern);
    found.map(|it| it.text).collect()
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).expect("a file of this repository")
}

#[test]
fn every_sign_of_a_collapse_is_in_the_words_of_keepers() {
    let words = words_of_keepers();
    for sign in SIGNS {
        assert!(is_said(&words, sign), "no keeper logs `{sign}`");
    }
}

#[test]
fn every_deed_that_the_judge_reads_is_a_message_of_keepers() {
    let words = words_of_keepers();
    let code = read("site/src/leadership.rs");
    let (deeds, _) = code.split_once("];").expect("the list of deeds");
    let deeds = literals(deeds);
    assert!(deeds.len() > 5, "{} deeds", deeds.len());
    for deed in deeds {
        assert!(
            is_message(&words, &deed.text),
            "no keeper logs `{}`",
            deed.text
        );
    }
}

#[test]
fn every_message_that_the_demo_tells_of_is_a_message_of_keepers() {
    let words = words_of_keepers();
    let messages = patterns(&read("examples/demo/story.rs"));
    assert!(messages.len() > 10, "{messages:?}");
    for message in messages {
        assert!(is_message(&words, &message), "no keeper logs `{message}`");
    }
}

#[test]
fn every_phrase_that_tests_look_for_in_logs_is_in_the_words_of_a_program() {
    let words = words_of_keepers();
    let own = |path: &str| path != "tests/chaos/words.rs";
    let tests = [
        "tests/scenarios",
        "tests/chaos",
        "tests/partition",
        "site/src",
        "examples",
    ];
    let mut count = 0;
    for file in tests.iter().flat_map(|folder| files(folder, &own)) {
        for phrase in phrases(&file) {
            let known = FOREIGN.contains(&phrase.as_str()) || is_said(&words, &phrase);
            assert!(known, "no program logs `{phrase}`");
            count += 1;
        }
    }
    assert!(count > 40, "the phrases were found: {count}");
}

#[test]
fn words_that_no_keeper_logs_are_found() {
    let code = r#"fn a() { tracing::info!(%node, "the node is \
        gone"); warn!("{what} failed"); b("promotion"); } // "a comment""#;
    let words: BTreeSet<_> = literals(code).into_iter().map(|it| it.text).collect();
    assert_eq!(words.len(), 3, "{words:?}");
    assert!(is_said(&words, "node is gone") && !is_said(&words, "node was gone"));
    assert!(is_message(&words, "promotion failed") && !is_message(&words, "demotion failed"));
    let test = "assert!(!log\n    .contains(\"node was gone\")); config.contains(\"of no log\"); log.contains(\"0ld\");";
    assert_eq!(phrases(test), ["node was gone"]);
}
