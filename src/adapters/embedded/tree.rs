//! The tree of versioned nodes, without sessions and watches. Each operation is deterministic.

use std::collections::BTreeMap;

use crate::ports::coordination::{Children, CoordinationError, CreateKind, Created, Node, Write};

/// All nodes by full path.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Entry>,
    transaction: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    node: Node,
    /// The number of the next sequential child: the number of children ever created.
    sequence: u64,
}

/// The effect of a write on a node. Watches fire for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeEvent {
    Created(String),
    Set(String),
    Deleted(String),
}

type Result<T> = std::result::Result<T, CoordinationError>;

/// The parent of a path; `/` for a child of the root.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(slash) => &path[..slash],
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Entry {
            node: Node {
                data: Vec::new(),
                version: 0,
                created: 0,
                owner: 0,
            },
            sequence: 0,
        };
        Self {
            nodes: BTreeMap::from([("/".to_owned(), root)]),
            transaction: 0,
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<Node> {
        self.nodes.get(path).map(|entry| entry.node.clone())
    }

    pub(super) fn children(&self, path: &str) -> Option<Vec<String>> {
        self.nodes.get(path)?;
        Some(self.child_names(path).map(str::to_owned).collect())
    }

    pub(super) fn children_and_changes(&self, path: &str) -> Option<Children> {
        let created = self.nodes.get(path)?.sequence;
        let names = self.children(path)?;
        let removed = created - names.len() as u64;
        let changes = i32::try_from(created + removed).unwrap_or(i32::MAX);
        Some(Children { names, changes })
    }

    fn child_names(&self, path: &str) -> impl Iterator<Item = &str> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let start = below.len();
        self.nodes
            .range(below.clone()..)
            .take_while(move |(path, _)| path.starts_with(&below))
            .map(move |(path, _)| &path[start..])
            .filter(|name| !name.is_empty() && !name.contains('/'))
    }

    pub(super) fn create(
        &mut self,
        path: &str,
        data: &[u8],
        kind: CreateKind,
        session: i64,
    ) -> Result<(Created, NodeEvent)> {
        let above = self
            .nodes
            .get_mut(parent(path))
            .ok_or_else(|| CoordinationError::NoNode(path.to_owned()))?;
        if above.node.owner != 0 {
            return Err(CoordinationError::Refused(format!(
                "the parent of {path} is ephemeral"
            )));
        }
        let path = match kind {
            CreateKind::EphemeralSequential => format!("{path}{:010}", above.sequence),
            CreateKind::Ephemeral | CreateKind::Persistent => path.to_owned(),
        };
        if self.nodes.contains_key(&path) {
            return Err(CoordinationError::NodeExists(path));
        }
        self.transaction += 1;
        let owner = if kind == CreateKind::Persistent {
            0
        } else {
            session
        };
        let node = Node {
            data: data.to_vec(),
            version: 0,
            created: self.transaction,
            owner,
        };
        if let Some(above) = self.nodes.get_mut(parent(&path)) {
            above.sequence += 1;
        }
        self.nodes.insert(path.clone(), Entry { node, sequence: 0 });
        let created = Created {
            path: path.clone(),
            created: self.transaction,
        };
        Ok((created, NodeEvent::Created(path)))
    }

    fn at_version(&mut self, path: &str, version: Option<i32>) -> Result<&mut Entry> {
        let entry = self
            .nodes
            .get_mut(path)
            .ok_or_else(|| CoordinationError::NoNode(path.to_owned()))?;
        if version.is_some_and(|version| version != entry.node.version) {
            return Err(CoordinationError::BadVersion(path.to_owned()));
        }
        Ok(entry)
    }

    pub(super) fn set(
        &mut self,
        path: &str,
        data: &[u8],
        version: Option<i32>,
    ) -> Result<(i32, NodeEvent)> {
        let node = &mut self.at_version(path, version)?.node;
        data.clone_into(&mut node.data);
        node.version += 1;
        let version = node.version;
        self.transaction += 1;
        Ok((version, NodeEvent::Set(path.to_owned())))
    }

    pub(super) fn delete(&mut self, path: &str, version: Option<i32>) -> Result<NodeEvent> {
        self.at_version(path, version)?;
        if path == "/" || self.child_names(path).next().is_some() {
            return Err(CoordinationError::Refused(format!("{path} has children")));
        }
        self.nodes.remove(path);
        self.transaction += 1;
        Ok(NodeEvent::Deleted(path.to_owned()))
    }

    /// Executes all of the writes, or none. The error names the index of the first write that was refused.
    pub(super) fn multi(&mut self, writes: &[Write]) -> Result<Vec<NodeEvent>> {
        let mut next = self.clone();
        let mut changes = Vec::new();
        for (index, write) in writes.iter().enumerate() {
            let change = match write {
                Write::Check { path, version } => next.at_version(path, *version).map(|_| None),
                Write::Create { path, data } => next
                    .create(path, data, CreateKind::Persistent, 0)
                    .map(|(_, change)| Some(change)),
                Write::Set {
                    path,
                    data,
                    version,
                } => next
                    .set(path, data, *version)
                    .map(|(_, change)| Some(change)),
                Write::Delete { path, version } => next.delete(path, *version).map(Some),
            };
            let change =
                change.map_err(|error| CoordinationError::MultiRefused(index, Box::new(error)))?;
            changes.extend(change);
        }
        *self = next;
        Ok(changes)
    }

    /// Removes the ephemeral nodes of a session that is over.
    pub(super) fn end_session(&mut self, session: i64) -> Vec<NodeEvent> {
        let owned = self
            .nodes
            .extract_if(.., |_, entry| entry.node.owner == session);
        owned.map(|(path, _)| NodeEvent::Deleted(path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn path() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("/a"),
            Just("/b"),
            Just("/a/x"),
            Just("/a/y"),
            Just("/a/x/z")
        ]
        .prop_map(str::to_owned)
    }

    fn version() -> impl Strategy<Value = Option<i32>> {
        proptest::option::of(0..3_i32)
    }

    fn write() -> impl Strategy<Value = Write> {
        prop_oneof![
            path().prop_map(|path| Write::Create {
                path,
                data: vec![1]
            }),
            (path(), version()).prop_map(|(path, version)| Write::Set {
                path,
                data: vec![2],
                version
            }),
            (path(), version()).prop_map(|(path, version)| Write::Delete { path, version }),
            (path(), version()).prop_map(|(path, version)| Write::Check { path, version }),
        ]
    }

    proptest! {
        #[test]
        fn every_node_has_a_parent_and_versions_count_the_writes(writes in vec(write(), 0..40)) {
            let mut tree = Tree::new();
            for write in writes {
                let before = match &write {
                    Write::Set { path, .. } => tree.get(path).map(|node| node.version),
                    _ => None,
                };
                let done = tree.multi(std::slice::from_ref(&write)).is_ok();
                if let (true, Write::Set { path, .. }) = (done, &write) {
                    prop_assert_eq!(tree.get(path).unwrap().version, before.unwrap() + 1);
                }
                for path in tree.nodes.keys() {
                    prop_assert!(tree.nodes.contains_key(parent(path)), "{} is an orphan", path);
                }
            }
        }

        #[test]
        fn a_transaction_happens_whole_or_not_at_all(
            before in vec(write(), 0..20), writes in vec(write(), 1..6)
        ) {
            let mut tree = Tree::new();
            for write in before {
                let _ = tree.multi(&[write]);
            }
            let mut one_by_one = tree.clone();
            let first_refused = writes
                .iter()
                .position(|write| one_by_one.multi(std::slice::from_ref(write)).is_err());
            let untouched = tree.nodes.clone();
            match (tree.multi(&writes), first_refused) {
                (Ok(_), None) => prop_assert_eq!(tree.nodes, one_by_one.nodes),
                (Err(CoordinationError::MultiRefused(index, _)), Some(refused)) => {
                    prop_assert_eq!(index, refused);
                    prop_assert_eq!(tree.nodes, untouched);
                }
                (outcome, _) => prop_assert!(false, "{:?}", outcome),
            }
        }

        #[test]
        fn sequence_numbers_rise_and_the_nodes_go_with_their_session(sessions in vec(1..4_i64, 1..20)) {
            let mut tree = Tree::new();
            let mut last = String::new();
            for session in &sessions {
                let (created, _) = tree.create("/n-", b"", CreateKind::EphemeralSequential, *session).unwrap();
                prop_assert!(created.path > last);
                last = created.path;
            }
            let gone = tree.end_session(2).len();
            prop_assert_eq!(gone, sessions.iter().filter(|session| **session == 2).count());
            prop_assert_eq!(tree.children("/").unwrap().len(), sessions.len() - gone);
        }
    }

    #[test]
    fn children_are_the_direct_ones_only() {
        let mut tree = Tree::new();
        for path in ["/a", "/a/x", "/a/x/z", "/a-b", "/b"] {
            tree.create(path, b"", CreateKind::Persistent, 0).unwrap();
        }
        let names = |path| tree.children(path).map(BTreeSet::from_iter);
        assert_eq!(
            names("/"),
            Some(BTreeSet::from(["a", "a-b", "b"].map(String::from)))
        );
        assert_eq!(names("/a"), Some(BTreeSet::from(["x".to_owned()])));
        assert_eq!(names("/none"), None);
    }
}
