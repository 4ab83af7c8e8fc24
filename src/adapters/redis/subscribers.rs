//! Lists the subscribers of the channel on which Redis Sentinels announce themselves.

use redis::Value;

use super::reply;
use super::wire::{Wire, WireError};
use crate::ports::redis::Subscribers;

/// Each Sentinel publishes its address here, and reads the addresses of the others.
const CHANNEL: &str = "__sentinel__:hello";

/// The arguments of `PUBSUB` that ask for the number of subscribers.
pub(super) const COUNT: [&str; 2] = ["NUMSUB", CHANNEL];

/// The number of hexadecimal digits of a Sentinel's id in the names of its connections.
const ID_DIGITS: usize = 8;

/// Sorts the `count` subscribers into Sentinels and others.
///
/// A Sentinel has two connections from one host to every server that it watches. Both bear its id:
/// `sentinel-<8 digits>-pubsub` subscribes, `sentinel-<8 digits>-cmd` sends commands. Source:
/// <https://github.com/redis/redis/blob/7.0/src/sentinel.c>, `sentinelSetClientName`. Any other client can subscribe,
/// too.
pub(super) async fn sorted(wire: &mut Wire, count: usize) -> Subscribers {
    let mut sentinels = match listed(wire, "pubsub", "-pubsub").await {
        Ok(listening) if !listening.is_empty() => {
            let commanding = listed(wire, "normal", "-cmd").await.unwrap_or_default();
            let commands = |sentinel: &String| commanding.contains(sentinel);
            listening.into_iter().filter(commands).collect()
        }
        _ => Vec::new(),
    };
    sentinels.sort();
    sentinels.dedup();
    Subscribers {
        others: count.saturating_sub(sentinels.len()),
        sentinels,
    }
}

/// Lists the connections of type `kind` with a Sentinel's name that ends in `suffix`, each as
/// `sentinel-<8 digits> at <host>`.
async fn listed(wire: &mut Wire, kind: &str, suffix: &str) -> Result<Vec<String>, WireError> {
    let list = wire.call(&["CLIENT", "LIST", "TYPE", kind]).await?;
    let list = reply::text(&list).unwrap_or_default();
    let lines = list.lines();
    Ok(lines.filter_map(|line| sentinel(line, suffix)).collect())
}

/// Parses one client of `CLIENT LIST`: `id=3 addr=10.0.0.9:41000 … name=sentinel-a1b2c3d4-pubsub …`. The result
/// leaves out the port, which differs for each connection.
fn sentinel(client: &str, suffix: &str) -> Option<String> {
    let value = |key| client.split(' ').find_map(|field| field.strip_prefix(key));
    let name = value("name=")?.strip_suffix(suffix)?;
    let id = name.strip_prefix("sentinel-")?;
    let (host, _port) = value("addr=")?.rsplit_once(':')?;
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| format!("{name} at {host}"))
}

/// The number of subscribers in the reply to [`COUNT`].
pub(super) fn counted(reply: &Value) -> Option<usize> {
    match reply::items(reply) {
        [_, Value::Int(count)] => usize::try_from(*count).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_is_named_by_its_id_and_host() {
        let line =
            "id=3 addr=[::1]:41000 laddr=[::1]:6379 fd=8 name=sentinel-a1b2c3d4-pubsub age=1";
        let named = Some("sentinel-a1b2c3d4 at [::1]".to_owned());
        assert_eq!(sentinel(line, "-pubsub"), named);
        assert_eq!(sentinel(line, "-cmd"), None);
        for name in [
            "app",
            "sentinel-a1b2-pubsub",
            "sentinel--pubsub",
            "sentinel-a1b2c3dx-pubsub",
        ] {
            let line = format!("id=3 addr=10.0.0.9:41000 name={name}");
            assert_eq!(sentinel(&line, "-pubsub"), None, "{name}");
        }
        assert_eq!(sentinel("", "-pubsub"), None);
    }
}
