//! Whether a node would carry out this keeper's commands (RK-6). The keeper finds out before a failover needs them:
//! it logs in on a new connection and checks the rights of its user.

use super::observation::NodeObservation;

impl NodeObservation {
    /// Why the node cannot be commanded; `None` if it can, or if it was not tried yet.
    pub fn not_commandable(&self) -> Option<&str> {
        self.commandable
            .as_ref()?
            .as_ref()
            .err()
            .map(String::as_str)
    }
}
