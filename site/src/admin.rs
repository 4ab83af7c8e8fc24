//! A keeper's answers to an operator, and a keeper that works alone.

use serde_json::Value;

use super::keeper::{HttpAnswer, Keeper, Settings};
use super::net::Net;
use super::redis::Redis;
use super::wait::{SOON, eventually};

impl Keeper {
    /// Starts a keeper with embedded coordination, and waits until it is ready: for scenarios that are not about
    /// votes.
    pub async fn alone(net: &Net, settings: &Settings) -> Self {
        let keeper = Self::launch_embedded("keeper", net, settings);
        keeper.wait_ready().await;
        keeper
    }

    /// Starts such a keeper for a cluster `cache` of `nodes`. Waits until the first node is the primary, and the
    /// others are its replicas.
    pub async fn alone_for(net: &Net, settings: Settings, nodes: &[&Redis]) -> Self {
        let settings = settings.cluster("cache", nodes.iter().copied());
        let keeper = Self::alone(net, &settings).await;
        let (primary, replicas) = nodes.split_first().expect("a primary");
        keeper.wait_topology("cache", primary, replicas).await;
        keeper
    }

    /// The answer to `GET /admin/{path}`. The keeper is asked again while it does not know in time, as on a busy
    /// machine.
    pub async fn admin(&self, path: &str) -> Value {
        let what = format!("{} to answer /admin/{path}", self.id());
        eventually(SOON, what, async || {
            let answer = self.get(&format!("/admin/{path}")).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let known = (answer.code == 200).then_some(answer.body.clone());
            known.ok_or_else(|| format!("{answer:?}"))
        })
        .await
    }

    /// Whether the keeper calls `node` writable. The keeper is asked again while it does not know.
    pub async fn calls_writable(&self, cluster: &str, node: &Redis) -> bool {
        let what = format!("{} to say whether {} is writable", self.id(), node.at());
        eventually(SOON, what, async || {
            yes_or_no(self.is_writable(cluster, node).await)
        })
        .await
    }

    /// Whether the keeper calls `node` readable. The keeper is asked again while it does not know.
    pub async fn calls_readable(&self, cluster: &str, node: &Redis) -> bool {
        let what = format!("{} to say whether {} is readable", self.id(), node.at());
        eventually(SOON, what, async || {
            yes_or_no(self.is_readable(cluster, node).await)
        })
        .await
    }

    /// Waits until the keeper's plan for `cluster` contains all of `words`. Returns the plan: the next action, or the
    /// reason for none.
    pub async fn wait_plan(&self, cluster: &str, words: &[&str]) -> String {
        let what = format!("the plan of {} to say {words:?}", self.id());
        eventually(SOON, what, async || {
            let view = self.admin(&format!("clusters/{cluster}")).await;
            let plan = view["plan"].as_str().unwrap_or_default().to_owned();
            if words.iter().all(|word| plan.contains(word)) {
                Ok(plan)
            } else {
                Err(plan)
            }
        })
        .await
    }

    /// The generation of the state that the keeper has read of `cluster`. Every withdrawal and publication raises it.
    pub async fn generation(&self, cluster: &str) -> u64 {
        let view = self.admin(&format!("clusters/{cluster}")).await;
        let generation = view["published"]["generation"].as_u64();
        generation.unwrap_or_else(|| panic!("nothing is published: {view}"))
    }

    /// The keeper's view of `node`, its monitor included.
    pub async fn node(&self, cluster: &str, node: &Redis) -> Value {
        self.admin(&format!("clusters/{cluster}/nodes/{}", node.node()))
            .await
    }

    /// Waits until the keeper counts exactly the votes of `keepers` against `node`.
    pub async fn wait_votes(&self, cluster: &str, node: &Redis, keepers: &[&str]) {
        let what = format!("{} to count the votes of {keepers:?}", self.id());
        eventually(SOON, what, async || {
            let view = self.node(cluster, node).await;
            let votes = view["verdict"]["votes"].as_object();
            let as_wanted = votes.is_some_and(|votes| votes.keys().eq(keepers));
            as_wanted.then_some(()).ok_or(view)
        })
        .await;
    }

    /// Waits until the keeper's last probe of `node` has failed.
    pub async fn wait_trouble(&self, cluster: &str, node: &Redis) {
        let what = format!("{} to get no answer of {}", self.id(), node.at());
        eventually(SOON, what, async || {
            let view = self.node(cluster, node).await;
            (view["monitor"]["consecutive-failures"] != 0)
                .then_some(())
                .ok_or(view)
        })
        .await;
    }

    /// Waits until the keeper has probed `node` `count` more times, with whatever result.
    pub async fn wait_probes(&self, cluster: &str, node: &Redis, count: u64) {
        let what = format!("{} to probe {} {count} times", self.id(), node.at());
        let mut goal = None;
        eventually(SOON, what, async || {
            let view = self.node(cluster, node).await;
            let probes = view["monitor"]["probes"].as_u64();
            goal = goal.or(probes.map(|probes| probes + count));
            (goal.is_some() && probes >= goal).then_some(()).ok_or(view)
        })
        .await;
    }
}

fn yes_or_no(answer: reqwest::Result<HttpAnswer>) -> Result<bool, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.code {
        200 => Ok(true),
        503 => Ok(false),
        _ => Err(format!("{answer:?}")),
    }
}
