//! Panics of supervised code, caught and turned into a cause.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// The message of a panic, and its place if [`install_panic_hook`] was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// The panic's message; empty if it was not text.
    pub message: String,
    /// `file:line:column`.
    pub location: Option<String>,
}

impl Panic {
    fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self {
            message: text.unwrap_or_default().to_owned(),
            location: LOCATION.take(),
        }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)?;
        self.location
            .iter()
            .try_for_each(|location| write!(f, " at {location}"))
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets the causes of exits name the place where a child panicked. To be called once, at the start of the process.
///
/// A panic of supervised code is then no longer printed, since its supervisor logs it. Every other panic goes to the
/// hook that was there before.
pub fn install_panic_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if GUARDED.get() {
            LOCATION.set(info.location().map(ToString::to_string));
        } else {
            previous(info);
        }
    }));
}

/// Runs supervised code to its return or its panic.
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(outer);
    outcome.map_err(|payload| Panic::from_payload(payload.as_ref()))
}
