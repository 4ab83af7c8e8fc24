//! Nodes get other names, in the file of one keeper after the other. A node is what its name resolves to.

use keeper_site::keeper::Keeper;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use serde_json::json;

use crate::TURN;
use crate::named::{NAMES, Named, ip, wait_followed};

/// A misprint of the first name.
const UNKNOWN: &str = "redis-l";

/// Changes the names of nodes in the keeper's file, and restarts it.
async fn rename(keeper: &Keeper, names: &[(String, &str)]) {
    keeper
        .reconfigure(|config| {
            let nodes = config["clusters"][0]["nodes"].as_array_mut();
            for node in nodes.expect("nodes") {
                for (old, new) in names {
                    if node["host"] == **old {
                        node["host"] = json!(new);
                    }
                }
            }
        })
        .await;
    keeper.wait_ready().await;
}

/// Waits until the keeper, with its own names, calls `primary` writable and the other two not.
async fn wait_answers(keeper: &Keeper, [primary, first, second]: [&Redis; 3]) {
    eventually(SOON, format!("{} to know all", keeper.id()), async || {
        for (node, expected) in [(primary, 200), (first, 503), (second, 503)] {
            let answer = keeper.is_writable("cluster-1", node).await;
            let answer = answer.map_err(|error| error.to_string())?;
            if answer.code != expected {
                return Err(format!("{answer:?}"));
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nodes_renamed_keeper_by_keeper_stay_what_they_are_to_haproxy_and_keepers() {
    let _turn = TURN.lock().await;
    let named = Named::open("renamed").await;
    let site = &named.site;
    let nodes = site.redis.each_ref();
    let [primary, first, second] = nodes;
    site.wait_routes(primary, &[first, second]).await;
    let (generation, falls) = (
        site.keepers[0].generation("cluster-1").await,
        site.falls().await,
    );
    let writer = Writer::start(site.writes());
    let undisturbed = async |what: &str| {
        writer.wait_writes(100).await;
        let diary = writer.diary();
        let cuts = (diary.cut_sessions, diary.failed_connects, diary.refusals);
        assert_eq!(cuts, (0, 0, Vec::new()), "{what}");
        assert_eq!(site.falls().await, falls, "{what}");
        for keeper in site.keepers.iter() {
            let now = keeper.generation("cluster-1").await;
            assert_eq!(now, generation, "{what}: {} sees a withdrawal", keeper.id());
        }
    };

    let old = nodes.map(|redis| ip(redis).to_string());
    let new: Vec<_> = old.iter().cloned().zip(NAMES).collect();
    for keeper in site.keepers.iter() {
        rename(keeper, &new).await;
        for keeper in site.keepers.iter() {
            wait_answers(keeper, nodes).await;
            let told = keeper.admin("keepers").await;
            assert_eq!(told["files-lack"], json!({}), "no list lacks a node");
        }
        undisturbed(keeper.id()).await;
    }

    // A name that leads nowhere: its keeper cannot answer, all keepers report that, and no client notices.
    let leader = site.keepers.wait_leader().await;
    let odd = (leader + 1) % 3;
    let keeper = &site.keepers[odd];
    rename(keeper, &[(NAMES[0].to_owned(), UNKNOWN)]).await;
    let lacking = format!("{old}:{}", primary.at().port(), old = old[0]);
    for other in site.keepers.iter() {
        let what = format!(
            "{} to name what the file of {} lacks",
            other.id(),
            keeper.id()
        );
        eventually(SOON, what, async || {
            let told = other.admin("keepers").await["files-lack"].clone();
            let lacks = told[keeper.id()].to_string();
            (lacks.contains(&lacking) || lacks.contains(NAMES[0]))
                .then_some(())
                .ok_or(told)
        })
        .await;
    }
    let says = keeper.is_writable("cluster-1", primary).await;
    assert_eq!(says.expect("an answer").code, 500);
    undisturbed("a name that leads nowhere").await;
    let [one, two, three] = nodes.map(ip);
    named.keepers_see[odd].set_hosts(&[(UNKNOWN, one), (NAMES[1], two), (NAMES[2], three)]);
    wait_answers(keeper, nodes).await;
    undisturbed("and then leads there").await;

    // A failover works in spite of all that, and publishes the new names.
    primary.kill();
    let all: Vec<_> = site.keepers.iter().collect();
    let mut elected = Vec::new();
    for keeper in all {
        let what = format!("{} to name another primary", keeper.id());
        let named = eventually(SOON, what, async || {
            let view = keeper.admin("clusters/cluster-1").await;
            let named = view["published"]["primary"].as_str().unwrap_or_default();
            let named = named.split(':').next().unwrap_or_default().to_owned();
            NAMES[1..]
                .contains(&named.as_str())
                .then_some(named)
                .ok_or(view["published"].clone())
        })
        .await;
        elected.push(named);
    }
    let at = NAMES.iter().position(|name| *name == elected[0]);
    let new = nodes[at.expect("one of ours")];
    let other = site.third(primary, new);
    primary.revive().await;
    wait_followed(new, &[primary, other]).await;
    site.wait_routes(new, &[primary, other]).await;
    for keeper in site.keepers.iter() {
        wait_answers(keeper, [new, primary, other]).await;
    }
    writer.wait_writes(50).await;
}
