//! Hangs: a child that leaves a ping unanswered is replaced.

use std::collections::BTreeSet;

use super::faulty::Hang;
use super::site::Site;

async fn replaced(site: &Site, path: &str) {
    site.wait_restarts(path, 1).await;
    let place = site.place(path).await;
    let cause = place["last-exit"].as_str().unwrap_or_default();
    assert!(cause.contains("hung"), "{cause}");
    for (other, now) in site.tree().await {
        assert!(other == path || now["restarts"] == 0, "{other}: {now}");
    }
}

#[actix::test]
async fn a_hung_monitor_or_failover_actor_is_replaced_and_no_client_gets_another_answer() {
    for monitor in [true, false] {
        let site = Site::start().await;
        let client = site.client(&site.is_writable(0));
        let references = site.daemon.references();
        let path = if monitor {
            assert!(site.monitor(0).do_send(Hang));
            site.monitor_at(0)
        } else {
            assert!(references.leader.do_send(Hang));
            "root/failover/leader".to_owned()
        };
        replaced(&site, &path).await;
        assert_eq!(client.take_wrong(), [], "{path}");
        site.server(0).dies();
        site.wait_writable(1).await;
        client.stop();
        site.stop().await;
    }
}

#[actix::test]
async fn while_the_session_or_the_cluster_actor_hangs_the_answer_is_unknown() {
    for session in [true, false] {
        let site = Site::start().await;
        let client = site.client(&site.is_writable(0));
        let references = site.daemon.references();
        let path = if session {
            assert!(references.session.do_send(Hang));
            "root/session"
        } else {
            assert!(site.cluster_actor().do_send(Hang));
            "root/cluster:cache/actor"
        };
        replaced(&site, path).await;
        site.wait_writable(0).await;
        let trouble = client.take_trouble();
        let codes: BTreeSet<_> = trouble.iter().map(|(_, code, _)| *code).collect();
        assert_eq!(codes, [500].into(), "{path}: {trouble:?}");
        client.stop();
        site.stop().await;
    }
}
