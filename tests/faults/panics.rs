//! Panics: only the child that panicked is restarted.

use std::sync::atomic::Ordering;

use redis_keeper::domain::node::Epoch;
use serde_json::Value;

use super::faulty::{CAUSE, Crash};
use super::redis::Deed;
use super::site::Site;

/// Waits until the child at `path` was restarted for [`CAUSE`]. Asserts that no other child was restarted.
async fn restarted_alone(site: &Site, path: &str, before: &[(String, Value)]) {
    site.wait_restarts(path, 1).await;
    for (place, now) in site.tree().await {
        if place == path {
            let cause = now["last-exit"].as_str().unwrap_or_default();
            assert!(
                cause.contains(CAUSE) && cause.contains("tests/faults/"),
                "{cause}"
            );
            continue;
        }
        let Some((_, then)) = before.iter().find(|(earlier, _)| *earlier == place) else {
            continue; // a run that has come or gone
        };
        assert_eq!(now["state"], "running", "{place}");
        assert_eq!(now["restarts"], then["restarts"], "{place}");
        assert!(
            now["uptime-seconds"].as_f64() >= then["uptime-seconds"].as_f64(),
            "{place}"
        );
    }
}

#[actix::test]
async fn a_panic_in_any_actor_restarts_it_alone_and_no_client_gets_another_answer() {
    let site = Site::start().await;
    let client = site.client(&site.is_writable(0));
    let (cluster, monitor) = (site.cluster_actor(), site.monitor(0));
    let monitor_at = site.monitor_at(0);
    let crashes: [(&str, &dyn Fn() -> bool); 4] = [
        ("root/session", &|| {
            site.daemon.references().session.do_send(Crash)
        }),
        ("root/failover/leader", &|| {
            site.daemon.references().leader.do_send(Crash)
        }),
        ("root/cluster:cache/actor", &|| cluster.do_send(Crash)),
        (&monitor_at, &|| monitor.do_send(Crash)),
    ];
    for (path, crash) in crashes {
        let before = site.tree().await;
        let probes = site.probes(1).await;
        assert!(crash(), "{path} is up");
        restarted_alone(&site, path, &before).await;
        // The other children go on from where they were.
        site.eventually("more probes", async || {
            let now = site.probes(1).await;
            (now > probes + 2).then_some(()).ok_or(now.into())
        })
        .await;
        site.wait_answers(&client, 10).await;
        assert_eq!(client.take_wrong(), [], "after the panic of {path}");
    }
    let (_, told) = site.get("/metrics").await;
    let told = told.as_str().unwrap_or_default();
    for child in ["session", "leader", "actor", "node"] {
        let counted = format!("redis_keeper_supervision_restarts_total{{child=\"{child}\"}}");
        assert!(told.contains(&counted), "{counted} is not in {told}");
    }
    client.stop();

    // The restarted children work: a failover needs all of them.
    site.server(0).dies();
    site.wait_writable(1).await;
    site.stop().await;
}

#[actix::test]
async fn a_panic_in_a_failover_is_restarted_and_finishes_it() {
    let site = Site::start().await;
    let before = site.tree().await;
    site.redis.command.set(true);
    site.server(0).dies();
    site.wait_writable(1).await;
    assert!(!site.redis.command.get(), "a command has panicked");
    let promotions = |deed: &Deed| *deed == Deed::Command(Epoch(1), "promote".to_owned());
    let deeds = site.server(1).take_deeds();
    assert_eq!(
        deeds.iter().filter(|deed| promotions(deed)).count(),
        1,
        "{deeds:?}"
    );
    // The run is over, and no other child was disturbed.
    for (place, now) in site.tree().await {
        if let Some((_, then)) = before.iter().find(|(earlier, _)| *earlier == place) {
            assert_eq!(now["restarts"], then["restarts"], "{place}");
        }
    }
    let (_, told) = site.get("/metrics").await;
    let told = told.as_str().unwrap_or_default();
    assert!(
        told.contains("redis_keeper_supervision_restarts_total{child=\"run\"} 1"),
        "{told}"
    );
    site.stop().await;
}

#[actix::test]
async fn a_panic_in_a_request_costs_that_request_only() {
    let site = Site::start().await;
    let before = site.tree().await;
    site.clock.armed.store(true, Ordering::Relaxed);
    let (code, body) = site.get(&site.is_writable(0)).await;
    assert_eq!((code, &body["code"]), (500, &"crashed".into()), "{body}");
    for _ in 0..10 {
        let (code, body) = site.get(&site.is_writable(0)).await;
        assert_eq!(code, 200, "{body}");
    }
    for (place, now) in site.tree().await {
        assert_eq!(now["restarts"], 0, "{place}");
    }
    assert_eq!(site.tree().await.len(), before.len());
    site.stop().await;
}

#[actix::test]
async fn a_monitor_that_panics_again_and_again_leaves_the_other_nodes_alone() {
    let site = Site::start().await;
    let client = site.client(&site.is_writable(0));
    let monitor = site.monitor(2);
    for restarts in 1..=4 {
        site.eventually("the monitor to be up and to crash", async || {
            monitor.do_send(Crash).then_some(()).ok_or(Value::Null)
        })
        .await;
        site.wait_restarts(&site.monitor_at(2), restarts).await;
    }
    site.wait_answers(&client, 200).await;
    assert_eq!(client.take_wrong(), []);
    assert_eq!(site.place("root/cluster:cache").await["restarts"], 0);
    assert_eq!(site.place("root/cluster:cache/actor").await["restarts"], 0);
    client.stop();
    site.stop().await;
}

#[actix::test]
async fn the_restart_of_a_cluster_actor_passes_unseen_by_many_clients_and_questions() {
    for _ in 0..5 {
        let site = Site::start().await;
        let paths = [
            site.is_writable(0),
            site.is_readable(1),
            "/cluster/cache/status".to_owned(),
        ];
        let clients: Vec<_> = paths.iter().map(|path| site.client(path)).collect();
        assert!(site.cluster_actor().do_send(Crash));
        site.wait_restarts("root/cluster:cache/actor", 1).await;
        for client in clients {
            assert_eq!(client.take_wrong(), []);
            client.stop();
        }
        site.stop().await;
    }
}
