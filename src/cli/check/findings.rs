//! The findings of `check --live`, and their text.

use std::fmt;

use crate::adapters::redis::inspect::Severity;

/// The findings about one server, or about a matter of several servers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The name of the subject.
    pub(super) name: String,
    /// The findings, each with its remedy.
    pub(super) findings: Vec<Finding>,
}

/// A finding.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) text: String,
    /// The remedy; empty if none is needed.
    pub(super) remedy: String,
}

// === impl Subject ===

impl Subject {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            findings: Vec::new(),
        }
    }

    pub(super) fn note(mut self, text: impl Into<String>) -> Self {
        self.add(Severity::Note, text, "");
        self
    }

    pub(super) fn warning(mut self, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.add(Severity::Warning, text, remedy);
        self
    }

    pub(super) fn problem(mut self, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.add(Severity::Error, text, remedy);
        self
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding {
            severity,
            text: text.into(),
            remedy: remedy.into(),
        });
    }

    /// Whether there are only notes.
    pub(super) fn is_ok(&self) -> bool {
        self.severity() == Severity::Note
    }

    pub(super) fn severity(&self) -> Severity {
        self.findings
            .iter()
            .map(|finding| finding.severity)
            .max()
            .unwrap_or(Severity::Note)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.severity() {
            Severity::Note => "ok",
            severity => word(severity),
        };
        write!(f, "{state:<8} {}", self.name)?;
        for Finding {
            severity,
            text,
            remedy,
        } in &self.findings
        {
            match severity {
                Severity::Note => write!(f, "\n         {text}")?,
                severity => write!(f, "\n         {}: {text}", word(*severity))?,
            }
            if !remedy.is_empty() {
                write!(f, "\n           -> {remedy}")?;
            }
        }
        Ok(())
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "problem",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_as_bad_as_the_worst_that_was_found() {
        let subject = Subject::new("demo a:1").note("Redis 7.0.15, primary");
        assert_eq!(
            subject.to_string(),
            "ok       demo a:1\n         Redis 7.0.15, primary"
        );
        let subject = subject
            .problem("masterauth is not set", "set it")
            .warning("keeps no data", "");
        assert_eq!(
            subject.to_string(),
            "problem  demo a:1\n         Redis 7.0.15, primary\n         problem: masterauth is not set\n           -> set it\n         \
             warning: keeps no data"
        );
    }
}
