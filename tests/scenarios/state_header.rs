//! State headers that HAProxy never sends, and another client might.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::raw_http;
use keeper_site::redis::Redis;

#[tokio::test]
async fn a_malformed_missing_huge_or_hostile_state_header_is_refused() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    let settings = Settings::new().cluster("cache", [&redis]);
    let keeper = Keeper::launch_embedded("keeper-1", &net, &settings);
    keeper.wait_primary("cache", &redis).await;

    let hostile = hostile(&redis);
    for question in ["is-writable", "is-readable"] {
        for (what, lines) in &hostile {
            let head = format!("GET /cluster/cache/{question} HTTP/1.1\r\nHost: localhost\r\n");
            let request = [head.as_bytes(), lines, b"\r\n"].concat();
            let code = raw_http::ask(keeper.http(), &request)
                .await
                .expect("an answer");
            assert_eq!(code, Some(400), "{question} with {what}");
        }
        // Longer than any HTTP server reads a request head: refused in one way or another, never accepted.
        for (what, lines) in [
            ("megabytes", padded("UP", 4_000_000)),
            ("very many", header(b"UP").repeat(5_000)),
        ] {
            let head = format!("GET /cluster/cache/{question} HTTP/1.1\r\nHost: localhost\r\n");
            let request = [head.as_bytes(), &lines, b"\r\n"].concat();
            let code = raw_http::ask(keeper.http(), &request)
                .await
                .expect("an answer or an end");
            assert!(
                code.is_none_or(|code| (400..500).contains(&code)),
                "{question} with {what}: {code:?}"
            );
        }
    }

    // A server of the right form that is no node of the cluster, and a cluster that does not exist.
    let stranger = b"UP; address=192.0.2.1; port=1; name=b/192.0.2.1:1";
    for path in ["/cluster/cache/is-writable", "/cluster/none/is-writable"] {
        let answer = keeper
            .get_with_state(path, stranger)
            .await
            .expect("an answer");
        assert_eq!(answer.code, 404, "{path}: {answer:?}");
    }
    let answer = keeper
        .is_writable("cache", &redis)
        .await
        .expect("an answer");
    assert_eq!(answer.code, 200, "{answer:?}");
    let tree = keeper
        .get("/admin/supervision")
        .await
        .expect("an answer")
        .body;
    assert!(
        !tree.to_string().contains("\"last-exit\":\""),
        "nothing had to be restarted: {tree}"
    );
}

/// Headers that name no server, each with its fault.
fn hostile(redis: &Redis) -> Vec<(&'static str, Vec<u8>)> {
    let node = redis.node();
    let at = redis.at();
    let (ip, port) = (at.ip(), at.port());
    let right = format!(
        "UP 1/1; address={ip}; port={port}; name=b/{node}; node=lb; weight=1/1; scur=0/0; qcur=0"
    );
    vec![
        ("no header", Vec::new()),
        ("an empty one", header(b"")),
        ("only blanks", header(b"   ")),
        ("no fields", header(b"UP")),
        ("no state", header(format!("; name=b/{node}").as_bytes())),
        (
            "no name and no address",
            header(b"UP 1/1; node=lb; weight=1/1"),
        ),
        ("a name without a server", header(b"UP; name=b/")),
        (
            "a port that is none",
            header(format!("UP; address={ip}; port=99999; name=b/{node}").as_bytes()),
        ),
        (
            "a key twice",
            header(format!("{right}; name=b/{node}").as_bytes()),
        ),
        (
            "two headers",
            [header(right.as_bytes()), header(right.as_bytes())].concat(),
        ),
        ("a NUL", header(format!("{right}; x=\0").as_bytes())),
        (
            "a lone carriage return",
            header(format!("{right}; x=\ry").as_bytes()),
        ),
        (
            "an escape sequence",
            header(format!("{right}; x=\x1b[2J").as_bytes()),
        ),
        (
            "bytes that are no text",
            header(&[right.as_bytes(), b"; x=\xff\xfe"].concat()),
        ),
        ("more than HAProxy sends", padded(&right, 2_000)),
        ("more than a page", padded(&right, 60_000)),
        (
            "a folded line",
            header(format!("{right};\r\n x=y").as_bytes()),
        ),
        ("format directives", header(b"%s%n; {0}; ${jndi:ldap://x}")),
    ]
}

fn header(value: &[u8]) -> Vec<u8> {
    [b"X-Haproxy-Server-State: ", value, b"\r\n"].concat()
}

fn padded(state: &str, length: usize) -> Vec<u8> {
    header(format!("{state}; x={}", "y".repeat(length)).as_bytes())
}
