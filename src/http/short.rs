//! Names that clients send, as a log or an answer quotes them.

/// The number of characters of a name that are quoted.
const LONGEST: usize = 80;

/// The name, cut to `LONGEST` characters. Control characters are escaped, so that a terminal does not execute them.
pub(super) fn short(name: &str) -> String {
    let mut chars = name.chars();
    let mut told: String = chars
        .by_ref()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if chars.next().is_some() {
        told.push('…');
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_without_its_control_characters_and_not_at_any_length() {
        assert_eq!(short("a\x1b[2J\n"), "a\\u{1b}[2J\\n");
        assert_eq!(short(&"x".repeat(5_000)).chars().count(), LONGEST + 1);
    }
}
