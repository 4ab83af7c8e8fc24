//! The findings of `check` in a server's set-up.

use std::path::Path;
use std::time::Duration;

use redis_keeper::adapters::redis::inspect::{Demands, Severity};
use redis_keeper::adapters::redis::{Access, RedisServers};
use redis_keeper::domain::facts::MinReplicas;
use redis_keeper::domain::node::ClusterName;
use redis_keeper::ports::redis::{Depth, Fence, Remember};

use crate::asking::{SHORT, as_keeper, commanding, connected, node, probed, replica_of};
use crate::server::{Server, command};

/// Longer than a script may run by Redis's default before the server answers BUSY.
const ANSWERS_WITHIN: Duration = Duration::from_secs(6);

async fn findings(server: &Server, access: Access) -> Vec<(Severity, String)> {
    findings_with(server, access, false).await
}

async fn findings_with(
    server: &Server,
    access: Access,
    write_safety: bool,
) -> Vec<(Severity, String)> {
    let cluster = ClusterName::new("c");
    let demands = Demands {
        write_safety,
        answers_within: ANSWERS_WITHIN,
        data_nodes: 3,
    };
    RedisServers::new([(cluster.clone(), access)], SHORT)
        .expect("usable access")
        .inspect(&cluster, &server.addr, demands)
        .await
        .into_iter()
        .map(|found| (found.severity, found.finding))
        .collect()
}

fn found(findings: &[(Severity, String)], severity: Severity, start: &str) -> bool {
    findings
        .iter()
        .any(|(how, what)| *how == severity && what.starts_with(start))
}

#[tokio::test]
async fn a_server_that_is_set_up_well_gives_one_note() {
    let server = Server::with_config("appendonly yes\n").await;
    let findings = findings(&server, Access::default()).await;
    // `Redis 7.0.15, primary`, or Valkey.
    let as_it_should =
        |(how, what): &(_, String)| *how == Severity::Note && what.ends_with(", primary");
    assert!(
        findings.len() == 1 && findings.iter().all(as_it_should),
        "{findings:?}"
    );
}

#[tokio::test]
async fn obstacles_to_a_keeper_are_found_and_named() {
    let server = Server::start(&["--replica-priority", "0", "--requirepass", "secret"]).await;
    let mut admin = server.client();
    command("AUTH secret").query::<()>(&mut admin).unwrap();
    command("ACL SETUSER keeper on >pw +@all -replicaof -client|kill")
        .query::<()>(&mut admin)
        .unwrap();
    let findings = findings(&server, as_keeper()).await;
    for (severity, start) in [
        (Severity::Error, "`REPLICAOF` cannot be used"),
        (Severity::Error, "`CLIENT KILL` cannot be used"),
        (Severity::Error, "masterauth is not set"),
        (Severity::Warning, "keeps no data across a restart"),
        (
            Severity::Warning,
            "was started without a configuration file",
        ),
        (Severity::Note, "replica-priority is 0"),
    ] {
        assert!(found(&findings, severity, start), "{start}: {findings:?}");
    }
    assert!(findings.iter().all(|(_, what)| !what.contains("secret")));
}

#[tokio::test]
async fn a_server_that_lets_anybody_in_needs_no_masterauth_and_a_writable_replica_is_told() {
    let server = Server::with_config("appendonly yes\nreplica-read-only no\n").await;
    server.run::<()>("ACL SETUSER keeper on >pw +@all");
    let open = findings(&server, as_keeper()).await;
    assert!(!found(&open, Severity::Error, "masterauth"), "{open:?}");
    let told = "replica-read-only is no";
    assert!(found(&open, Severity::Warning, told), "{open:?}");
    server.run::<()>("ACL SETUSER default resetpass >other");
    let closed = findings(&server, as_keeper()).await;
    assert!(found(&closed, Severity::Error, "masterauth"), "{closed:?}");
}

#[tokio::test]
async fn the_rights_that_write_safety_takes_are_missed_only_where_it_is_wanted() {
    let server = Server::with_config("appendonly yes\n").await;
    server.run::<()>("ACL SETUSER keeper on >pw +@all -config");
    server.run::<()>("ACL SETUSER keeper +config|get +config|rewrite");
    let missing = "`CONFIG SET` cannot be used";
    let without = findings_with(&server, as_keeper(), false).await;
    assert!(!found(&without, Severity::Error, missing), "{without:?}");
    let with = findings_with(&server, as_keeper(), true).await;
    assert!(found(&with, Severity::Error, missing), "{with:?}");
    let allowed = findings_with(&server, Access::default(), true).await;
    assert_eq!(allowed.len(), 1, "{allowed:?}");
}

#[tokio::test]
async fn the_user_that_operators_are_told_to_create_can_do_all_that_keepers_do() {
    let page = include_str!("../../docs/operations.md");
    let mut lines = page.lines();
    let line = lines.find_map(|line| line.strip_prefix("ACL SETUSER keeper on >PASSWORD "));
    let rights = line.expect("the page gives the command");
    let primary = Server::with_config("appendonly yes\nmasterauth pw\n").await;
    let replica = replica_of(&primary).await;
    for server in [&primary, &replica] {
        server.run::<()>(&format!("ACL SETUSER keeper on >pw {rights}"));
    }
    let findings = findings_with(&primary, as_keeper(), true).await;
    assert_eq!(findings.len(), 1, "{findings:?}");

    let mut probe = connected(&*node(&primary.addr, as_keeper())).await;
    let told = probed(&mut *probe, Depth::FullWithSettings).await;
    assert!(
        told.info.is_some() && matches!(told.min_replicas, Some(Ok(_))),
        "{told:?}"
    );
    let open = async |server: &Server, epoch| {
        let connection = commanding(server, as_keeper(), epoch).await;
        connection.expect("a connection")
    };
    let _older = open(&primary, 1).await;
    let mut old = open(&primary, 2).await;
    assert_eq!(old.fence(None).await, Ok(Fence::Closed));
    let limit = Duration::from_secs(10);
    let goal = old.pause_writes(limit).await.expect("paused");
    let mut new = open(&replica, 2).await;
    assert!(new.offset().await.is_ok_and(|offset| offset <= goal));
    new.promote(Remember::Later).await.expect("promoted");
    let followed = old.follow(&replica.addr, Remember::AtOnce).await;
    assert_eq!(followed, Ok(Vec::new()));
    assert_eq!(old.unpause().await, Ok(()));
    let demand = MinReplicas {
        to_write: 1,
        max_lag: 10,
    };
    assert_eq!(old.set_min_replicas(demand).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_node_that_is_out_of_reach_or_of_another_kind_is_an_error() {
    let server = Server::start(&["--cluster-enabled", "yes"]).await;
    let cluster = findings(&server, Access::default()).await;
    assert!(
        found(&cluster, Severity::Error, "runs in Redis Cluster mode"),
        "{cluster:?}"
    );
    let refused = findings(&server, as_keeper()).await;
    assert!(
        found(&refused, Severity::Error, "refuses the login"),
        "{refused:?}"
    );
    server.kill();
    let gone = findings(&server, Access::default()).await;
    assert!(
        found(&gone, Severity::Error, "cannot be reached"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_server_that_scripts_may_silence_longer_than_keepers_wait_is_a_warning() {
    for (setting, warns) in [("5999", false), ("6001", true), ("0", true)] {
        let config = format!("appendonly yes\nlua-time-limit {setting}\n");
        let server = Server::with_config(&config).await;
        let findings = findings(&server, Access::default()).await;
        let silent = found(
            &findings,
            Severity::Warning,
            "answers nothing while a script runs",
        );
        assert_eq!(silent, warns, "{setting}: {findings:?}");
    }
}

/// The rules for a keeper's user in docs/operations.md: the usual ones, and those for Redis 6.0.
fn documented_rules() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(page).expect("a page");
    let rules = page
        .lines()
        .filter(|line| line.starts_with("ACL SETUSER keeper "));
    rules.map(|line| line.replace("PASSWORD", "pw")).collect()
}

#[tokio::test]
async fn the_documented_rules_let_a_keeper_do_all_it_needs() {
    let [usual, oldest] = &documented_rules()[..] else {
        panic!("docs/operations.md has two lines");
    };
    // Redis 6.0 has no channel rules, and no way to try commands out.
    let known = usual
        .replace(" resetchannels", "")
        .replace(" +acl|dryrun", "");
    assert_eq!(*oldest, known);
    let server = Server::start(&["--appendonly", "yes", "--protected-mode", "no"]).await;
    for rules in [oldest, usual] {
        server.run::<()>("ACL DELUSER keeper");
        server.run::<()>(rules);
        let findings = findings_with(&server, as_keeper(), true).await;
        let lacking = findings
            .iter()
            .filter(|(how, what)| *how != Severity::Note && what.contains("cannot be used"));
        assert_eq!(lacking.count(), 0, "{rules}: {findings:?}");
    }
}
