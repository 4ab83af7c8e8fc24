//! The text format of Prometheus: families of samples, one after the other.

use std::fmt::{Display, Write as _};

/// The page as written so far.
pub(super) struct Page(String);

/// A family of samples with one name.
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

impl Page {
    /// Continues a page after the given text.
    pub(super) fn after(text: String) -> Self {
        Self(text)
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Begins a family of gauges: values that rise and fall.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a family of counters: counts since the process began.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { page: self, name }
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)))
            .collect();
        let name = self.name;
        if labels.is_empty() {
            self.page.line(format_args!("{name} {value}"));
        } else {
            let labels = labels.join(",");
            self.page.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    /// Adds a sample that is 1 if `set`, and 0 if not.
    pub(super) fn flag(&mut self, labels: &[(&str, &str)], set: bool) {
        self.sample(labels, u8::from(set));
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::after(String::new());
        page.gauge("x", "An x.").sample(&[("a", "\"\\\n")], 1.5);
        assert_eq!(
            page.finish(),
            "# HELP x An x.\n# TYPE x gauge\nx{a=\"\\\"\\\\\\n\"} 1.5\n"
        );
    }
}
