//! The string literals of Rust sources, for tests that compare words with them.

use std::fs;
use std::path::Path;

/// A string literal of Rust code, and the code around it.
pub(crate) struct Literal<'a> {
    pub(crate) before: &'a str,
    pub(crate) text: String,
    pub(crate) after: &'a str,
}

/// The text of each Rust file below `folder` that `wanted` accepts by its path.
pub(crate) fn files(folder: &str, wanted: &dyn Fn(&str) -> bool) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for entry in fs::read_dir(root.join(folder)).expect("a folder of this repository") {
        let file = entry.expect("a readable folder").path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("{folder}/{name}");
        if file.is_dir() {
            texts.extend(files(&path, wanted));
        } else if file.extension().is_some_and(|it| it == "rs") && wanted(&path) {
            texts.push(fs::read_to_string(file).expect("a readable source"));
        }
    }
    texts
}

/// The string literals of the code. Comments have none; a quotation mark as a character is none.
pub(crate) fn literals(code: &str) -> Vec<Literal<'_>> {
    const CHARACTERS: [&str; 3] = ["'\"'", "'\\\"'", "'/'"];
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'', 'r']) {
        rest = &rest[at..];
        let before = &code[..code.len() - rest.len()];
        let character = CHARACTERS.iter().find(|it| rest.starts_with(**it));
        let (text, after) = if let Some(body) = rest.strip_prefix('"') {
            string(body)
        } else if let Some(body) = rest.strip_prefix("r#\"") {
            let (text, after) = body.split_once("\"#").unwrap_or((body, ""));
            (text.to_owned(), after)
        } else {
            let skipped = match character {
                Some(character) => character.len(),
                None if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                None => 1,
            };
            rest = &rest[skipped..];
            continue;
        };
        found.push(Literal {
            before,
            text,
            after,
        });
        rest = after;
    }
    found
}

/// The string that begins `body`, and the code behind its quotation mark.
fn string(body: &str) -> (String, &str) {
    let mut text = String::new();
    let mut signs = body.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return (text, &body[at + 1..]),
            '\\' => match signs.next().map(|(_, escaped)| escaped) {
                Some('\n') => {
                    let after = signs.as_str();
                    let gap = after.len() - after.trim_start().len();
                    for _ in 0..gap {
                        signs.next();
                    }
                }
                Some('n') => text.push('\n'),
                Some(escaped) => text.push(escaped),
                None => {}
            },
            _ => text.push(sign),
        }
    }
    (text, "")
}

/// The code of each file of `src/`, without its tests: its literals are the words of a keeper.
pub(crate) fn code_of_keepers() -> Vec<String> {
    let of_keepers = |path: &str| {
        let others = ["/tests/", "/tests.rs"];
        !others.iter().any(|other| path.contains(other))
    };
    let files = files("src", &of_keepers).into_iter();
    let code = files.map(|file| {
        let code = file.split("#[cfg(test)]\nmod tests {").next();
        code.unwrap_or_default().to_owned()
    });
    code.collect()
}
