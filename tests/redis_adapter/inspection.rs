//! What `check` finds in a server's set-up.

use redis_keeper::adapters::redis::inspect::Severity;
use redis_keeper::adapters::redis::{Access, RedisServers};
use redis_keeper::domain::node::ClusterName;

use crate::asking::{SHORT, as_keeper};
use crate::server::{Server, command};

async fn findings(server: &Server, access: Access) -> Vec<(Severity, String)> {
    findings_with(server, access, false).await
}

async fn findings_with(
    server: &Server,
    access: Access,
    write_safety: bool,
) -> Vec<(Severity, String)> {
    let cluster = ClusterName::new("c");
    RedisServers::new([(cluster.clone(), access)], SHORT)
        .expect("usable access")
        .inspect(&cluster, &server.addr, write_safety)
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
async fn what_stands_in_a_keepers_way_is_found_and_named() {
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
async fn a_node_that_is_out_of_reach_or_of_another_kind_is_an_error() {
    let mut server = Server::start(&["--cluster-enabled", "yes"]).await;
    let cluster = findings(&server, Access::default()).await;
    assert!(
        found(&cluster, Severity::Error, "runs in Redis Cluster mode"),
        "{cluster:?}"
    );
    let wrong = Access {
        password: Some("wrong".to_owned()),
        ..Access::default()
    };
    let refused = findings(&server, wrong).await;
    assert!(
        found(&refused, Severity::Error, "does not answer as it should"),
        "{refused:?}"
    );
    server.kill();
    let gone = findings(&server, Access::default()).await;
    assert!(
        found(&gone, Severity::Error, "cannot be reached"),
        "{gone:?}"
    );
}
