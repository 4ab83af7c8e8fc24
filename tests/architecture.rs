//! Guards the shape of `src/`:
//!
//! - which module may use which; the table in `src/lib.rs` is the law;
//! - no two siblings that use each other, directly or through others;
//! - a pure core;
//! - small files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// The most lines that a file in `src/` may have.
const LONGEST: usize = 450;

/// Words that the core never uses. The core gets the time from outside, does no I/O, and has no order that changes
/// between runs.
const IMPURE: [&str; 15] = [
    "async",
    "await",
    "actix",
    "actix_rt",
    "actix_web",
    "tokio",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
];

/// Modules of `std` that the core never uses.
const IMPURE_STD: [&str; 4] = ["env", "fs", "process", "thread"];

/// For each top module, the modules that it may use besides itself.
struct Layers(BTreeMap<String, BTreeSet<String>>);

/// Each module outside of tests, with the paths in its file.
struct Modules(BTreeMap<Vec<String>, Vec<Mention>>);

/// For each module, its siblings that it uses, each with the place of one use. A folder counts with everything in it.
type SiblingUses = BTreeMap<String, BTreeMap<String, String>>;

/// A path in the code, with `use` groups taken apart.
struct Mention {
    segments: Vec<String>,
    line: usize,
    /// How many inline modules surround the path.
    inline_modules: usize,
}

// === impl Layers ===

impl Layers {
    /// Reads the table ``//! | [`name`] | … | what it may use |``.
    ///
    /// The last column is a list of modules, `nothing`, or `all above`.
    fn read(lib: &str) -> Self {
        let mut layers = BTreeMap::new();
        for line in lib.lines() {
            let columns: Vec<_> = line.split('|').map(str::trim).collect();
            let ["//!", name, _, uses, ""] = columns[..] else {
                continue;
            };
            let Some(name) = name.strip_prefix("[`").and_then(|it| it.strip_suffix("`]")) else {
                continue;
            };
            let uses = match uses {
                "nothing" => BTreeSet::new(),
                "all above" => layers.keys().cloned().collect(),
                list => list.split(", ").map(str::to_owned).collect(),
            };
            layers.insert(name.to_owned(), uses);
        }
        Self(layers)
    }

    /// The faults of the file at `path`, relative to `src/`.
    fn violations(&self, path: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let file = path.trim_end_matches(".rs");
        let lines = text.lines().count();
        if lines > LONGEST {
            found.push(format!("src/{path}: {lines} lines; split it by subject"));
        }
        if path == "mod.rs" || path.ends_with("/mod.rs") {
            let folder = file.trim_end_matches("/mod");
            found.push(format!("src/{path}: name it src/{folder}.rs"));
        }
        if file == "lib" || file == "main" {
            return found;
        }
        let module: Vec<_> = file.split('/').map(str::to_owned).collect();
        let own = &module[0];
        let Some(allowed) = self.0.get(own) else {
            found.push(format!(
                "src/{path}: {own} is not in the table of src/lib.rs"
            ));
            return found;
        };
        for mention in mentions(text) {
            let name = mention.segments.join("::");
            let at = format!("src/{path}:{}", mention.line);
            if let Some(path) = mention.absolute(&module)
                && let Some(used) = path.first()
                && used != own
                && self.0.contains_key(used)
                && !allowed.contains(used)
            {
                found.push(format!("{at}: {own} may not use {used} ({name})"));
            }
            if own == "domain" && mention.is_impure() {
                found.push(format!("{at}: the core is pure: no {name}"));
            }
        }
        found
    }
}

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

// === impl Mention ===

impl Mention {
    /// The path from the top, if the path in the file of `module` begins with `crate::`, or with `super::` that leads
    /// out of the file. Other paths lead to the module's own children, or to other crates.
    fn absolute(&self, module: &[String]) -> Option<Vec<String>> {
        let segments = self.segments.iter();
        let mut path = segments.skip_while(|it| *it == "self").peekable();
        let mut base = &module[..0];
        if path.next_if(|it| *it == "crate").is_none() {
            let mut ups = 0_usize;
            while path.next_if(|it| *it == "super").is_some() {
                ups += 1;
            }
            let out = ups.checked_sub(self.inline_modules)?;
            base = &module[..module.len().checked_sub(out).filter(|_| out > 0)?];
        }
        Some(base.iter().chain(path).cloned().collect())
    }

    fn is_impure(&self) -> bool {
        let of_std = |module: &String| IMPURE_STD.contains(&module.as_str());
        self.segments.iter().any(|it| IMPURE.contains(&it.as_str()))
            || (self.segments[0] == "std" && self.segments.get(1).is_some_and(of_std))
    }
}

/// A word, `::`, or one other sign, with its line number.
type Token<'a> = (&'a str, usize);

/// Every path in the code of `text`, comments and strings left out.
fn mentions(text: &str) -> Vec<Mention> {
    paths(&tokens(&without_comments_and_strings(text)))
}

/// Every path in these tokens.
fn paths(mut tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    collect(&mut tokens, &[], 0, &mut found);
    found
}

/// The tokens of `code`.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if is_of_word(first) => rest.find(|it| !is_of_word(it)).unwrap_or(rest.len()),
                _ if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            tokens.push((&rest[..length], line));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The same tokens without the items under `#[cfg(test)]`.
fn without_tests<'a>(mut tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const OF_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    while let Some((first, rest)) = tokens.split_first() {
        let words = tokens.iter().map(|(word, _)| *word);
        if words.take(OF_TESTS.len()).eq(OF_TESTS) {
            tokens = after_item(&tokens[OF_TESTS.len()..]);
        } else {
            kept.push(*first);
            tokens = rest;
        }
    }
    kept
}

/// The tokens behind the item at the beginning of `tokens`.
fn after_item<'a, 'b>(tokens: &'b [Token<'a>]) -> &'b [Token<'a>] {
    let mut depth = 0;
    for (at, (sign, _)) in tokens.iter().enumerate() {
        match *sign {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return &tokens[at..],
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(*sign, ";" | "}") {
            return &tokens[at + 1..];
        }
    }
    &[]
}

/// Collects the paths within one pair of braces. Within those of a `use`, every path begins with `prefix`.
fn collect(
    tokens: &mut &[Token],
    prefix: &[String],
    inline_modules: usize,
    found: &mut Vec<Mention>,
) {
    while let [(token, line), rest @ ..] = *tokens {
        *tokens = rest;
        match (*token, rest) {
            ("}", _) => return,
            ("{", _) => collect(tokens, prefix, inline_modules, found),
            ("mod", [_, ("{", _), body @ ..]) => {
                *tokens = body;
                collect(tokens, &[], inline_modules + 1, found);
            }
            ("as", [_, rest @ ..]) if !prefix.is_empty() => *tokens = rest,
            (word, _) if word.starts_with(is_of_word) => {
                let mut segments = [prefix, &[word.to_owned()]].concat();
                while let [("::", _), (next, _), rest @ ..] = *tokens
                    && next.starts_with(is_of_word)
                {
                    segments.push((*next).to_owned());
                    *tokens = rest;
                }
                if let [("::", _), ("{", _), group @ ..] = *tokens {
                    *tokens = group;
                    collect(tokens, &segments, inline_modules, found);
                } else {
                    found.push(Mention {
                        segments,
                        line: *line,
                        inline_modules,
                    });
                }
            }
            _ => {}
        }
    }
}

fn is_of_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// The same lines, with everything but code removed.
fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let in_word = code.ends_with(is_of_word);
        let skipped = match sign {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' if !in_word || code.ends_with(['b', 'c']) => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(sign);
            rest = &rest[sign.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|it| *it == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the comment at the beginning of `text`; comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(mark) = ["/*", "*/"]
        .iter()
        .filter_map(|mark| text[at..].find(mark))
        .min()
    {
        let opens = text[at + mark..].starts_with("/*");
        depth += if opens { 1 } else { -1 };
        at += mark + 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the string at the beginning of `text`.
fn string(text: &str) -> usize {
    let mut escaped = true;
    for (at, sign) in text.char_indices() {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the raw string at the beginning of `text`; 0 if `r` begins something else.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|it| *it == b'#').count();
    let body = 1 + hashes + 1;
    if text.as_bytes().get(body - 1) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    text[body..]
        .find(&end)
        .map_or(text.len(), |at| body + at + end.len())
}

/// The length of the character literal at the beginning of `text`; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut signs = text.char_indices().skip(1);
    match (signs.next(), signs.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            let after = escaped + 1;
            text[after..]
                .find('\'')
                .map_or(text.len(), |at| after + at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[test]
fn the_source_keeps_its_shape() {
    let sources = sources();
    let layers = Layers::read(&sources["lib.rs"]);
    assert!(layers.0.len() > 5, "src/lib.rs has the table");
    let mut violations = Vec::new();
    for (path, text) in &sources {
        violations.extend(layers.violations(path, text));
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn no_siblings_use_each_other() {
    let modules = Modules::read(&sources());
    assert!(modules.0.len() > 100, "all modules are found");
    let circles = modules.circles();
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

/// The files of `src/`, by their paths in it.
fn sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a source folder") {
            let path = entry.expect("a source file").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path
                    .strip_prefix(&src)
                    .expect("below src")
                    .to_string_lossy()
                    .into_owned();
                let text = std::fs::read_to_string(&path).expect("a source file");
                sources.insert(name, text);
            }
        }
    }
    sources
}

/// The faults of a file of `src/`, by a law of three layers.
fn judge(path: &str, text: &str) -> Vec<String> {
    let law = "//! | module | what it is | may use |\n//! |---|---|---|\n\
        //! | [`domain`] | core | nothing |\n//! | [`ports`] | traits | domain |\n//! | [`app`] | wiring | all above |";
    Layers::read(law).violations(path, text)
}

#[test]
fn a_back_edge_is_found_however_it_is_written() {
    for back_edge in [
        "use crate::app::Run;",
        "use crate::{domain::node, app};",
        "use crate::{domain::{node, info}, app::{self as wiring}};",
        "pub(in crate::app) fn f() {}",
        "fn f() -> u8 { crate::app::run(1) }",
        "macro_rules! run { () => { $crate::app::run() } }",
        "use super::super::app;",
        "mod tests { use super::super::super::app::Run; }",
        "const A: char = '\"'; use crate::app; const B: char = '\"';",
        "struct A<'a>(&'a str); use crate::app; /* '*/",
        "fn r() {} const FOR: &str = r\"\\\"; use crate::app; /* \" */",
        "fn f() { let _ = format!(\"{}\", crate::app::NAME); }",
    ] {
        let found = judge("ports/redis.rs", back_edge);
        assert_eq!(found.len(), 1, "{back_edge}: {found:?}");
        assert!(
            found[0].starts_with("src/ports/redis.rs:1: ports may not use app"),
            "{found:?}"
        );
    }
}

#[test]
fn code_that_the_law_allows_is_no_back_edge() {
    for fine in [
        "//! See [`crate::app`].\nuse crate::domain::node::NodeAddr;",
        "/* crate::app */ /// crate::app\nconst A: &str = \"crate::app\"; const B: &str = r#\"crate::app\"#;",
        "use super::app; mod tests { use super::super::app; }",
        "use crate::ports::clock; pub(crate) struct A; use std::app; use redis::app as crate_app;",
        "use crate::{domain as app, domain::node};",
        "async fn f() { tokio::fs::read('a', 'b').await }",
        "fn f<'a>(a: &'a str) { g('\"', '\\'', b'\\\\', \"\\\"\"); } // crate::app",
        "/* one /* two */ crate::app */ const A: &[u8] = br##\"\"# crate::app\"##;",
    ] {
        assert_eq!(judge("ports/redis.rs", fine), [""; 0], "{fine}");
    }
    assert_eq!(judge("app.rs", "use crate::{domain, ports};"), [""; 0]);
    assert_eq!(
        judge("main.rs", "use redis_keeper::app; use crate::app;"),
        [""; 0]
    );
}

#[test]
fn the_core_is_kept_pure() {
    for impure in [
        "async fn f() {}",
        "use tokio::time::Duration;",
        "use actix::prelude::*;",
        "use std::{fmt, time::Instant};",
        "use std::collections::HashMap;",
        "fn f(a: std::net::TcpStream) {}",
        "use std::{fs as files, fmt};",
    ] {
        assert_eq!(judge("domain/plan.rs", impure).len(), 1, "{impure}");
    }
    let pure = "use std::{collections::BTreeMap, net::SocketAddr, time::Duration}; // tokio\nfn fs(async_: u8) {}";
    assert_eq!(judge("domain/plan.rs", pure), [""; 0]);
}

#[test]
fn long_files_mod_files_and_unknown_modules_are_found() {
    assert_eq!(judge("domain.rs", &"\n".repeat(LONGEST)), [""; 0]);
    assert_eq!(
        judge("domain.rs", &"\n".repeat(LONGEST + 1)),
        ["src/domain.rs: 451 lines; split it by subject"]
    );
    assert_eq!(
        judge("domain/mod.rs", ""),
        ["src/domain/mod.rs: name it src/domain.rs"]
    );
    assert_eq!(
        judge("stray.rs", ""),
        ["src/stray.rs: stray is not in the table of src/lib.rs"]
    );
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
