//! Whether this keeper's commands would be carried out at a node (RK-6): a login on a new connection, and the rights of its user, tell
//! before a failover needs them.

use super::facts::Sighting;

impl Sighting {
    /// Why the node cannot be commanded. That it can be is no news: nobody doubted it.
    pub fn not_commandable(&self) -> Option<&str> {
        self.commandable
            .as_ref()?
            .as_ref()
            .err()
            .map(String::as_str)
    }
}
