//! TLS, and certificates that are not trusted.

use redis_keeper::adapters::redis::{Access, RedisServers, Secrets, Tls};
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};
use redis_keeper::ports::redis::{Depth, Redis as _};

use crate::asking::{SHORT, connected, node, probed};
use crate::server::{Server, free_port, openssl};

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
    let text = |name: &str| file(name).display().to_string();
    let port = free_port();
    let _server = Server::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &text("node.crt"),
        "--tls-key-file",
        &text("node.key"),
        "--tls-ca-cert-file",
        &text("node.crt"),
    ])
    .await;
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

    // The authorities are replaced while the program runs.
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
