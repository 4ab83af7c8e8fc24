//! Plans in words, for logs and `/admin/clusters`.

use std::fmt;

use super::{Action, Change, Plan};
use crate::domain::node::NodeAddr;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(action) = &self.action {
            write!(f, "{action}")?;
        } else if self.holds.is_empty() {
            return f.write_str("nothing to do");
        }
        for (index, hold) in self.holds.iter().enumerate() {
            let separator = if index == 0 && self.action.is_none() {
                ""
            } else {
                "; "
            };
            write!(f, "{separator}{hold}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |addr: Option<&NodeAddr>| addr.map_or_else(|| "none".to_owned(), ToString::to_string);
        match self {
            Self::Write { state, change } => match change {
                Change::Withdraw => {
                    let old = state.intent.as_ref().and_then(|intent| intent.old.as_ref());
                    write!(f, "withdraw the primary ({})", name(old))
                }
                Change::Publish => {
                    write!(f, "publish {} as the primary", name(state.primary.as_ref()))
                }
                Change::Note => f.write_str("note replicas and data history of the primary"),
            },
            Self::Promote { node, .. } => write!(f, "promote {node}"),
            Self::Follow { nodes, primary } => {
                write!(f, "make {} follow {primary}", super::list(nodes))
            }
        }
    }
}
