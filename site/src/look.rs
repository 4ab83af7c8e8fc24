//! `redis-keeper check --live`, run as an operator runs it.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::keeper::program;
use super::redis::Redis;

/// The result of a run of `check --live`.
pub struct Look {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// The standard output: the effective configuration.
    pub effective: Vec<u8>,
    /// The standard error: the report.
    pub report: String,
}

/// A cluster of these nodes, as JSON of a configuration file.
pub fn cluster(name: &str, nodes: &[&Redis]) -> Value {
    let node = |redis: &&Redis| json!({"host": redis.at().ip(), "port": redis.at().port()});
    json!({"name": name, "nodes": nodes.iter().map(node).collect::<Value>()})
}

/// Runs `check --live` with this configuration.
pub async fn look_live(config: &Value) -> Look {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("keeper.conf");
    std::fs::write(&file, config.to_string()).expect("keeper.conf");
    let mut check = Command::new(program());
    check.args(["check", "--live"]).arg(&file);
    let output = tokio::task::spawn_blocking(move || check.output());
    let output = output.await.expect("no panic").expect("it runs");
    Look {
        code: output.status.code(),
        effective: output.stdout,
        report: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
