//! The documentation is true where a test can tell: links lead somewhere, configurations load, scripts run.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use redis_keeper::config::Config;

#[allow(dead_code)] // Other tests look at the code around a literal, too.
mod literals;
mod phrases;
mod samples;
mod words;

fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.to_owned()];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of this repository") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() && path.starts_with(root.join("docs")) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("a readable page");
                pages.push((path, text));
            }
        }
    }
    assert!(pages.len() > 10, "the pages were found: {}", pages.len());
    pages
}

/// The targets of Markdown links: the text between `](` and `)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

/// The contents of fenced blocks of this language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str())
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

#[test]
fn every_link_leads_to_a_file() {
    for (page, text) in pages() {
        let local = links(&text).filter(|link| !link.contains("://") && !link.starts_with('#'));
        for link in local {
            let file = link.split('#').next().unwrap_or(link);
            let target = page.parent().expect("a page is in a folder").join(file);
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
        }
    }
}

/// All Rust sources below a folder, as one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder of this repository") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).expect("a readable source");
        }
    }
    text
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = sources(&root.join("src")) + &sources(&root.join("tests"));
    let mut named = 0;
    for (page, text) in pages() {
        let quoted = text.split('`').skip(1).step_by(2);
        for name in quoted.filter(|name| name.matches('_').count() > 3) {
            let of_a_name = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
            let word = name.bytes().all(of_a_name);
            if word && !name.starts_with("redis_keeper_") {
                let there = all.contains(&format!("fn {name}("));
                assert!(there, "{}: no test is called {name}", page.display());
                named += 1;
            }
        }
    }
    assert!(named > 20, "docs/safety.md names its tests: {named}");
}

/// `function` (`file`): the form in which docs/architecture.md names a place in the sources.
#[test]
fn every_place_in_the_sources_that_the_architecture_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).expect("a readable page");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut named = 0;
    for (before, after) in page.match_indices("` (`").map(|(at, _)| page.split_at(at)) {
        let name = before.rsplit('`').next().unwrap_or_default();
        let name = name.rsplit("::").next().unwrap_or_default();
        let file = after["` (`".len()..].split('`').next().unwrap_or_default();
        let path = root.join("src").join(file);
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&path);
        let source = source.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let of_a_word = |it: char| it.is_alphanumeric() || it == '_';
        let mut words = source.split(|it| !of_a_word(it));
        assert!(words.any(|word| word == name), "{file} has no {name}");
        named += 1;
    }
    assert!(named > 20, "the places were found: {named}");
}

#[test]
fn every_metric_is_in_the_page_of_the_http_interface() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of_a_name = |it: char| it.is_ascii_lowercase() || it == '_';
    let all = sources(&root.join("src"));
    let quoted = all.split("\"redis_keeper_").skip(1);
    let metrics: BTreeSet<_> = quoted
        .filter_map(|rest| rest.split(|it| !of_a_name(it)).next())
        .map(|name| format!("redis_keeper_{}", name.trim_end_matches("_bucket")))
        .collect();
    assert!(metrics.len() > 15, "the metrics were found: {metrics:?}");
    let page = fs::read_to_string(root.join("docs/http.md")).expect("a readable page");
    let told: BTreeSet<_> = page.split(|it| !of_a_name(it)).collect();
    for metric in metrics {
        let is_told = told.contains(metric.as_str());
        assert!(is_told, "docs/http.md does not tell of {metric}");
    }
}

#[test]
fn every_whole_configuration_loads() {
    let mut loaded = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "json5")
            .into_iter()
            .filter(|block| block.contains("\"clusters\""))
        {
            let name = page.display().to_string();
            if let Err(error) = Config::parse(&name, block, std::iter::empty()) {
                panic!("{error}");
            }
            loaded += 1;
        }
    }
    assert!(loaded > 0, "README.md has one");
}

#[test]
fn the_two_commands_of_the_readme_can_be_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("a README");
    for script in ["examples/demo.sh", "tests/run.sh"] {
        assert!(readme.contains(script), "the README names {script}");
        let mode = fs::metadata(root.join(script))
            .expect(script)
            .permissions()
            .mode();
        assert!(mode & 0o111 != 0, "{script} can be executed");
    }
}

/// The configuration in `text`, with no variables of the environment.
fn configuration(name: &str, text: &str) -> Config {
    Config::parse(name, text, std::iter::empty())
        .unwrap_or_else(|error| panic!("{error}"))
        .0
}

/// The words of each line of `text` whose first word is `first`.
fn lines<'a>(text: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let words = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter(|words| words.first() == Some(&first))
        .collect()
}

#[test]
fn the_sample_files_and_the_pages_agree_on_ports_names_and_nodes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).expect("a file of ours");
    let (readme, haproxy) = (read("README.md"), read("conf/haproxy.cfg"));
    let keeper = configuration("conf/keeper.conf", &read("conf/keeper.conf"));
    let smallest = configuration("README.md", blocks(&readme, "json5")[0]);
    let port = keeper.rest.port;
    assert_eq!(
        port, smallest.rest.port,
        "the sample's port and the default"
    );

    let cluster = &keeper.clusters[0];
    let nodes: BTreeSet<_> = cluster.nodes.iter().map(|it| it.addr.to_string()).collect();
    let mut asked = BTreeSet::new();
    for server in lines(&haproxy, "server") {
        let [_, name, at] = server[..] else {
            panic!("{server:?}")
        };
        if name.starts_with("keeper-") {
            assert!(at.ends_with(&format!(":{port}")), "{server:?}");
        } else {
            assert_eq!(name, at, "named as the keepers' configuration has it");
            asked.insert(at.to_owned());
        }
    }
    assert_eq!(asked, nodes);

    let checks = lines(&haproxy, "default-server");
    let checks: Vec<_> = checks.iter().filter(|it| it.contains(&"addr")).collect();
    let after = |words: &[&str], word: &str| {
        let at = words.iter().position(|it| *it == word);
        at.and_then(|at| words.get(at + 1)).map(ToString::to_string)
    };
    let [check] = checks[..] else {
        panic!("{checks:?}")
    };
    let addr = after(check, "addr").zip(after(check, "port"));
    let (host, own) = addr.expect("where checks go");
    let bound = lines(&haproxy, "bind");
    let bound = bound.iter().any(|bind| bind[1] == format!("{host}:{own}"));
    assert!(bound, "HAProxy listens where it sends its checks");
    for send in lines(&haproxy, "http-check") {
        let Some(path) = after(&send, "uri").filter(|it| it != "/ready") else {
            continue;
        };
        let ours = format!("/cluster/{}/", cluster.name);
        assert!(path.starts_with(&ours), "{path}");
    }

    let mut told = 0;
    for (page, text) in pages() {
        for keeper in ["keeper:", "KEEPER:", "keeper-1:", "REDIS_KEEPER_REST_PORT="] {
            for said in text.split(keeper).skip(1) {
                let digits: String = said.chars().take_while(char::is_ascii_digit).collect();
                if !digits.is_empty() {
                    assert_eq!(digits, port.to_string(), "{}: {keeper}", page.display());
                    told += 1;
                }
            }
        }
    }
    assert!(told > 5, "the pages were read: {told}");
}
