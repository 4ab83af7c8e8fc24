//! The schema: whether a document has known keys only, and each of them a value of its kind. The check covers the whole
//! document, so that it finds every problem and not only the first.

use figment::value::{Dict, Num, Value};

use super::diagnostics::Diagnostics;
use super::keys::{Absent, Key, Kind, keys};
use super::secret::Passwords;
use super::spans;

/// The shortest span of time that can be configured, in seconds.
pub(super) const SHORTEST: f64 = 0.001;
/// The longest span of time that can be configured, in seconds: a day.
pub(super) const LONGEST: f64 = 86_400.0;

// === impl Kind ===

impl Kind {
    /// The remedy of a message: the right form of a value.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Text | Self::Secret => "write text in quotes".to_owned(),
            Self::Passwords => {
                "write text in quotes, or a list of two while the password is changed: [\"…\", \"…\"]".to_owned()
            }
            Self::Texts => "write an object of texts: {NAME: \"…\"}".to_owned(),
            Self::Flag => "write true or false".to_owned(),
            Self::Whole(min, u64::MAX) => format!("write a whole number, {min} or more"),
            Self::Whole(min, max) => format!("write a whole number from {min} to {max}"),
            Self::Port => "write a whole number from 1 to 65535".to_owned(),
            Self::Seconds => {
                format!("write seconds from {SHORTEST} to {LONGEST}, fractions allowed")
            }
            Self::SecondsOrZero => {
                format!("write 0, or seconds from {SHORTEST} to {LONGEST}, fractions allowed")
            }
            Self::Choice(words) => format!("write \"{}\"", words.join("\" or \"")),
            Self::List(Self::Object(_)) => "write a list of objects: [{…}, {…}]".to_owned(),
            Self::List(_) => "write a list: [\"…\", \"…\"]".to_owned(),
            Self::Object(_) => "write an object: {…}".to_owned(),
        }
    }

    /// Whether `value` is of this kind. Members and items are not checked.
    fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text | Self::Secret | Self::Passwords, Value::String(..) | Value::Char(..))
            | (Self::Flag, Value::Bool(..))
            | (Self::List(_), Value::Array(..))
            | (Self::Object(_) | Self::Texts, Value::Dict(..)) => true,
            (Self::Passwords, Value::Array(_, items)) => {
                (1..=Passwords::MOST).contains(&items.len())
                    && items.iter().all(|item| Self::Secret.takes(item))
            }
            (Self::Choice(words), Value::String(_, text)) => words.contains(&text.as_str()),
            (Self::Whole(min, max), Value::Num(_, number)) => {
                whole(*number).is_some_and(|number| (min..=max).contains(&number))
            }
            (Self::Port, _) => Self::Whole(1, 65_535).takes(value),
            (Self::Seconds, Value::Num(_, number)) => (SHORTEST..=LONGEST).contains(&real(*number)),
            (Self::SecondsOrZero, Value::Num(_, number)) => {
                real(*number) == 0.0 || Self::Seconds.takes(value)
            }
            _ => false,
        }
    }

    /// The reason why `value` is not of this kind.
    fn fault(self, value: &Value) -> &'static str {
        match (self, value) {
            (_, Value::Empty(..)) => "is null",
            (Self::Port, Value::Num(..)) => "is not a port",
            (Self::Whole(..), Value::Num(_, number)) if whole(*number).is_some() => {
                "is out of range"
            }
            (Self::Whole(..), Value::Num(..)) => "is not a whole number",
            (Self::Seconds, Value::Num(_, number)) if real(*number).is_nan() => "is not a number",
            (Self::Seconds, Value::Num(_, number)) if real(*number) <= 0.0 => {
                "is not a positive time"
            }
            (Self::Seconds, Value::Num(_, number)) if real(*number) < SHORTEST => "is too short",
            (Self::Seconds, Value::Num(..)) => "is too long",
            (Self::SecondsOrZero, Value::Num(..)) => Self::Seconds.fault(value),
            (Self::Passwords, Value::Array(_, items)) if items.is_empty() => "is empty",
            (Self::Passwords, Value::Array(_, items)) if items.len() > Passwords::MOST => {
                "lists more than two passwords"
            }
            (Self::Passwords, Value::Array(..)) => "lists something else than text",
            (Self::Choice(_), Value::String(..)) => "is not one of the choices",
            (_, Value::String(..) | Value::Char(..)) => "is text",
            (_, Value::Bool(..)) => "is true or false",
            (_, Value::Num(..)) => "is a number",
            (_, Value::Dict(..)) => "is an object",
            (_, Value::Array(..)) => "is a list",
        }
    }

    /// Checks `value` at `path` with all its members and items. Wrong parts go to the report, and are left out of the
    /// result. The result is `None` if `value` itself is wrong.
    fn check(self, value: Value, path: &str, report: &mut Diagnostics) -> Option<Value> {
        if !self.takes(&value) {
            let scalar = !matches!(
                self,
                Self::Secret | Self::Passwords | Self::Texts | Self::List(_) | Self::Object(_)
            );
            let note = if scalar {
                Diagnostics::problem
            } else {
                Diagnostics::unquoted
            };
            note(report, path, self.fault(&value), self.expected());
            return None;
        }
        match (self, value) {
            (Self::Object(groups), Value::Dict(tag, dict)) => {
                Some(Value::Dict(tag, check(groups, dict, path, report)))
            }
            (Self::Texts, Value::Dict(tag, dict)) => {
                let text = |(name, value): (String, Value)| {
                    let value = Self::Text.check(value, &spans::member(path, &name), report)?;
                    Some((name, value))
                };
                Some(Value::Dict(
                    tag,
                    dict.into_iter().filter_map(text).collect(),
                ))
            }
            (Self::List(_), Value::Array(_, items)) if items.is_empty() => {
                report.unquoted(path, "is empty", "list at least one");
                None
            }
            (Self::List(kind), Value::Array(tag, items)) => {
                let mut checked = Vec::with_capacity(items.len());
                for (index, value) in items.into_iter().enumerate() {
                    let null = Value::Empty(tag, figment::value::Empty::None);
                    let value = kind.check(value, &spans::item(path, index), report);
                    checked.push(value.unwrap_or(null));
                }
                Some(Value::Array(tag, checked))
            }
            (_, value) => Some(value),
        }
    }
}

/// The number as a whole number; `None` if it is negative, or was not written as a whole number.
fn whole(number: Num) -> Option<u64> {
    let from_signed = || {
        number
            .to_i128()
            .and_then(|number| u128::try_from(number).ok())
    };
    number
        .to_u128()
        .or_else(from_signed)
        .and_then(|number| u64::try_from(number).ok())
}

/// `number` as a real number.
#[allow(
    clippy::cast_precision_loss,
    reason = "compared with bounds far below the precision"
)]
fn real(number: Num) -> f64 {
    let from_unsigned = || number.to_u128().map(|number| number as f64);
    let from_signed = || number.to_i128().map(|number| number as f64);
    number
        .to_f64()
        .or_else(from_unsigned)
        .or_else(from_signed)
        .unwrap_or(f64::NAN)
}

/// Checks the members of the object at `path`, and returns the right ones. A null counts as absent.
pub(super) fn check(
    groups: &'static [&'static [Key]],
    dict: Dict,
    path: &str,
    report: &mut Diagnostics,
) -> Dict {
    let mut right = Dict::new();
    for key in keys(groups).filter(|key| key.absent == Absent::Required) {
        if dict
            .get(key.name)
            .is_none_or(|value| matches!(value, Value::Empty(..)))
        {
            let path = spans::member(path, key.name);
            report.unquoted(&path, "is missing", key.kind.expected());
        }
    }
    for (name, value) in dict {
        let path = spans::member(path, &name);
        match keys(groups).find(|key| key.name == name) {
            None => {
                let names = keys(groups).map(|key| key.name);
                report.unquoted(&path, "is not a known key", suggestion(&name, "", names));
            }
            Some(_) if matches!(value, Value::Empty(..)) => {}
            Some(key) => {
                if let Some(value) = key.kind.check(value, &path, report) {
                    right.insert(name, value);
                }
            }
        }
    }
    right
}

/// The remedy for the unknown `name`. `prefix` stands before `name` and before all of `known`.
pub(super) fn suggestion<N: AsRef<str>>(
    name: &str,
    prefix: &str,
    known: impl Iterator<Item = N>,
) -> String {
    const ALIKE: f64 = 0.8;
    let name = (name.to_lowercase(), in_order(name));
    let likeness = |known: &N| {
        let same_order = strsim::jaro_winkler(&name.0, &known.as_ref().to_lowercase());
        same_order.max(strsim::jaro_winkler(&name.1, &in_order(known.as_ref())))
    };
    known
        .map(|known| (likeness(&known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(
            || "take it out, or see docs/configuration.md for the known ones".to_owned(),
            |(_, known)| format!("did you mean {prefix}{}?", known.as_ref()),
        )
}

/// The words of `name` in alphabetical order, so that names of the same words are alike.
fn in_order(name: &str) -> String {
    let name = name.to_lowercase();
    let mut words: Vec<_> = name.split(|c: char| !c.is_alphanumeric()).collect();
    words.sort_unstable();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::super::keys::DOCUMENT;
    use super::*;

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest_known_one() {
        let suggested = |name| suggestion(name, "", keys(DOCUMENT).map(|key| key.name));
        for (name, nearest) in [
            ("rest-prot", "rest-port"),
            ("zk_quorum", "zk-quorum"),
            ("tickSeconds", "tick-seconds"),
            ("mark-down-seconds", "seconds-mark-down"),
        ] {
            assert_eq!(suggested(name), format!("did you mean {nearest}?"));
        }
        assert!(suggested("xyzzy").starts_with("take it out"));
    }
}
