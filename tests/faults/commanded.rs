//! A command reaches the server that the leader decided about, or none. No client's name keeps a command away.

use redis_keeper::domain::facts::Role;
use redis_keeper::domain::node::Epoch;
use serde_json::json;

use super::redis::Deed;
use super::site::Site;

/// The commands that changed the second server since the last call.
fn commands(site: &Site) -> Vec<String> {
    let deeds = site.server(1).take_deeds().into_iter();
    let commands = deeds.filter_map(|deed| match deed {
        Deed::Command(_, text) => Some(text),
        _ => None,
    });
    commands.collect()
}

/// Makes the second server a primary, as if an operator had promoted it. The leader has to make it a replica again.
fn astray(site: &Site) {
    site.server(1)
        .tells(|info| info.role = Some(Role::Primary { online_replicas: 0 }));
}

async fn wait_following(site: &Site) {
    site.eventually("it to follow again", async || {
        let commands = commands(site);
        let followed = commands.iter().any(|text| text.starts_with("follow "));
        followed.then_some(()).ok_or(json!(commands))
    })
    .await;
}

#[actix::test]
async fn a_command_reaches_the_server_that_was_probed_or_none() {
    let site = Site::start().await;
    let server = site.server(1);
    *server.moved.borrow_mut() = Some("another process".to_owned());
    commands(&site);
    astray(&site);
    site.eventually("it to be told", async || {
        let (_, cluster) = site.get("/admin/clusters/cache").await;
        let plan = cluster["plan"].as_str().unwrap_or_default();
        let told = plan.contains("another server answers there now (run_id another process)");
        told.then_some(()).ok_or_else(|| cluster["plan"].clone())
    })
    .await;
    let deeds = server.deeds();
    assert!(deeds.contains(&Deed::Connect), "it is read anew: {deeds:?}");
    assert_eq!(commands(&site), Vec::<String>::new());

    *server.moved.borrow_mut() = None;
    wait_following(&site).await;
    site.stop().await;
}

#[actix::test]
async fn a_name_of_an_epoch_that_nobody_has_raised_keeps_no_command_back() {
    let site = Site::start().await;
    let server = site.server(1);
    server.named.set(Some(Epoch(99_999_999)));
    commands(&site);
    astray(&site);
    wait_following(&site).await;
    assert_eq!(server.named.get(), None, "it was killed");
    site.stop().await;
}
