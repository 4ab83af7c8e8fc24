//! TLS, and certificates that are not trusted.

use std::path::Path;

use redis_keeper::adapters::redis::inspect::{Demands, Severity};
use redis_keeper::adapters::redis::{Access, RedisServers, Secrets, Tls};
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};
use redis_keeper::ports::redis::{Depth, Redis as _};

use crate::asking::{SHORT, connected, node, probed};
use crate::server::{Server, free_port, openssl};

/// The tests of this file do not depend on these demands.
const DEMANDS: Demands = Demands {
    write_safety: false,
    answers_within: std::time::Duration::from_mins(1),
    data_nodes: 3,
};

#[tokio::test]
async fn tls_is_spoken_and_a_certificate_that_is_not_trusted_is_no_evidence() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, subject) in [("node", "/CN=redis.test"), ("other", "/CN=other.test")] {
        openssl(
            dir.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                 -keyout {name}.key -out {name}.crt -subj {subject} \
                 -addext subjectAltName=DNS:redis.test -addext basicConstraints=critical,CA:FALSE"
            ),
        );
    }
    let file = |name: &str| dir.path().join(name);
    let port = free_port();
    let _server = Server::with_tls(dir.path(), port, "node.crt", &[]).await;
    let addr = NodeAddr::new("127.0.0.1", port);
    let with = |tls: Tls| Access {
        tls: Some(tls),
        ..Access::default()
    };
    let trusted = Tls {
        ca_file: Some(file("node.crt")),
        identity: Some((file("node.crt"), file("node.key"))),
        server_name: Some("redis.test".to_owned()),
        insecure: false,
    };
    let error = async |tls: Tls| {
        let mut connection = connected(&*node(&addr, with(tls))).await;
        probed(&mut *connection, Depth::Full).await.error
    };
    assert_eq!(error(trusted.clone()).await, None);
    let insecure = Tls {
        ca_file: None,
        server_name: None,
        insecure: true,
        ..trusted.clone()
    };
    assert_eq!(error(insecure).await, None);
    for wrong in [
        Tls {
            ca_file: Some(file("other.crt")),
            ..trusted.clone()
        },
        Tls {
            server_name: Some("other.test".to_owned()),
            ..trusted.clone()
        },
        Tls {
            identity: None,
            ..trusted.clone()
        },
    ] {
        let said = error(wrong.clone()).await;
        assert!(said.is_some(), "{wrong:?}");
    }

    // The file of authorities is replaced while the program runs.
    let bundle = file("bundle.crt");
    std::fs::copy(file("other.crt"), &bundle).expect("copied");
    let access = with(Tls {
        ca_file: Some(bundle.clone()),
        ..trusted.clone()
    });
    let cluster = ClusterName::new("c");
    let servers = RedisServers::new([(cluster.clone(), access.clone())], SHORT).expect("usable");
    let told = async || {
        let node = servers.node(&cluster, &addr);
        let error = probed(&mut *connected(&*node).await, Depth::Full)
            .await
            .error;
        (error.is_some(), node.command(Epoch(1)).await.is_err())
    };
    assert_eq!(told().await, (true, true));
    std::fs::copy(file("node.crt"), &bundle).expect("copied");
    assert_eq!(told().await, (true, true), "not read yet");
    servers.replace_secrets(&cluster, Secrets::read(&access).expect("usable"));
    assert_eq!(told().await, (false, false));

    let missing = Tls {
        ca_file: Some(file("none.crt")),
        ..trusted
    };
    let unusable = RedisServers::new([(ClusterName::new("c"), with(missing))], SHORT).err();
    assert!(unusable.expect("an error").to_string().contains("none.crt"));
}

/// Makes a server's certificate as Redis's `gen-test-certs.sh` does: of version 1, without extensions.
fn make_old_certificate(dir: &Path) {
    for line in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=ca.test",
        "req -new -newkey rsa:2048 -nodes -keyout node.key -out node.csr -subj /CN=127.0.0.1",
        "x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out node.crt",
    ] {
        openssl(dir, line);
    }
}

#[tokio::test]
async fn a_version_1_certificate_is_taken_unverified_and_else_the_remedy_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    make_old_certificate(dir.path());
    let file = |name: &str| dir.path().join(name);
    let port = free_port();
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let only = ["--tls-protocols", protocols];
        let _server = Server::with_tls(dir.path(), port, "ca.crt", &only).await;
        let addr = NodeAddr::new("127.0.0.1", port);
        let insecure = Tls {
            ca_file: Some(file("ca.crt")),
            identity: Some((file("node.crt"), file("node.key"))),
            server_name: None,
            insecure: true,
        };
        let strict = Tls {
            insecure: false,
            ..insecure.clone()
        };
        let error = async |tls: Tls| {
            let access = Access {
                tls: Some(tls),
                ..Access::default()
            };
            let mut connection = connected(&*node(&addr, access)).await;
            probed(&mut *connection, Depth::Full).await.error
        };
        assert_eq!(error(insecure).await, None, "{protocols}");
        let said = format!("{:?}", error(strict).await);
        for told in ["version 1", "subjectAltName", "tls-insecure"] {
            assert!(said.contains(told), "{protocols}: {said}");
        }
    }
}

#[tokio::test]
async fn nodes_by_a_port_that_replication_does_not_speak_are_a_problem() {
    let dir = tempfile::tempdir().expect("a directory");
    make_old_certificate(dir.path());
    let encrypted_port = free_port();
    let anybody = ["--tls-auth-clients", "no"];
    let server = Server::with_tls(dir.path(), encrypted_port, "ca.crt", &anybody).await;
    let encrypted = Access {
        tls: Some(Tls {
            insecure: true,
            ..Tls::default()
        }),
        ..Access::default()
    };
    let ways = [
        ("no", encrypted, NodeAddr::new("127.0.0.1", encrypted_port)),
        ("yes", Access::default(), server.addr.clone()),
    ];
    let cluster = ClusterName::new("c");
    for spoken in ["no", "yes"] {
        server.run::<()>(&format!("CONFIG SET tls-replication {spoken}"));
        for (wrong, access, addr) in &ways {
            let servers = RedisServers::new([(cluster.clone(), access.clone())], SHORT);
            let servers = servers.expect("usable access");
            let findings = servers.inspect(&cluster, addr, DEMANDS).await;
            let told = findings.iter().any(|it| {
                it.severity == Severity::Error
                    && it.finding.starts_with("tls-replication")
                    && it.remedy.contains("tls-replication")
            });
            assert_eq!(told, spoken == *wrong, "{spoken} at {addr}: {findings:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("names"), "subjectAltName=DNS:redis.test").expect("written");
    for line in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=ca.test",
        "req -new -newkey rsa:2048 -nodes -keyout node.key -out node.csr -subj /CN=redis.test",
        "x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days -1 -extfile names -out node.crt",
    ] {
        openssl(dir.path(), line);
    }
    let port = free_port();
    let anybody = ["--tls-auth-clients", "no"];
    let _server = Server::with_tls(dir.path(), port, "ca.crt", &anybody).await;
    let access = Access {
        tls: Some(Tls {
            ca_file: Some(file("ca.crt")),
            identity: None,
            server_name: Some("redis.test".to_owned()),
            insecure: false,
        }),
        ..Access::default()
    };
    let mut connection = connected(&*node(&NodeAddr::new("127.0.0.1", port), access)).await;
    let said = probed(&mut *connection, Depth::Full).await.error;
    let said = said.expect("an error");
    assert!(
        said.contains("the server's certificate") && said.contains("expired"),
        "{said}"
    );
    assert!(said.ends_with("renew it"), "{said}");
}
