//! The paths in Rust code, comments and strings left out.

/// A path in the code, with `use` groups taken apart.
pub(crate) struct Mention {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// How many inline modules surround the path.
    inline_modules: usize,
}

// === impl Mention ===

impl Mention {
    /// The path from the top, if the path in the file of `module` begins with `crate::`, or with `super::` that leads
    /// out of the file. Other paths lead to the module's own children, or to other crates.
    pub(crate) fn absolute(&self, module: &[String]) -> Option<Vec<String>> {
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
}

/// A word, `::`, or one other sign, with its line number.
pub(crate) type Token<'a> = (&'a str, usize);

/// Every path in the code of `text`, comments and strings left out.
pub(crate) fn mentions(text: &str) -> Vec<Mention> {
    paths(&tokens(&without_comments_and_strings(text)))
}

/// Every path in these tokens.
pub(crate) fn paths(mut tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    collect(&mut tokens, &[], 0, &mut found);
    found
}

/// The tokens of `code`.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
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
pub(crate) fn without_tests<'a>(mut tokens: &[Token<'a>]) -> Vec<Token<'a>> {
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
pub(crate) fn without_comments_and_strings(text: &str) -> String {
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
