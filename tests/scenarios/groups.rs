//! Two groups of keepers, with different prefixes, manage one cluster (RK-12).

use std::collections::BTreeSet;
use std::time::Duration;

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::look::{Look, cluster, look_live};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::{Prefix, ZooKeeper};
use serde_json::{Value, json};
use tokio::time::Instant;

const SWITCHOVER: &str = "/admin/clusters/cache/switchover";
const ACKNOWLEDGE: &str = "/admin/clusters/cache/acknowledge";

/// The limit for a group to be forgotten: keepers remember another group for 30 s after its last answer.
const FORGOTTEN: Duration = Duration::from_mins(2);

fn settings() -> Settings {
    Settings::new().set("admin-operations", true)
}

/// The REST addresses of the keepers of other groups that `keeper` names.
async fn others(keeper: &Keeper) -> Result<BTreeSet<String>, String> {
    let answer = keeper.get("/admin/clusters/cache").await;
    let body = answer.map_err(|error| error.to_string())?.body;
    let others = body["other-groups"].as_array().ok_or("no such list")?;
    let rest = others
        .iter()
        .map(|it| it["rest"].as_str().unwrap_or_default());
    Ok(rest.map(str::to_owned).collect())
}

/// Waits until `keeper` names a keeper of the other group.
async fn wait_meets(keeper: &Keeper, others_of: &[Keeper]) {
    let rests = others_of.iter().map(|it| it.http().to_string());
    let rests: BTreeSet<_> = rests.collect();
    let what = format!(
        "{} at {} to name one of {rests:?}",
        keeper.id(),
        keeper.http()
    );
    eventually(SOON * 2, what, async || {
        let named = others(keeper).await?;
        let met = named.len() == 1 && named.is_subset(&rests);
        met.then_some(()).ok_or_else(|| format!("{named:?}"))
    })
    .await;
}

/// How often the servers became primaries by command, as their logs say.
fn made_primaries(nodes: &[&Redis]) -> usize {
    let logs = nodes.iter().map(|it| it.process().log());
    logs.map(|log| log.matches("MASTER MODE enabled").count())
        .sum()
}

async fn promotions(nodes: &[&Redis]) -> u64 {
    let mut calls = 0;
    for redis in nodes {
        calls += redis.calls("replicaof").await;
    }
    calls
}

/// All nodes that keepers of both groups call writable, asked once.
async fn writable(keepers: &[&Keeper], nodes: &[&Redis]) -> BTreeSet<String> {
    let mut yes = BTreeSet::new();
    for keeper in keepers {
        for node in nodes {
            let answer = keeper.is_writable("cache", node).await;
            if answer.is_ok_and(|answer| answer.code == 200) {
                yes.insert(node.node().to_string());
            }
        }
    }
    yes
}

/// The exit code and the report of `check --live` with the prefix of one group.
async fn check(prefix: &Prefix<'_>, nodes: &[&Redis]) -> (Option<i32>, String) {
    let servers = prefix.zookeeper().servers();
    let quorum: Vec<_> = servers.iter().map(|it| it.at().to_string()).collect();
    let config = json!({
        "keeper-id": "checker",
        "zk-quorum": quorum,
        "zk-prefix": prefix.path(),
        "clusters": [cluster("cache", nodes)],
    });
    let Look { code, report, .. } = look_live(&config).await;
    (code, report)
}

#[tokio::test]
async fn two_groups_that_meet_hold_the_cluster_name_each_other_and_one_goes_on_alone() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let (right, typo) = (zookeeper.prefix("right"), zookeeper.prefix("typo"));
    let trio = Redis::trio(&net).await;
    let nodes = trio.each_ref();
    let [primary, first, _] = nodes;
    let ours = Keepers::start_for(2, &net, &right, settings(), &nodes).await;
    // The second group asks the first before it publishes, so it publishes at most the same primary.
    let theirs = settings().cluster("cache", &trio);
    let theirs = Keepers::start(1, &net, &typo, &theirs).await;
    for keeper in ours.iter() {
        wait_meets(keeper, &theirs).await;
    }
    wait_meets(&theirs[0], &ours).await;
    let body = json!({ "to": first.node().to_string() });
    for (keepers, others) in [(&ours, &typo), (&theirs, &right)] {
        let leader = keepers.wait_leader().await;
        let answer = keepers[leader]
            .post(SWITCHOVER, &body)
            .await
            .expect("an answer");
        assert_eq!(answer.code, 412, "{answer:?}");
        let refused = answer.body["error"].as_str().expect("an error");
        assert!(refused.contains(others.path()), "{refused}");
        // An operator's acknowledgement does not end that hold (ADR 037).
        let answer = keepers[leader].post(ACKNOWLEDGE, &Value::Null).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            (answer.code, &answer.body["code"]),
            (412, &json!("refused"))
        );
        let explained = keepers[leader].get("/admin/clusters/cache/explain").await;
        let explained = explained.expect("an answer").body.to_string();
        assert!(
            explained.contains("another group of keepers"),
            "{explained}"
        );
        assert!(explained.contains(others.path()), "{explained}");
        let log = keepers[leader].process().log();
        let line = |line: &&str| line.contains("another group of keepers looks after");
        let told = log.lines().find(line).expect("a line of the log");
        assert!(told.contains(others.path()), "{told}");
    }
    let (code, report) = check(&right, &nodes).await;
    assert_eq!(code, Some(1), "{report}");
    let rest = theirs[0].http().to_string();
    assert!(
        report.contains("another group") && report.contains(&rest),
        "{report}"
    );

    // Even a primary that dies is not replaced: two groups would both replace it.
    let all = [&ours[0], &ours[1], &theirs[0]];
    assert_eq!(
        writable(&all, &nodes).await,
        [primary.node().to_string()].into()
    );
    let still = [first, nodes[2]];
    let before = promotions(&still).await;
    primary.kill();
    let leader = ours.wait_leader().await;
    eventually(SOON, "the votes", async || {
        let log = ours[leader].process().log();
        let voted = log.contains("held down by a majority");
        voted.then_some(()).ok_or("no verdict")
    })
    .await;
    assert_eq!(writable(&all, &nodes).await, BTreeSet::new());
    assert_eq!(promotions(&still).await, before);

    theirs[0].process().terminate();
    theirs[0].process().wait_exit().await;
    let elected = eventually(FORGOTTEN, "a failover", async || {
        let status = ours[0].status("cache").await?;
        let elected = status.primary.clone().filter(|it| *it != primary.node());
        elected.ok_or_else(|| format!("{status:?}"))
    })
    .await;
    assert!(still.iter().any(|it| it.node() == elected));
    assert_eq!(others(&ours[0]).await, Ok(BTreeSet::new()));
}

/// The most promotions of a fight. The limit covers three kinds, and tests saw three to six promotions:
///
/// - the switchover;
/// - changes that the two groups undo until each breaker trips;
/// - successors that become servers of another deployment by the other group's changes.
///
/// Without a breaker, a fight had five promotions a second.
const MOST: usize = 8;

/// Which group runs first.
#[derive(Debug, Clone, Copy, PartialEq)]
enum First {
    Ours,
    Theirs,
    Neither,
}

/// Both groups run and have not met when an operator asks one of them for a switchover.
async fn one_switchover_is_no_fight(name: &str, first: First) {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let typo = format!("{name}_typo");
    let (right, typo) = (zookeeper.prefix(name), zookeeper.prefix(&typo));
    let trio = Redis::trio(&net).await;
    let nodes = trio.each_ref();
    let settings = settings().cluster("cache", nodes);
    let launch = async |id: &str, prefix| Keeper::launch(id, &net, prefix, &settings).await;
    let at_work = async |keepers: &[Keeper]| {
        for keeper in keepers {
            keeper.wait_primary("cache", nodes[0]).await;
        }
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    if first == First::Theirs {
        theirs.push(launch("keeper-1", &typo).await);
        at_work(&theirs).await;
    }
    for id in ["keeper-1", "keeper-2"] {
        ours.push(launch(id, &right).await);
    }
    if first == First::Ours {
        at_work(&ours).await;
    }
    if first != First::Theirs {
        theirs.push(launch("keeper-1", &typo).await);
    }
    let checks = [&ours, &theirs].map(|keepers| Checks::start(keepers, "cache", &nodes));
    if first != First::Neither {
        // Two groups that begin at once meet before either has published a primary, so neither publishes one.
        at_work(&ours).await;
        at_work(&theirs).await;
    }

    let body = json!({ "to": nodes[1].node().to_string() });
    let done = eventually(SOON, "a switchover, or why not", async || {
        for keeper in &ours {
            let answer = keeper.post(SWITCHOVER, &body).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let refused = answer.body["error"].as_str().unwrap_or_default();
            if answer.code == 200 || refused.contains("another group of keepers") {
                return Ok(answer.code == 200);
            }
        }
        Err("neither".to_owned())
    })
    .await;
    for keeper in &ours {
        wait_meets(keeper, &theirs).await;
    }
    wait_meets(&theirs[0], &ours).await;
    let met = Instant::now();
    for keeper in ours.iter().chain(&theirs) {
        for node in nodes {
            keeper.wait_probes("cache", node, 20).await;
        }
    }
    let answered: BTreeSet<_> = checks
        .iter()
        .flat_map(|checks| checks.called_writable_since(met))
        .collect();
    assert!(answered.len() <= 1, "since they have met: {answered:?}");
    let promoted = made_primaries(&nodes);
    assert!(promoted <= MOST, "{promoted} promotions for {done}");
    for (keepers, others) in [(&ours, &typo), (&theirs, &right)] {
        for keeper in keepers {
            let told = keeper.admin("clusters/cache/explain").await.to_string();
            assert!(told.contains(others.path()), "{told}");
        }
    }

    // The operator mends the typo.
    theirs[0].process().terminate();
    theirs[0].process().wait_exit().await;
    let what = "one primary and two replicas";
    eventually(FORGOTTEN, what, async || {
        let status = ours[0].status("cache").await?;
        let settled = status.primary.is_some() && status.replicas.len() == 2;
        settled.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await;
    let promoted = made_primaries(&nodes);
    assert!(promoted <= MOST + 1, "{promoted} promotions in all");
}

#[tokio::test]
async fn a_switchover_beside_a_group_that_began_later_is_no_fight() {
    one_switchover_is_no_fight("ours_first", First::Ours).await;
}

#[tokio::test]
async fn a_switchover_by_a_group_that_began_later_is_no_fight() {
    one_switchover_is_no_fight("theirs_first", First::Theirs).await;
}

#[tokio::test]
async fn a_switchover_while_two_groups_begin_is_no_fight() {
    one_switchover_is_no_fight("at_once", First::Neither).await;
}

/// A keeper with a typo in its prefix starts beside a group that has led for long. The keeper's host loses the
/// primary at once.
#[tokio::test]
async fn a_group_that_begins_late_and_loses_the_primary_at_once_changes_nothing() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let (right, typo) = (
        zookeeper.prefix("right_long"),
        zookeeper.prefix("typo_late"),
    );
    let trio = Redis::trio_behind_links(&net).await;
    let nodes = trio.each_ref();
    let [primary, first, second] = nodes;
    primary.wait_followed_by(&[first, second]).await;
    let ours = Keepers::start_for(2, &net, &right, settings(), &nodes).await;
    ours.wait_topology("cache", primary, &[first, second]).await;
    let before = promotions(&[first, second]).await;

    // The second group asks the first before it publishes, so it publishes at most the same primary.
    let theirs = settings().cluster("cache", &trio);
    let theirs = Keepers::start(1, &net, &typo, &theirs).await;
    primary.link().bar(theirs[0].process().id());
    let all = [&ours[0], &ours[1], &theirs[0]];
    let voted = "held down by a majority";
    eventually(SOON, "its vote", async || {
        let most = writable(&all, &nodes).await;
        assert!(most.len() <= 1, "two are writable: {most:?}");
        let log = theirs[0].process().log();
        log.contains(voted).then_some(()).ok_or("no verdict")
    })
    .await;
    for _ in 0..100 {
        let most = writable(&all, &nodes).await;
        assert!(most.len() <= 1, "two are writable: {most:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(promotions(&[first, second]).await, before);
    let answer = ours[0].is_writable("cache", primary).await;
    assert_eq!(answer.expect("an answer").code, 200);
    wait_meets(&ours[0], &theirs).await;
    wait_meets(&theirs[0], &ours).await;
}

/// The plan and the `now` of `explain`, as `keeper` gives them.
async fn says_now(keeper: &Keeper) -> [String; 2] {
    let view = keeper.admin("clusters/cache").await;
    let explained = keeper.admin("clusters/cache/explain").await;
    [&view["plan"], &explained["now"]].map(|text| text.as_str().unwrap_or_default().to_owned())
}

/// The other group's keeper advertises the address of a keeper of this group.
#[tokio::test]
async fn an_advertised_address_that_leads_to_an_own_keeper_is_told_with_the_remedy() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let (right, typo) = (zookeeper.prefix("astray"), zookeeper.prefix("astray_typo"));
    let trio = Redis::trio(&net).await;
    let nodes = trio.each_ref();
    let ours = Keepers::start_for(2, &net, &right, settings(), &nodes).await;
    let wrong = ours[0].http().to_string();
    let theirs = settings().set("rest-advertise", wrong.as_str());
    let theirs = theirs.cluster("cache", &trio);
    let theirs = Keeper::launch("keeper-1", &net, &typo, &theirs).await;
    let found = [
        "this keeper itself answers there",
        "keeper keeper-1 of this group answers there",
    ];
    for (keeper, found) in ours.iter().zip(found) {
        eventually(SOON * 2, "the name to be told", async || {
            let view = keeper.admin("clusters/cache").await;
            let astray = &view["names-astray"][0];
            let told = astray["found"] == found && astray["rest"] == wrong.as_str();
            told.then_some(())
                .ok_or_else(|| view["names-astray"].to_string())
        })
        .await;
        assert_eq!(
            others(keeper).await,
            Ok(BTreeSet::new()),
            "it holds nothing"
        );
        let log = keeper.process().log();
        let line = |line: &&str| line.contains("another group's keeper cannot be asked");
        let told = log.lines().find(line).expect("a line of the log");
        assert!(
            told.contains("WARN") && told.contains("rest-advertise"),
            "{told}"
        );
    }
    let leader = &ours[ours.wait_leader().await];
    eventually(SOON, "the plan to say so", async || {
        let says = says_now(leader).await;
        let told = says.iter().all(|text| {
            text.contains("bears the name of keeper keeper-1 of another group")
                && text.contains("rest-advertise")
        });
        told.then_some(()).ok_or_else(|| format!("{says:?}"))
    })
    .await;
    let (_, report) = check(&right, &nodes).await;
    assert!(
        report.contains("keeper keeper-1 of this group answers there")
            && report.contains("correct that keeper's rest-advertise"),
        "{report}"
    );

    theirs.process().kill();
    eventually(FORGOTTEN, "the name to be forgotten", async || {
        let says = says_now(leader).await;
        let over = says.iter().all(|text| !text.contains("rest-advertise"));
        over.then_some(()).ok_or_else(|| format!("{says:?}"))
    })
    .await;
}
