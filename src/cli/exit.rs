//! Exit codes, after the BSD `sysexits`.

use std::process::ExitCode;

/// The way in which the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Success: 0.
    Success,
    /// The program gave up; the last line of the log says why: 1.
    Failure,
    /// The arguments are wrong (`EX_USAGE`): 64.
    Usage,
    /// The configuration is wrong, and a restart will not help (`EX_CONFIG`): 78.
    Config,
}

impl Exit {
    /// The code itself.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 64,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
