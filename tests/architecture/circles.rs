//! No two siblings use each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::paths::{Mention, paths, tokens, without_comments_and_strings, without_tests};
use super::sources;

/// Each module outside of tests, with the paths in its file.
struct Modules(BTreeMap<Vec<String>, Vec<Mention>>);

/// For each module, its siblings that it uses, each with the place of one use. A folder counts with everything in it.
type SiblingUses = BTreeMap<String, BTreeMap<String, String>>;

// === impl Modules ===

impl Modules {
    /// Reads the modules from `lib.rs` down. `sources` has the files of `src/` by their paths.
    fn read(sources: &BTreeMap<String, String>) -> Self {
        let mut modules = BTreeMap::new();
        let mut files = vec![(Vec::new(), "lib.rs".to_owned())];
        while let Some((module, file)) = files.pop() {
            let Some(text) = sources.get(&file) else {
                continue;
            };
            let code = without_comments_and_strings(text);
            let tokens = without_tests(&tokens(&code));
            for declared in tokens.windows(3) {
                if let [("mod", _), (name, _), (";", _)] = declared {
                    let child = [&module[..], &[(*name).to_owned()]].concat();
                    let file = format!("{}.rs", child.join("/"));
                    files.push((child, file));
                }
            }
            modules.insert(module, paths(&tokens));
        }
        Self(modules)
    }

    fn uses_of_siblings(&self) -> SiblingUses {
        let mut uses = SiblingUses::new();
        for (module, mentions) in &self.0 {
            for mention in mentions {
                let Some(path) = mention.absolute(module) else {
                    continue;
                };
                let pairs = module.iter().zip(&path);
                let common = pairs.take_while(|(own, other)| own == other).count();
                // Use between a module and one around it is no use of a sibling.
                if common == module.len() || common == path.len() {
                    continue;
                }
                let sibling = &path[..=common];
                if self.0.contains_key(sibling) {
                    let of_module = uses.entry(module[..=common].join("::")).or_default();
                    let at = format!("src/{}.rs:{}", module.join("/"), mention.line);
                    of_module.entry(sibling.join("::")).or_insert(at);
                }
            }
        }
        uses
    }

    /// The uses of siblings that lead back to where they began.
    fn circles(&self) -> Vec<String> {
        let uses = self.uses_of_siblings();
        let mut found = Vec::new();
        for (module, used) in &uses {
            for (sibling, at) in used {
                if let Some(way) = way(&uses, sibling, module) {
                    found.push(format!("{at}: a circle: {module} -> {}", way.join(" -> ")));
                }
            }
        }
        found
    }
}

/// The shortest way along `uses`.
fn way<'a>(uses: &'a SiblingUses, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from]);
    while let Some(way) = ways.pop_front() {
        let last = way[way.len() - 1];
        if last == to {
            return Some(way);
        }
        for next in uses.get(last).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next) {
                ways.push_back([&way[..], &[next]].concat());
            }
        }
    }
    None
}

#[test]
fn no_siblings_use_each_other() {
    let modules = Modules::read(&sources());
    assert!(modules.0.len() > 100, "all modules are found");
    let circles = modules.circles();
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

/// The circles in made-up sources.
fn circles(sources: &[(&str, &str)]) -> Vec<String> {
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    Modules::read(&sources.iter().map(owned).collect()).circles()
}

#[test]
fn a_circle_of_siblings_is_found_however_long_it_is() {
    let two = [
        ("lib.rs", "pub mod http;"),
        ("http.rs", "mod error;\nmod unknown;"),
        ("http/error.rs", "\nuse super::{HttpState, unknown};"),
        ("http/unknown.rs", "use crate::http::error::RequestError;"),
    ];
    assert_eq!(
        circles(&two),
        [
            "src/http/error.rs:2: a circle: http::error -> http::unknown -> http::error",
            "src/http/unknown.rs:1: a circle: http::unknown -> http::error -> http::unknown",
        ]
    );
    let through_a_folder = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "mod deep;"),
        ("a/deep.rs", "mod inner { use super::super::super::b::B; }"),
        ("b.rs", "fn b() { crate::c::c() }"),
        ("c.rs", "use crate::{d, a::{self, A}};"),
    ];
    assert_eq!(circles(&through_a_folder).len(), 3, "three uses");
}

#[test]
fn use_between_parent_and_child_or_in_tests_is_no_circle() {
    let fine = [
        ("lib.rs", "mod a; mod b; use a::b;"),
        (
            "a.rs",
            "mod first; mod second; pub use self::first::A; use second::B;",
        ),
        (
            "a/first.rs",
            "use super::second::B; use super::A; use b::C;",
        ),
        (
            "a/second.rs",
            "#[cfg(test)]\nuse super::first::A;\n#[cfg(test)]\nmod tests;",
        ),
        ("a/second/tests.rs", "use crate::a::first; use crate::b;"),
        (
            "b.rs",
            "use crate::a; #[cfg(test)] mod tests { use crate::c; }",
        ),
    ];
    assert_eq!(circles(&fine), [""; 0]);
}
