//! Phrases in double quotes on a page, and whether they stand for words of the program.

use std::sync::OnceLock;

use super::literals::{code_of_keepers, literals};

/// Words of a page that stand for any text. The samples bear the other placeholders (`A`, `NODE`, `WHY`) as names.
const ANY_TEXT: [&str; 5] = ["HOLDS", "NAMES", "REASON", "STATE", "VERSION"];

/// Words of a page that stand for a value.
const VALUES: [&str; 18] = [
    "A", "ADDRESS", "B", "HOLDS", "KEEPER", "KEEPERS", "N", "NAME", "NAMES", "NODE", "NODES",
    "REASON", "SAID", "SERVER", "STATE", "VERSION", "WHY", "…",
];

/// A phrase of a page. "…" stands for any text.
pub(crate) struct Phrase {
    /// The phrase as the page has it, in one line.
    pub(crate) text: String,
}

impl Phrase {
    /// Whether the phrase stands for all of `words`.
    pub(crate) fn is(&self, words: &str) -> bool {
        let pattern = self.pattern();
        let (words, mut parts) = (plain(words), pattern.split('…'));
        let Some(mut rest) = parts.next().and_then(|first| words.strip_prefix(first)) else {
            return false;
        };
        let mut last = None;
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            (rest, last) = (after, Some(part));
        }
        match last {
            None => rest.is_empty(),
            Some(last) => words.ends_with(last),
        }
    }

    /// Whether the phrase stands for a part of `words`.
    pub(crate) fn is_in(&self, words: &str) -> bool {
        let text = format!("…{}…", self.text);
        Self { text }.is(words)
    }

    fn pattern(&self) -> String {
        let mut pattern = plain(&self.text);
        for word in ANY_TEXT {
            pattern = pattern.replace(word, "…");
        }
        pattern
    }

    /// Whether the constant parts of the phrase are in string literals of a single file of the sources.
    pub(crate) fn is_written(&self) -> bool {
        let text = plain(&self.text);
        let is_of_word = |it: char| it.is_alphanumeric() || it == '…';
        let mut parts = vec![String::new()];
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|it| !is_of_word(it)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end.max(first.len_utf8()));
            if VALUES.contains(&word) || matches!(word, ";" | ":" | "(" | ")") {
                parts.push(String::new());
            } else if let Some(part) = parts.last_mut() {
                part.push_str(word);
            }
            rest = after;
        }
        let parts = parts.iter().map(|it| it.trim_matches([' ', '.', ',']));
        let parts: Vec<_> = parts.filter(|it| !it.is_empty()).collect();
        let has = |file: &String| parts.iter().all(|it| file.contains(it));
        literals_of_keepers().iter().any(has)
    }
}

/// The text with each number as `N`, and without the port of the samples.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|it: char| it.is_ascii_digit()) {
        plain.push_str(&rest[..at]);
        plain.push('N');
        rest = rest[at..].trim_start_matches(|it: char| it.is_ascii_digit());
        let fraction = rest.strip_prefix('.').unwrap_or_default();
        if fraction.starts_with(|it: char| it.is_ascii_digit()) {
            rest = fraction.trim_start_matches(|it: char| it.is_ascii_digit());
        }
    }
    plain.push_str(rest);
    plain.replace(":N", "")
}

/// The phrases in double quotes. Code is left out.
pub(crate) fn quoted(text: &str) -> Vec<Phrase> {
    let pieces: Vec<_> = text.split('"').collect();
    assert!(pieces.len() % 2 == 1, "an odd number of quotes: {text}");
    let phrases = pieces.into_iter().skip(1).step_by(2);
    let phrases = phrases.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
    phrases.map(|text| Phrase { text }).collect()
}

/// The part of the page below the headline, up to the next headline of the same or a higher rank.
pub(crate) fn section<'a>(page: &'a str, headline: &str) -> &'a str {
    let (_, after) = page
        .split_once(&format!("\n{headline}\n"))
        .unwrap_or_else(|| panic!("no {headline}"));
    let rank = headline.split(' ').next().unwrap_or_default();
    let ends = (1..=rank.len()).filter_map(|it| after.find(&format!("\n{} ", "#".repeat(it))));
    &after[..ends.min().unwrap_or(after.len())]
}

/// The page without its blocks of code.
pub(crate) fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect()
}

/// The cells of each row of the tables in the text, headlines left out.
pub(crate) fn rows(text: &str) -> Vec<Vec<&str>> {
    let tables = text.lines().filter(|line| line.starts_with('|'));
    let cells = tables.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect());
    let mut rows: Vec<Vec<&str>> = cells.collect();
    rows.retain(|row| row.iter().any(|cell| cell.contains('"')));
    rows
}

/// For each file of a keeper's sources, its string literals, one a line, with values as `…`.
fn literals_of_keepers() -> &'static [String] {
    static LITERALS: OnceLock<Vec<String>> = OnceLock::new();
    LITERALS.get_or_init(|| {
        let of_file = |code: &String| {
            let literals = literals(code);
            let words = literals.iter().map(|it| plain(&constant(&it.text)));
            words.collect::<Vec<_>>().join("\n")
        };
        code_of_keepers().iter().map(of_file).collect()
    })
}

/// The literal with each value in braces as `…`.
fn constant(literal: &str) -> String {
    let mut parts = literal.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    let tails = parts.map(|it| it.split_once('}').map_or("", |(_, tail)| tail));
    tails.fold(first, |all, tail| all + "…" + tail)
}
