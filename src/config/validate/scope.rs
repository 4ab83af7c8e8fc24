//! Where a setting stands that may be given for all clusters, or for one.

use crate::config::diagnostics::Diagnostics;

/// The place of a cluster's settings: with the cluster, or for all clusters.
pub(super) struct Scope<'a> {
    /// The path of the cluster, or of the document.
    pub(super) base: &'a str,
}

// === impl Scope ===

impl Scope<'_> {
    /// The path of `key`, a plain key or `redis.…`.
    pub(super) fn path(&self, key: &str, report: &Diagnostics) -> String {
        let own = if self.base.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.base)
        };
        if report.is_written(&own) {
            own
        } else {
            key.to_owned()
        }
    }
}
