//! The keepers' nodes in ZooKeeper, which a test reads itself.

use serde_json::Value;
use zookeeper_client::{Client, Error};

use super::zookeeper::Prefix;

/// The nodes below a prefix, read in a session of the test.
pub struct Tree {
    client: Client,
    root: String,
}

impl Tree {
    /// Connects to the ensemble of `prefix`.
    pub async fn of(prefix: &Prefix<'_>) -> Self {
        let servers: Vec<_> = prefix
            .zookeeper()
            .servers()
            .iter()
            .map(|it| it.at().to_string())
            .collect();
        let client = Client::connect(&servers.join(","))
            .await
            .expect("a session");
        Self {
            client,
            root: prefix.path().to_owned(),
        }
    }

    /// The names of the children of `path`, sorted; none if the node does not exist.
    pub async fn children(&self, path: &str) -> Vec<String> {
        match self.client.list_children(&self.path(path)).await {
            Ok(mut names) => {
                names.sort();
                names
            }
            Err(Error::NoNode) => Vec::new(),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// The JSON at `path` and the version of the node.
    pub async fn json(&self, path: &str) -> (Value, i32) {
        let (data, stat) = self
            .client
            .get_data(&self.path(path))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let json = serde_json::from_slice(&data).unwrap_or_else(|error| panic!("{path}: {error}"));
        (json, stat.version)
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }
}
