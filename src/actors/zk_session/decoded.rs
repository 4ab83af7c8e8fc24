//! Nodes of ZooKeeper as values of the core, with their content decoded.

use std::collections::BTreeSet;

use crate::domain::keepers::stored::{Listing, Stamp, Stored};
use crate::domain::node::KeeperId;
use crate::domain::published::Published;
use crate::layout::state::Document;
use crate::ports::coordination::{Children, Node};

/// The node, with its document.
pub(super) fn stored<T: Document>(node: &Node) -> Stored<T> {
    Stored {
        stamp: stamp(node),
        content: T::decode(&node.data).map_err(|error| error.to_string()),
    }
}

/// The node of a cluster's state. A node without data publishes nothing.
pub(super) fn state(node: &Node) -> Stored<Option<Published>> {
    if node.data.is_empty() {
        return Stored {
            stamp: stamp(node),
            content: Ok(None),
        };
    }
    let Stored { stamp, content } = stored(node);
    Stored {
        stamp,
        content: content.map(Some),
    }
}

/// The counters of the node.
pub(super) fn stamp(node: &Node) -> Stamp {
    let &Node {
        created,
        version,
        owner,
        ..
    } = node;
    Stamp {
        created,
        version,
        owner,
    }
}

/// The keepers that the children are named after.
pub(super) fn keepers(names: Vec<String>) -> BTreeSet<KeeperId> {
    names.into_iter().map(KeeperId::new).collect()
}

/// The keepers that the children are named after, with ZooKeeper's count of changes.
pub(super) fn listing(children: Children) -> Listing {
    Listing {
        keepers: keepers(children.names),
        changes: children.changes,
    }
}
