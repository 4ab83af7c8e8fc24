//! The shipped alarms: `promtool` accepts them, they fire when they should, and the pages name them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use redis_keeper::domain::plan::HoldKind;

const RULES: &str = "conf/prometheus-rules.yml";
const TESTS: &str = "tests/prometheus/rules.test.yml";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: impl AsRef<Path>) -> String {
    let file = root().join(file);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Runs `promtool` on a file. Returns whether it succeeded, and its output.
fn promtool(arguments: &[&str], file: &Path) -> (bool, String) {
    let output = Command::new("promtool").args(arguments).arg(file).output();
    let output =
        output.expect("promtool, of Debian's package prometheus: tests/run.sh installs it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

/// The lines of each alarm, by its name.
fn alarms() -> BTreeMap<String, String> {
    let rules = read(RULES);
    let alarms = rules.split("- alert: ").skip(1);
    let named = alarms.filter_map(|alarm| {
        let (name, rest) = alarm.split_once('\n')?;
        Some((name.to_owned(), rest.to_owned()))
    });
    let named: BTreeMap<_, _> = named.collect();
    assert!(named.len() > 15, "the alarms were found: {named:?}");
    named
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|it: char| !it.is_ascii_lowercase() && it != '_');
    words.filter(|it| it.starts_with("redis_keeper_")).collect()
}

/// All Rust sources below a folder, as one text.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder of the sources");
    let texts = entries.map(|entry| {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path)
        } else {
            fs::read_to_string(&path).expect("a readable source")
        }
    });
    texts.collect()
}

/// The anchors of the headings of a page, as links name them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.replace(' ', "-");
        kept.chars()
            .filter(|it| it.is_alphanumeric() || *it == '-')
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn prometheus_understands_every_alarm() {
    let (content, said) = promtool(&["check", "rules"], &root().join(RULES));
    assert!(content, "{said}");
}

#[test]
fn every_alarm_rings_when_it_should_and_only_then() {
    let (content, said) = promtool(&["test", "rules"], &root().join(TESTS));
    assert!(content, "{said}");
}

#[test]
fn an_alarm_that_never_rings_would_be_noticed() {
    let copy = tempfile::tempdir().expect("a directory");
    let place = |file: &str, text: String| {
        let file = copy.path().join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, text).expect("a copy");
        file
    };
    let silent = alarms().into_keys().map(|name| {
        format!("      - alert: {name}\n        expr: vector(0) > 1\n        labels:\n          severity: warning\n")
    });
    let silent: String = silent.collect();
    place(
        RULES,
        format!("groups:\n  - name: silent\n    rules:\n{silent}"),
    );
    let tests = place(TESTS, read(TESTS));
    let (content, said) = promtool(&["test", "rules"], &tests);
    assert!(!content, "{said}");
    for alarm in alarms().into_keys() {
        let missed = said.contains(&format!("alertname=\"{alarm}\""));
        assert!(missed, "no test notices that {alarm} is silent: {said}");
    }
}

#[test]
fn every_alarm_says_what_to_do_and_where_more_is_written() {
    for (name, alarm) in alarms() {
        for part in [
            "expr:",
            "for: ",
            "summary: ",
            "description: ",
            "runbook: docs/",
        ] {
            assert!(alarm.contains(part), "{name} has no {part}");
        }
        let severity = alarm.split("severity: ").nth(1);
        let severity = severity.and_then(|rest| rest.lines().next());
        let severity = severity.unwrap_or_else(|| panic!("{name} has no severity"));
        assert!(
            ["critical", "warning"].contains(&severity),
            "{name}: {severity}"
        );

        let runbook = alarm
            .split("runbook: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let runbook = runbook.expect("a page");
        let (page, anchor) = runbook.split_once('#').unwrap_or((runbook, ""));
        let there = anchor.is_empty() || anchors(&read(page)).contains(anchor);
        assert!(there, "{name}: {runbook} leads nowhere");

        let row = format!("| `{name}` | {severity} |");
        let told = read("docs/operations.md").contains(&row);
        assert!(told, "docs/operations.md has no row {row}");
    }
}

#[test]
fn every_metric_of_an_alarm_is_one_that_the_program_has() {
    let sources = sources(&root().join("src"));
    let known = metrics(&sources);
    for (name, alarm) in alarms() {
        let expression = alarm.split("labels:").next().expect("an expression");
        for metric in metrics(expression) {
            assert!(known.contains(metric), "{name} asks for {metric}");
        }
    }
    for metric in metrics(&read(TESTS)) {
        assert!(known.contains(metric), "{TESTS} has {metric}");
    }
}

#[test]
fn every_reason_for_which_a_cluster_is_held_is_in_the_page_of_the_http_interface() {
    let page = read("docs/http.md");
    let section = page.split("### Reasons").nth(1).expect("the reasons");
    let section = section.split("\n#").next().expect("a section");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.split(" | ").next());
    let told: BTreeSet<_> = first
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let known: BTreeSet<_> = HoldKind::ALL.iter().map(|kind| kind.word()).collect();
    assert_eq!(told, known);
}
