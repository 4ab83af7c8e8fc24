//! The output of the demo, on a terminal or elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::Trouble;

/// The kind of a step, shown as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// A loss.
    Bad,
    /// Progress.
    Plain,
    /// A recovery.
    Good,
}

/// Writes lines. Colours are used only on a terminal.
pub(super) struct Screen {
    out: io::Stdout,
    colours: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let out = io::stdout();
        Self {
            colours: out.is_terminal() && !unwanted,
            out,
        }
    }

    /// Prints the heading of a chapter.
    pub(super) fn heading(&self, text: &str) -> Result<(), Trouble> {
        self.line(&format!("\n{}\n", self.paint("1", text)))
    }

    /// Prints a fact: a short name, and its text.
    pub(super) fn fact(&self, name: &str, text: &str) -> Result<(), Trouble> {
        self.line(&format!(
            "  {} {text}",
            self.paint("2", &format!("{name:<10}"))
        ))
    }

    /// Prints a command to try, with its purpose.
    pub(super) fn command(&self, command: &str, purpose: &str) -> Result<(), Trouble> {
        self.line(&format!("  {}", self.paint("2", &format!("# {purpose}"))))?;
        self.line(&format!("  {command}"))
    }

    /// Prints an event with its time since the beginning of the chapter.
    pub(super) fn step(
        &self,
        after: Duration,
        tone: Tone,
        name: &str,
        text: &str,
    ) -> Result<(), Trouble> {
        let colour = match tone {
            Tone::Bad => "31",
            Tone::Plain => "36",
            Tone::Good => "32",
        };
        let after = self.paint("2", &format!("{:>+9.3} s", after.as_secs_f64()));
        let name = self.paint(colour, &format!("{name:<11}"));
        self.line(&format!("{after}  {name} {text}"))
    }

    pub(super) fn line(&self, text: &str) -> Result<(), Trouble> {
        writeln!(&self.out, "{text}").map_err(Trouble::at("standard output"))
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
