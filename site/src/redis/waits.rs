//! Waits for a state of a server.

use std::collections::BTreeMap;

use super::super::wait::{SOON, eventually};
use super::{Redis, Role};

impl Redis {
    /// Waits until the server has loaded its data and answers, or asks for a password.
    pub async fn wait_answering(&self) {
        eventually(
            SOON,
            format_args!("{} to answer", self.at),
            async || match self.try_run::<String>("PING").await {
                Err(error) if error.code() == Some("NOAUTH") => Ok(()),
                answered => answered.map(drop),
            },
        )
        .await;
    }

    /// Waits until the server has `role`.
    pub async fn wait_role(&self, role: Role) {
        let wire = match role {
            Role::Primary => "master",
            Role::Replica => "slave",
        };
        let what = format!("{} to be {role:?}", self.at);
        eventually(SOON, what, async || {
            let info = self
                .info("replication")
                .await
                .map_err(|error| error.to_string())?;
            let found = (info.get("role").map(String::as_str) == Some(wire)).then_some(());
            found.ok_or_else(|| format!("{info:?}"))
        })
        .await;
    }

    /// Waits until the server holds a key.
    pub async fn wait_data(&self) {
        eventually(
            SOON,
            format!("{} to hold data", self.at),
            async || match self.try_run::<usize>("DBSIZE").await {
                Ok(found) if found > 0 => Ok(()),
                seen => Err(format!("{seen:?}")),
            },
        )
        .await;
    }

    /// Waits until the server holds `count` keys.
    pub async fn wait_key_count(&self, count: usize) {
        let what = format!("{} to hold {count} keys", self.at);
        eventually(SOON, what, async || {
            match self.try_run::<usize>("DBSIZE").await {
                Ok(found) if found == count => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await;
    }

    /// Waits until all `replicas` follow with their links up, and have everything that the server had at this call.
    pub async fn wait_followed_by(&self, replicas: &[&Redis]) {
        for replica in replicas {
            replica.wait_in_step_with(self).await;
        }
    }

    /// Waits until `replica`, the only one, has acknowledged everything: a server that is told to end waits for that.
    pub async fn wait_acknowledged_by(&self, replica: &Redis) {
        replica.wait_in_step_with(self).await;
        let what = format!("{} to have acknowledged all of {}", replica.at, self.at);
        eventually(SOON, what, async || {
            let info = self.info("replication").await;
            let info = info.map_err(|error| error.to_string())?;
            let sent = format!("offset={},", info["master_repl_offset"]);
            let all = info.get("slave0").is_some_and(|it| it.contains(&sent));
            all.then_some(()).ok_or_else(|| format!("{info:?}"))
        })
        .await;
    }

    /// Waits until the append-only file has the data of the first synchronisation: Redis rewrites the file after it.
    pub async fn wait_append_only(&self) {
        let what = format!("{} to have written its append-only file", self.at);
        eventually(SOON, what, async || {
            let told = self.info("persistence").await;
            let told = told.map_err(|error| error.to_string())?;
            let is = |key: &str, value: &str| told.get(key).is_some_and(|told| told == value);
            let written = is("aof_enabled", "1")
                && is("aof_rewrite_in_progress", "0")
                && is("aof_rewrite_scheduled", "0");
            written.then_some(()).ok_or(format!("{told:?}"))
        })
        .await;
    }

    /// Waits until the server is in the middle of a full synchronisation with `primary`.
    pub async fn wait_synchronising_with(&self, primary: &Redis) {
        let what = format!("{} to synchronise with {}", self.at, primary.at);
        eventually(SOON, what, async || {
            let info = self.info("replication").await;
            let info = info.map_err(|error| error.to_string())?;
            let says = |key: &str, value: &str| info.get(key).is_some_and(|it| it == value);
            let synchronises = says("master_host", &primary.at.ip().to_string())
                && says("master_sync_in_progress", "1");
            synchronises.then_some(()).ok_or(format!("{info:?}"))
        })
        .await;
    }

    /// Waits until the server follows `primary` with its link up, and has everything that `primary` had at this call.
    pub async fn wait_in_step_with(&self, primary: &Redis) {
        let offset = |info: &BTreeMap<String, String>, key: &str| {
            info.get(key).and_then(|offset| offset.parse::<u64>().ok())
        };
        let sent = primary.info("replication").await.expect("a live primary");
        let sent = offset(&sent, "master_repl_offset");
        let what = format!("{} to be in step with {}", self.at, primary.at);
        eventually(SOON, what, async || {
            let info = self
                .info("replication")
                .await
                .map_err(|error| error.to_string())?;
            let says = |key: &str, value: &str| info.get(key).is_some_and(|it| it == value);
            let in_step = says("master_host", &primary.at.ip().to_string())
                && says("master_port", &primary.at.port().to_string())
                && says("master_link_status", "up")
                && offset(&info, "slave_repl_offset") >= sent;
            in_step.then_some(()).ok_or_else(|| format!("{info:?}"))
        })
        .await;
    }
}
