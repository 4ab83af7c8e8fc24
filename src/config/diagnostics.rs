//! Collects all problems of a configuration, to report them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::spans::{self, Spans};

/// The longest value that is quoted in full, in characters.
const QUOTED: usize = 60;

/// The place where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file.
    File {
        /// The line of the value, or of the object that should contain the value; the first line is 1. `None` if
        /// unknown.
        line: Option<usize>,
    },
    /// In this environment variable.
    Environment {
        /// The whole name of the variable.
        variable: String,
    },
}

/// A problem that makes the configuration unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path in the document: `clusters[1].nodes[0].port`; empty for the document itself.
    pub path: String,
    /// The place where the value was written.
    pub origin: Origin,
    /// The value as written, cut to 60 characters. `None` if the value is absent, an object or a list, or may be a
    /// secret.
    pub value: Option<String>,
    /// The fault: `is not a port`.
    pub fault: String,
    /// The remedy: `write a whole number from 1 to 65535`.
    pub remedy: String,
}

/// A permitted setting that has a cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The path in the document.
    pub path: String,
    /// The place where the value was written.
    pub origin: Origin,
    /// The cost, and how to avoid it.
    pub text: String,
}

/// The reason why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file and the environment were read, and have problems.
    #[error("{}", listing(file, problems, warnings))]
    Invalid {
        /// The name of the file, as it is shown.
        file: String,
        /// The problems, at least one: in the order of the file, then those of the environment.
        problems: Vec<Problem>,
        /// The warnings about the same file.
        warnings: Vec<Warning>,
    },
}

/// The value of an environment variable for one path.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) variable: String,
    /// The value as written; `None` for a secret or an object.
    pub(super) text: Option<String>,
}

/// Collects problems and warnings, and knows the place of every value.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    spans: Spans,
    overrides: BTreeMap<String, Override>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    unsound: BTreeSet<String>,
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}; {}", self.fault, self.remedy)
    }
}

// === impl Warning ===

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

// === impl Origin ===

impl Origin {
    /// The prefix of a message: `keeper.conf:7`, or the name of the variable.
    pub fn prefix(&self, file: &str) -> String {
        match self {
            Self::File { line: Some(line) } => format!("{file}:{line}"),
            Self::File { line: None } => file.to_owned(),
            Self::Environment { variable } => variable.clone(),
        }
    }
}

fn listing(file: &str, problems: &[Problem], warnings: &[Warning]) -> String {
    let noun = if problems.len() == 1 {
        "problem"
    } else {
        "problems"
    };
    let mut lines = vec![format!("{} {noun} in the configuration", problems.len())];
    for problem in problems {
        lines.push(format!("{}: {problem}", problem.origin.prefix(file)));
    }
    for warning in warnings {
        lines.push(format!(
            "{}: warning: {warning}",
            warning.origin.prefix(file)
        ));
    }
    lines.join("\n  ")
}

// === impl Diagnostics ===

impl Diagnostics {
    pub(super) fn new(spans: Spans, overrides: BTreeMap<String, Override>) -> Self {
        Self {
            spans,
            overrides,
            ..Self::default()
        }
    }

    /// Adds a problem with the value at `path`. The message quotes the value.
    pub(super) fn problem(
        &mut self,
        path: &str,
        fault: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let value = self.written(path);
        self.push(path, self.origin(path), value, fault.into(), remedy.into());
    }

    /// Adds a problem at `path` without a quotation: the value is absent, or may be a secret.
    pub(super) fn unquoted(
        &mut self,
        path: &str,
        fault: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.push(path, self.origin(path), None, fault.into(), remedy.into());
    }

    /// Adds a problem with an environment variable that fits no path in the document.
    pub(super) fn variable(
        &mut self,
        variable: &str,
        fault: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let origin = Origin::Environment {
            variable: variable.to_owned(),
        };
        self.push("", origin, None, fault.into(), remedy.into());
    }

    fn push(
        &mut self,
        path: &str,
        origin: Origin,
        value: Option<String>,
        fault: String,
        remedy: String,
    ) {
        self.unsound.insert(path.to_owned());
        let problem = Problem {
            path: path.to_owned(),
            origin,
            value,
            fault,
            remedy,
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds a warning about the value at `path`.
    pub(super) fn warning(&mut self, path: &str, text: impl Into<String>) {
        let warning = Warning {
            path: path.to_owned(),
            origin: self.origin(path),
            text: text.into(),
        };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Adds a problem for each key that an object of the file has twice.
    pub(super) fn repeated_keys(&mut self) {
        for (path, line) in std::mem::take(&mut self.spans.repeated) {
            let origin = Origin::File { line: Some(line) };
            self.push(
                &path,
                origin,
                None,
                "is written twice".to_owned(),
                "keep one of them".to_owned(),
            );
        }
    }

    /// Whether none of `paths` has a problem, so that their values can be compared.
    pub(super) fn sound(&self, paths: &[&str]) -> bool {
        !paths.iter().any(|path| self.unsound.contains(*path))
    }

    /// Whether the file or the environment has a value at `path`.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.override_of(path).is_some() || self.spans.get(path).is_some()
    }

    /// The first of `paths` that has a written value; else the first of all.
    pub(super) fn first_written<'p>(&self, paths: &[&'p str]) -> &'p str {
        paths
            .iter()
            .find(|path| self.is_written(path))
            .unwrap_or(&paths[0])
    }

    /// Ends the report, and returns the warnings.
    ///
    /// # Errors
    /// There are problems. The error has them in the order of the file.
    pub(super) fn finish(self, file: &str) -> Result<Vec<Warning>, ConfigError> {
        let Self {
            mut problems,
            warnings,
            ..
        } = self;
        if problems.is_empty() {
            return Ok(warnings);
        }
        problems.sort_by_key(|problem| match problem.origin {
            Origin::File { line } => line.unwrap_or(0),
            Origin::Environment { .. } => usize::MAX,
        });
        let file = file.to_owned();
        Err(ConfigError::Invalid {
            file,
            problems,
            warnings,
        })
    }

    /// The place of `path`, or of the nearest object or list around it.
    fn origin(&self, path: &str) -> Origin {
        if let Some((_, Override { variable, .. })) = self.override_of(path) {
            return Origin::Environment {
                variable: variable.clone(),
            };
        }
        let line = spans::and_enclosing(path).find_map(|path| Some(self.spans.get(path)?.line));
        Origin::File { line }
    }

    /// The variable that sets `path`, or an object or list around it. The flag says whether the variable sets `path`
    /// itself.
    fn override_of(&self, path: &str) -> Option<(bool, &Override)> {
        spans::and_enclosing(path)
            .find_map(|above| Some((above == path, self.overrides.get(above)?)))
    }

    /// The scalar as written at `path`, shortened.
    fn written(&self, path: &str) -> Option<String> {
        let text = match self.override_of(path) {
            Some((here, Override { text, .. })) => text.as_ref().filter(|_| here)?,
            None => self.spans.get(path)?.text.as_ref()?,
        };
        let mut shown: String = text.chars().take(QUOTED).flat_map(printable).collect();
        if text.chars().count() > QUOTED {
            shown.push('…');
        }
        Some(shown)
    }
}

/// The character in a form that a terminal can show.
fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Diagnostics {
        let spans = Spans::scan("{\n  rest: 1,\n  nodes: [\n    {host: 'a'},\n  ],\n}");
        let text = Some("\u{1b}[2J".to_owned());
        let variable = "REDIS_KEEPER_LOG_LEVEL".to_owned();
        let overrides = [("log-level".to_owned(), Override { variable, text })];
        Diagnostics::new(spans, overrides.into())
    }

    #[test]
    fn what_is_missing_is_told_at_the_line_of_what_should_contain_it() {
        let mut report = report();
        report.unquoted("nodes[0].port", "is missing", "add it");
        assert_eq!(report.problems[0].origin, Origin::File { line: Some(4) });
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_and_those_of_the_environment_last() {
        let mut report = report();
        report.problem("log-level", "is not a level", "write a level");
        report.problem("nodes[0].host", "is no host", "name one");
        report.problem("rest", "is not a port", "write a port");
        report.warning("rest", "costs something");
        let error = report.finish("k.conf").unwrap_err().to_string();
        let expected = [
            "3 problems in the configuration",
            "k.conf:2: rest = 1: is not a port; write a port",
            "k.conf:4: nodes[0].host = 'a': is no host; name one",
            "REDIS_KEEPER_LOG_LEVEL: log-level = \\u{1b}[2J: is not a level; write a level",
            "k.conf:2: warning: rest: costs something",
        ];
        assert_eq!(error, expected.join("\n  "));
    }

    #[test]
    fn a_value_with_a_problem_is_not_compared_with_others() {
        let mut report = report();
        report.problem("rest", "is not a port", "write a port");
        assert!(!report.sound(&["nodes", "rest"]));
        assert!(report.sound(&["nodes"]));
    }
}
