//! Guards the shape of `src/`:
//!
//! - which module may use which; the table in `src/lib.rs` is the law;
//! - no two siblings that use each other, directly or through others;
//! - a pure core;
//! - small files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use paths::{Mention, mentions};

mod circles;
mod paths;

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
            if own == "domain" && is_impure(&mention) {
                found.push(format!("{at}: the core is pure: no {name}"));
            }
        }
        found
    }
}

/// Whether the path is none for the core.
fn is_impure(mention: &Mention) -> bool {
    let of_std = |module: &String| IMPURE_STD.contains(&module.as_str());
    let segments = &mention.segments;
    segments.iter().any(|it| IMPURE.contains(&it.as_str()))
        || (segments[0] == "std" && segments.get(1).is_some_and(of_std))
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
