//! Checks whether every cluster is in order again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keeper_site::node::Node;
use keeper_site::redis::Redis;
use tokio::time::{Instant, sleep};

use crate::client::{Client, key};
use crate::schedule::HOSTS;
use crate::site::{Site, name};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(100);

/// The values of all clients' keys at one node.
pub(crate) type Values = BTreeMap<usize, Vec<u8>>;

/// Waits until all clusters are in order:
///
/// - All keepers publish the same primary for each cluster, and call the other two nodes online.
/// - The other two nodes follow the primary, with their links up.
/// - The primary has acknowledged a write of each client since this call.
///
/// Returns the primary of each cluster, and the condition that was met last.
///
/// # Errors
/// The time is over. The error is the last unmet condition.
pub(crate) async fn settled(
    site: &Site,
    clients: &[Client],
    start: Instant,
    within: Duration,
) -> Result<(Vec<usize>, String), String> {
    let called = start.elapsed();
    until(within, async || {
        let mut primaries = Vec::new();
        for cluster in 0..site.redis().len() {
            let primary = primary_of(site, cluster).await;
            primaries.push(primary.map_err(|seen| format!("{}: {seen}", name(cluster)))?);
        }
        for client in clients {
            let (cluster, host) = (client.cluster(), client.host());
            let latest = client.latest();
            let served = latest.is_some_and(|write| {
                write.acknowledged > called && write.node == primaries[cluster]
            });
            if !served {
                let name = name(cluster);
                return Err(format!(
                    "{name}: the client on host {host} was last served at {latest:?}"
                ));
            }
        }
        Ok(primaries)
    })
    .await
}

/// Waits until all nodes of `cluster` have the same data, and returns the data.
///
/// # Errors
/// The time is over. The error is the last difference.
pub(crate) async fn same_data(
    site: &Site,
    cluster: usize,
    within: Duration,
) -> Result<Values, String> {
    let same = until(within, async || {
        let mut first = None;
        for host in 1..=HOSTS {
            let redis = Arc::clone(&site.redis()[cluster][host - 1]);
            let read = site
                .network()
                .host(host)
                .run(move || async move { values(&redis).await });
            let values = read.await?;
            if *first.get_or_insert_with(|| values.clone()) != values {
                let name = name(cluster);
                return Err(format!("{name}: host {host} holds other data than host 1"));
            }
        }
        first.ok_or_else(|| "no host".to_owned())
    });
    same.await.map(|(values, _)| values)
}

async fn values(redis: &Redis) -> Result<Values, String> {
    let mut values = Values::new();
    for host in 1..=HOSTS {
        let value: Option<Vec<u8>> = redis
            .try_run(&format!("GET {}", key(host)))
            .await
            .map_err(|error| format!("{}: {error}", redis.at()))?;
        values.insert(host, value.unwrap_or_default());
    }
    let keys: usize = redis.try_run("DBSIZE").await.unwrap_or_default();
    let expected = values.values().filter(|value| !value.is_empty()).count();
    if keys == expected {
        Ok(values)
    } else {
        Err(format!("{}: {keys} keys", redis.at()))
    }
}

async fn primary_of(site: &Site, cluster: usize) -> Result<usize, String> {
    let mut primary = None;
    for (host, keeper) in site.network().hosts().iter().zip(site.keepers()) {
        let (keeper, name) = (Arc::clone(keeper), name(cluster));
        let status = host
            .run(move || async move { keeper.status(&name).await })
            .await
            .map_err(|seen| format!("keeper {}: {seen}", host.number()))?;
        let published = status.primary.as_ref().and_then(Site::host_of);
        let replicas = status.replicas.iter().filter_map(Site::host_of);
        let mut all: Vec<_> = replicas.chain(published).collect();
        all.sort_unstable();
        let agrees = primary.is_none() || primary == published;
        match published {
            Some(published) if agrees && all == (1..=HOSTS).collect::<Vec<_>>() => {
                primary = Some(published);
            }
            _ => return Err(format!("keeper {}: {status:?}", host.number())),
        }
    }
    let primary = primary.ok_or("no keeper")?;
    let followed = site.redis()[cluster][primary - 1].node();
    for host in site.network().hosts() {
        let redis = Arc::clone(&site.redis()[cluster][host.number() - 1]);
        let info = host
            .run(move || async move { redis.info("replication").await })
            .await
            .map_err(|error| format!("Redis {}: {error}", host.number()))?;
        if !is_in_order(&info, (host.number() != primary).then_some(&followed)) {
            return Err(format!("Redis {}: {info:?}", host.number()));
        }
    }
    Ok(primary)
}

/// Whether a node is a primary with all replicas, or follows the given primary with its link up.
fn is_in_order(info: &BTreeMap<String, String>, follows: Option<&Node>) -> bool {
    let says = |key: &str, value: &str| info.get(key).is_some_and(|it| it == value);
    match follows {
        None => {
            // A connection that was lost silently counts until it times out.
            let replicas = info.get("connected_slaves").and_then(|it| it.parse().ok());
            says("role", "master") && replicas.is_some_and(|count: usize| count >= HOSTS - 1)
        }
        Some(primary) => {
            says("master_host", &primary.host)
                && says("master_port", &primary.port.to_string())
                && says("master_link_status", "up")
        }
    }
}

/// Repeats `look` until it succeeds. Returns the result, and the error of the attempt before.
async fn until<T>(
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<(T, String), String> {
    let deadline = Instant::now() + within;
    let mut last = "nothing".to_owned();
    loop {
        match look().await {
            Ok(found) => return Ok((found, last)),
            Err(seen) if Instant::now() > deadline => return Err(seen),
            Err(seen) => last = seen,
        }
        sleep(PAUSE).await;
    }
}
