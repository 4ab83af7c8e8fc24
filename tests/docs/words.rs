//! docs/decisions.md and the log's part of docs/operations.md use the words of the program, and the program uses no
//! words of a hold, a refusal or an action that the page does not explain.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use redis_keeper::domain::node::Moment;
use redis_keeper::domain::plan::Hold;

use crate::phrases::{Phrase, prose, quoted, rows, section};
use crate::samples::{actions, consent_refusals, holds, obstacles, refusals};

fn page(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    prose(&fs::read_to_string(docs.join(name)).expect("a readable page"))
}

/// The phrases in the column of the section's tables.
fn column(page: &str, headline: &str, column: usize) -> Vec<Phrase> {
    let rows = rows(section(page, headline));
    rows.iter().flat_map(|row| quoted(row[column])).collect()
}

/// Checks that each of `words` is explained by a phrase, and that no phrase is left over.
fn compare(phrases: &[Phrase], words: &[impl Display]) -> Vec<String> {
    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
    let explained = |words: &&String| phrases.iter().any(|phrase| phrase.is(words));
    let said = |phrase: &&Phrase| words.iter().any(|words| phrase.is(words));
    let missing = words.iter().filter(|it| !explained(it));
    let stale = phrases.iter().filter(|it| !said(it));
    missing
        .map(|words| format!("not explained: {words}"))
        .chain(stale.map(|phrase| format!("not said: {}", phrase.text)))
        .collect()
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_page_explains_every_refusal_and_every_action_in_its_own_words() {
    let page = page("decisions.md");
    let mut faults = compare(&column(&page, "## Who may take over", 0), &refusals());
    let places = section(&page, "## Where to read the plan");
    let (_, table) = places
        .split_once("\nAn action in the plan:\n")
        .expect("the actions");
    let (table, _) = table
        .split_once("\nThe sentence of `explain`:\n")
        .expect("more");
    let phrases: Vec<_> = rows(table).iter().flat_map(|row| quoted(row[0])).collect();
    faults.extend(compare(&phrases, &actions()));
    assert_none(&faults);
}

#[test]
fn the_page_explains_every_refusal_of_a_consent_and_every_obstacle_to_it() {
    let page = page("decisions.md");
    let refused = column(&page, "### Why a keeper does not consent", 0);
    let obstructed = column(&page, "### Why a keeper cannot be asked", 0);
    let mut faults = compare(&refused, &consent_refusals());
    faults.extend(compare(&obstructed, &obstacles()));
    assert_none(&faults);
}

/// The lists below "The words of `KIND` go on with one of these:", each with its kinds.
fn endings(section: &str) -> Vec<(Vec<&str>, Vec<Phrase>)> {
    let paragraphs: Vec<_> = section.split("\n\n").collect();
    let lists = paragraphs.windows(2).filter_map(|pair| {
        let kinds = pair[0].strip_prefix("The words of ")?;
        let kinds = kinds.strip_suffix(" go on with one of these:")?;
        Some((
            kinds.split('`').skip(1).step_by(2).collect(),
            quoted(pair[1]),
        ))
    });
    lists.collect()
}

#[test]
fn the_page_explains_every_hold_in_its_own_words_beside_its_reason() {
    let page = page("decisions.md");
    let section = section(&page, "## The words of a hold");
    let rows: Vec<_> = rows(section)
        .into_iter()
        .map(|row| (row[0].trim_matches('`'), quoted(row[1])))
        .collect();
    let endings = endings(section);
    let holds = holds();
    let words = |hold: &Hold| (hold.kind().word(), said(hold));
    let mut faults = Vec::new();
    for (kind, words) in holds.iter().map(words) {
        let phrases = rows.iter().filter(|row| row.0 == kind);
        if !phrases.flat_map(|row| &row.1).any(|it| it.is(&words)) {
            faults.push(format!("not explained: {kind}: {words}"));
        }
        let mut lists = endings.iter().filter(|(kinds, _)| kinds.contains(&kind));
        if !lists.all(|(_, list)| list.iter().any(|it| it.is_in(&words))) {
            faults.push(format!("not explained to its end: {kind}: {words}"));
        }
    }
    let is_said = |kind: &str, is: &dyn Fn(&str) -> bool| {
        let mut of_kind = holds.iter().map(words).filter(|it| it.0 == kind);
        of_kind.any(|(_, words)| is(&words))
    };
    for (kind, phrases) in &rows {
        for phrase in phrases {
            if !is_said(kind, &|words| phrase.is(words)) {
                faults.push(format!("not said: {kind}: {}", phrase.text));
            }
        }
    }
    for (kinds, list) in &endings {
        for phrase in list {
            if !kinds
                .iter()
                .any(|kind| is_said(kind, &|words| phrase.is_in(words)))
            {
                faults.push(format!("not said: {kinds:?}: {}", phrase.text));
            }
        }
    }
    assert_eq!(endings.len(), 2, "the lists were found");
    assert_none(&faults);
}

/// The words of a hold before any time has passed.
fn said(hold: &Hold) -> String {
    hold.at(Moment::default()).to_string()
}

/// The phrases of a text that no hold, refusal or action is, and that no file of the sources writes.
fn unwritten(text: &str) -> Vec<String> {
    let holds = holds();
    let words: BTreeSet<_> = holds.iter().map(said).collect();
    let phrases: Vec<_> = text
        .split("\n\n")
        .flat_map(|paragraph| {
            let lines: Vec<_> = paragraph.split("\n|").collect();
            lines.into_iter().flat_map(quoted)
        })
        .collect();
    assert!(phrases.len() > 50, "the phrases were found");
    let is_said = |phrase: &&Phrase| words.iter().any(|it| phrase.is(it));
    let unwritten = phrases.iter().filter(|it| !is_said(it) && !it.is_written());
    unwritten.map(|it| it.text.clone()).collect()
}

#[test]
fn the_program_says_every_phrase_that_the_page_of_decisions_quotes() {
    assert_none(&unwritten(&page("decisions.md")));
}

#[test]
fn the_program_writes_every_line_of_the_log_that_the_page_of_operations_quotes() {
    assert_none(&unwritten(section(&page("operations.md"), "## The log")));
}
