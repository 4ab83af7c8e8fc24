//! A keeper shows what the last probe found. Facts that are too old make no statement.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use redis::aio::MultiplexedConnection;
use serde_json::Value;

/// Waits until `replica` is not readable. Returns the status code and the reason.
async fn wait_unreadable(keeper: &Keeper, replica: &Redis) -> (u16, String) {
    eventually(SOON, "the replica to be readable no more", async || {
        let answer = keeper.is_readable("cache", replica).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let reason = answer.body["reason"].to_string();
        let ended = (answer.code != 200).then_some((answer.code, reason));
        ended.ok_or_else(|| format!("{answer:?}"))
    })
    .await
}

/// Runs these commands at `node` as one transaction. Returns the connection.
async fn at_once(node: &Redis, commands: &[&str]) -> MultiplexedConnection {
    let mut transaction = redis::pipe();
    transaction.atomic();
    for line in commands {
        let mut words = line.split_whitespace();
        let command = transaction.cmd(words.next().expect("a command"));
        command.arg(words.collect::<Vec<_>>());
    }
    let mut connection = node.connect().await.expect("a connection");
    let done = transaction.exec_async(&mut connection).await;
    done.unwrap_or_else(|error| panic!("{commands:?} at {}: {error}", node.at()));
    connection
}

#[tokio::test]
async fn a_replica_that_tells_its_state_no_more_is_unknown_and_not_in_good_order_for_ever() {
    let net = Net::new();
    let nodes = Redis::trio(&net).await;
    let [primary, first, second] = &nodes;
    primary.write_keys("kept", 10).await;
    primary.wait_followed_by(&[first, second]).await;
    let elsewhere = Redis::start(&net).await;
    let away = format!(
        "REPLICAOF {} {}",
        elsewhere.at().ip(),
        elsewhere.at().port()
    );
    let settings = Settings::new();
    let keeper = Keeper::alone_for(&net, settings, &nodes.each_ref()).await;
    assert!(keeper.calls_readable("cache", first).await);

    // The keeper's connection to the first replica lives, and gets errors. The second replica cut the connection, and
    // refuses the password.
    at_once(first, &["ACL SETUSER default -info", &away]).await;
    let cut = "CLIENT KILL TYPE normal SKIPME yes";
    at_once(second, &["CONFIG SET requirepass changed", &away, cut]).await;
    for (replica, error) in [(first, "NOPERM"), (second, "NOAUTH")] {
        let (code, reason) = wait_unreadable(&keeper, replica).await;
        assert_eq!(code, 500, "another keeper may know: {reason}");
        assert!(reason.contains(error), "{reason}");
        let node = keeper.node("cache", replica).await;
        assert!(node["facts-age-seconds"].as_f64() > Some(0.5), "{node}");
        assert_eq!(node["offset"], Value::Null, "{node}");
    }
    let told = keeper.admin("clusters/cache/explain").await;
    let refused = told["if-the-primary-died-now"]["refused"].to_string();
    assert!(
        refused.contains("NOPERM") && refused.contains("NOAUTH"),
        "{told}"
    );
    assert!(keeper.calls_readable("cache", primary).await);

    // A fact that is read again is a statement again, and the changes are undone.
    first.run::<()>("ACL SETUSER default +info").await;
    eventually(SOON, "the replica to be read again", async || {
        let answer = keeper.is_readable("cache", first).await;
        let answer = answer.map_err(|error| error.to_string())?;
        (answer.code == 200)
            .then_some(())
            .ok_or_else(|| format!("{answer:?}"))
    })
    .await;
    first.wait_in_step_with(primary).await;
}

#[tokio::test]
async fn a_replica_that_is_full_of_clients_is_unknown_once_its_state_is_old() {
    let net = Net::new();
    let [primary, replica, _] = Redis::trio(&net).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &replica]).await;
    let cut = "CLIENT KILL TYPE normal SKIPME yes";
    let mut client = at_once(&replica, &["CONFIG SET maxclients 1", cut]).await;
    let (code, reason) = wait_unreadable(&keeper, &replica).await;
    assert_eq!(code, 500, "{reason}");
    assert!(reason.contains("max number of clients"), "{reason}");
    let more = redis::cmd("CONFIG")
        .arg(&["SET", "maxclients", "1000"])
        .to_owned();
    more.exec_async(&mut client).await.expect("more clients");
    assert!(keeper.calls_readable("cache", &replica).await);
}

/// The offset and the lags of `node` in the view of its cluster.
async fn figures(keeper: &Keeper, node: &Redis) -> (Option<u64>, Option<u64>, Option<u64>) {
    let view = keeper.admin("clusters/cache").await;
    let nodes = view["nodes"].as_array().expect("nodes");
    let name = node.node().to_string();
    let node = nodes.iter().find(|it| it["node"] == name.as_str());
    let node = node.unwrap_or_else(|| panic!("{name} in {view}"));
    assert!(node["facts-age-seconds"].as_f64() < Some(30.0), "{node}");
    (
        node["offset"].as_u64(),
        node["lag-bytes"].as_u64(),
        node["lag-seconds"].as_u64(),
    )
}

#[tokio::test]
async fn offsets_and_lag_are_those_of_the_last_probe_wherever_they_are_shown() {
    let net = Net::new();
    let nodes = Redis::trio(&net).await;
    let [primary, first, second] = &nodes;
    let settings = Settings::new().set("seconds-mark-down", 60);
    let keeper = Keeper::alone_for(&net, settings, &nodes.each_ref()).await;
    for (round, keys) in [(1_u64, 100), (2, 500)] {
        primary.write_keys(&format!("round-{round}"), keys).await;
        primary.wait_followed_by(&[first, second]).await;
        let told = primary.info("replication").await.expect("the primary");
        let goal = told["master_repl_offset"].parse::<u64>().ok();
        eventually(SOON, "what was written to be shown", async || {
            let told = keeper.admin("clusters/cache/explain").await;
            let ranking = told["if-the-primary-died-now"]["ranking"].clone();
            let ranking = ranking.as_array().expect("a ranking");
            let ranked = ranking.len() == 2
                && ranking
                    .iter()
                    .all(|it| it["offset"].as_u64() >= goal && it["lag-bytes"] == 0);
            let shown = [
                figures(&keeper, primary).await,
                figures(&keeper, first).await,
                figures(&keeper, second).await,
            ];
            let fresh = shown.iter().all(|(offset, ..)| *offset >= goal);
            let in_step = shown[1..].iter().all(|(_, bytes, _)| *bytes == Some(0));
            let alone = shown[0].1.is_none();
            let shown = format!("{shown:?} {ranking:?}, wanted {goal:?}");
            (ranked && fresh && in_step && alone)
                .then_some(())
                .ok_or(shown)
        })
        .await;
    }

    // A frozen replica answers no probe. Its primary tells how far the replica is behind.
    second.pause();
    let before = primary.info("replication").await.expect("the primary");
    primary.write_keys("missed", 1_000).await;
    let after = primary.info("replication").await.expect("the primary");
    let [before, after] = [before, after].map(|it| it["master_repl_offset"].parse::<u64>());
    let missed = after.expect("an offset") - before.expect("an offset");
    eventually(SOON, "the lag of the one that stands still", async || {
        let (behind, other) = (
            figures(&keeper, second).await,
            figures(&keeper, first).await,
        );
        let lags = behind.1 >= Some(missed) && behind.2 >= Some(2);
        let shown = format!("{behind:?} {other:?}, missed {missed}");
        (lags && other.1 == Some(0)).then_some(()).ok_or(shown)
    })
    .await;
    second.resume();
}
