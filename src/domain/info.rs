//! The reply of `INFO`, read without trusting it.
//!
//! Source: <https://redis.io/docs/latest/commands/info/>.

/// What one `INFO` reply told; a section that was not asked for leaves its fields `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {}
