//! The place of each value in a JSON5 text, so that a problem can name the line and quote the value.
//!
//! The tolerant scanner knows strings, comments, brackets, commas and colons, but not the allowed keys. The scanner
//! is exact on a text that parses. On any other text, the scanner is exact up to the first fault, and then ends.

use std::collections::BTreeMap;

/// The deepest nesting that is scanned. The limit bounds the recursion of the JSON5 parser; no configuration is
/// nested as deep.
const MAX_DEPTH: usize = 32;

/// The path of member `key` of the object at `parent`.
pub(super) fn member(parent: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if key.is_empty() || !key.chars().all(plain) {
        format!("{parent}[{key:?}]")
    } else if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// The path of item `index` of the list at `parent`.
pub(super) fn item(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// `path` and the paths that enclose it, nearest first, without the root.
pub(super) fn and_enclosing(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        path.rfind(['.', '[']).map(|end| &path[..end])
    })
    .filter(|path| !path.is_empty())
}

/// The place of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The line of the value's key, or of the value itself in a list; the first line is 1.
    pub(super) line: usize,
    /// The value as written; `None` for an object or a list.
    pub(super) text: Option<String>,
}

/// The places of all values of a text, by path.
#[derive(Debug, Default)]
pub(super) struct Spans {
    places: BTreeMap<String, Place>,
    /// The keys that occur again in the same object, with path and line.
    pub(super) repeated: Vec<(String, usize)>,
    /// The line at which the text is nested deeper than any configuration.
    pub(super) too_deep: Option<usize>,
}

/// An object or list around the scanner's position.
enum Open {
    Object {
        path: String,
        member: Option<String>,
    },
    List {
        path: String,
        index: usize,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    OpenObject,
    OpenList,
    Close,
    Comma,
    Colon,
    /// A string, number, word or unquoted key, as written.
    Scalar(&'a str),
}

impl Spans {
    /// Scans `text`.
    pub(super) fn scan(text: &str) -> Self {
        let mut spans = Self::default();
        let mut open: Vec<Open> = Vec::new();
        for (line, token) in (Tokens {
            rest: text,
            line: 1,
        }) {
            match token {
                Token::OpenObject | Token::OpenList if open.len() == MAX_DEPTH => {
                    spans.too_deep = Some(line);
                    break;
                }
                Token::OpenObject => {
                    let path = spans.begin(open.last(), line, None);
                    open.push(Open::Object { path, member: None });
                }
                Token::OpenList => {
                    let path = spans.begin(open.last(), line, None);
                    open.push(Open::List { path, index: 0 });
                }
                Token::Close => drop(open.pop()),
                Token::Comma => match open.last_mut() {
                    Some(Open::Object { member, .. }) => *member = None,
                    Some(Open::List { index, .. }) => *index += 1,
                    None => {}
                },
                Token::Colon => {}
                Token::Scalar(written) => match open.last_mut() {
                    Some(Open::Object {
                        path,
                        member: key @ None,
                    }) => {
                        let path = member(path, &key_of(written));
                        spans.key(&path, line);
                        *key = Some(path);
                    }
                    other => drop(spans.begin(other.as_deref(), line, Some(written))),
                },
            }
        }
        spans
    }

    /// The place of `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }

    fn key(&mut self, path: &str, line: usize) {
        let place = Place { line, text: None };
        if self.places.insert(path.to_owned(), place).is_some() {
            self.repeated.push((path.to_owned(), line));
        }
    }

    /// Notes a value that begins inside `open`, and returns the value's path.
    fn begin(&mut self, open: Option<&Open>, line: usize, text: Option<&str>) -> String {
        let text = text.map(str::to_owned);
        match open {
            None => String::new(),
            Some(Open::List { path, index }) => {
                let path = item(path, *index);
                self.places.insert(path.clone(), Place { line, text });
                path
            }
            Some(Open::Object { member, path }) => {
                let path = member.as_ref().unwrap_or(path);
                if let Some(place) = self.places.get_mut(path) {
                    place.text = text;
                }
                path.clone()
            }
        }
    }
}

/// The name of a key, without quotes and escapes.
fn key_of(written: &str) -> String {
    json5::from_str(written).unwrap_or_else(|_| written.to_owned())
}

/// The tokens of a text, each with its line.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    /// Takes the next `length` bytes, and counts their line ends.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            let space = |c: char| c.is_whitespace() || c == '\u{feff}';
            let length = if self.rest.starts_with(space) {
                self.rest.find(|c| !space(c))
            } else if self.rest.starts_with("//") {
                self.rest.find(['\n', '\r', '\u{2028}', '\u{2029}'])
            } else if self.rest.starts_with("/*") {
                self.rest[2..].find("*/").map(|end| end + 4)
            } else {
                return;
            };
            self.take(length.unwrap_or(self.rest.len()));
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_space_and_comments();
        let line = self.line;
        let token = match self.rest.chars().next()? {
            '{' => (1, Token::OpenObject),
            '[' => (1, Token::OpenList),
            '}' | ']' => (1, Token::Close),
            ',' => (1, Token::Comma),
            ':' => (1, Token::Colon),
            quote @ ('"' | '\'') => {
                let length = string_length(self.rest, quote);
                (length, Token::Scalar(&self.rest[..length]))
            }
            first => {
                let ends = |c: char| c.is_whitespace() || ",:[]{}\"'/".contains(c);
                let after = first.len_utf8();
                let length = self.rest[after..]
                    .find(ends)
                    .map_or(self.rest.len(), |end| end + after);
                (length, Token::Scalar(&self.rest[..length]))
            }
        };
        self.take(token.0);
        Some((line, token.1))
    }
}

/// The length in bytes of the string at the start of `text`, its quotes included.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str, path: &str) -> Option<usize> {
        Spans::scan(text).get(path).map(|place| place.line)
    }

    fn text<'a>(spans: &'a Spans, path: &str) -> Option<&'a str> {
        spans.get(path)?.text.as_deref()
    }

    #[test]
    fn every_value_has_the_line_of_its_key_or_of_itself_in_a_list() {
        let written =
            "{\n  a: 1,\n  'b': {\n    \"c\":\n      [10,\n 20, {d: true,},],\n  },\n e\n:\n-.5e3}";
        let spans = Spans::scan(written);
        let lines = [
            "a", "b", "b.c", "b.c[0]", "b.c[1]", "b.c[2]", "b.c[2].d", "e",
        ];
        let found = lines.map(|path| spans.get(path).map(|place| place.line));
        assert_eq!(found, [2, 3, 4, 5, 6, 6, 6, 8].map(Some));
        assert_eq!(text(&spans, "b.c[1]"), Some("20"));
        assert_eq!(text(&spans, "b.c[2].d"), Some("true"));
        assert_eq!(text(&spans, "b.c"), None);
        assert_eq!(text(&spans, "e"), Some("-.5e3"));
    }

    #[test]
    fn brackets_and_quotes_inside_strings_and_comments_are_only_text() {
        let written = "// {\"x\": [\n{ /* } ] \" \n */ \"a\\\"]\": '}\"\\\n,', // it's\n b: 2 }";
        let spans = Spans::scan(written);
        assert_eq!(spans.get("[\"a\\\"]\"]").map(|place| place.line), Some(3));
        assert_eq!(spans.get("b").map(|place| place.line), Some(5));
    }

    #[test]
    fn keys_are_the_same_however_they_are_quoted() {
        for key in ["ab", "'ab'", "\"ab\"", "\"\\x61b\"", "\"\\u0061b\""] {
            assert_eq!(line(&format!("{{{key}: 1}}"), "ab"), Some(1), "{key}");
        }
    }

    #[test]
    fn a_key_written_twice_is_told_with_its_second_line() {
        let spans = Spans::scan("{a: {b: 1,\n b: 2}, c: {b: 3}}");
        assert_eq!(spans.repeated, [("a.b".to_owned(), 2)]);
    }

    #[test]
    fn nesting_beyond_any_configuration_is_told_with_its_line() {
        assert_eq!(
            Spans::scan(&format!("\n{}", "[".repeat(100_000))).too_deep,
            Some(2)
        );
        assert_eq!(Spans::scan(&"[{a:".repeat(MAX_DEPTH / 2)).too_deep, None);
    }

    #[test]
    fn enclosing_paths_come_nearest_first() {
        let paths: Vec<_> = and_enclosing("clusters[1].nodes[0].port").skip(1).collect();
        assert_eq!(
            paths,
            [
                "clusters[1].nodes[0]",
                "clusters[1].nodes",
                "clusters[1]",
                "clusters"
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_without_a_panic(text in "\\PC*|[\\[\\]{}:,\"'\\\\/*\n a1]*") {
            let lines = text.matches('\n').count() + 1;
            let spans = Spans::scan(&text);
            prop_assert!(spans.places.values().all(|place| place.line <= lines));
        }
    }
}
