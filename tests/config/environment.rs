//! `REDIS_KEEPER_…` variables.

use std::path::Path;

use redis_keeper::config::{CoordinationConfig, LogFormat, Origin, Secret};

use super::{COMPAT, config, document, faults, parse, problems};

#[test]
fn variables_override_the_file() {
    let variables = [
        ("REDIS_KEEPER_KEEPER_ID", "k-9"),
        ("REDIS_KEEPER_REST_PORT", "8080"),
        ("REDIS_KEEPER_REST_HOST", "::"),
        ("REDIS_KEEPER_REST_ADVERTISE", "[2001:db8::1]:80"),
        ("REDIS_KEEPER_ZK_QUORUM", "x, y:2182"),
        ("REDIS_KEEPER_ZK_AUTH", "digest:keeper:se:cret"),
        ("REDIS_KEEPER_TICK_SECONDS", "0.5"),
        ("REDIS_KEEPER_LOG_FORMAT", "json"),
        ("REDIS_KEEPER_SETTLE_UNRELATED", "true"),
        ("REDIS_KEEPER_REDIS_PASSWORD", "12345"),
        ("REDIS_KEEPER_CLUSTERS__CLUSTER_2__REDIS_PASSWORD", "two"),
        ("REDIS_KEEPER_CLUSTERS__CLUSTER_2__SECONDS_MARK_DOWN", "7"),
        ("REDIS_KEEPER_MAX_LAG_BYTES", ""),
        ("REDIS_KEEPER_SERVICE_HOST", "10.0.0.1"),
        ("REDIS_KEEPER_PORT_46379_TCP", "tcp://10.0.0.1:46379"),
        ("PATH", "/bin"),
    ];
    let config = config(COMPAT, &variables);
    assert_eq!(config.keeper_id.as_str(), "k-9");
    assert_eq!((config.rest.host.as_str(), config.rest.port), ("::", 8080));
    assert_eq!(config.rest.advertise.to_string(), "[2001:db8::1]:80");
    let CoordinationConfig::ZooKeeper { quorum, auth, .. } = &config.coordination else {
        panic!()
    };
    assert_eq!(
        quorum.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["x:2181", "y:2182"]
    );
    let auth = auth.as_ref().unwrap();
    assert_eq!(
        (auth.user.as_str(), auth.password.expose()),
        ("keeper", "se:cret")
    );
    assert_eq!(config.log.format, LogFormat::Json);
    let [one, two] = &config.clusters[..] else {
        panic!()
    };
    assert_eq!(one.redis.passwords, [Secret::new("12345")]);
    assert_eq!(two.redis.passwords, [Secret::new("two")]);
    assert_eq!(
        (
            one.timing.mark_down.as_secs(),
            two.timing.mark_down.as_secs()
        ),
        (5, 7)
    );
    assert!(one.policy.settle_unrelated && one.policy.max_lag_bytes.is_none());
}

#[test]
fn a_password_file_that_systemd_hands_over_is_found_by_its_variable() {
    let given = tempfile::TempDir::new().unwrap();
    for (name, secret) in [
        ("redis-password", "s3cret\n"),
        ("zk-auth", "digest:keeper:zk\n"),
    ] {
        std::fs::write(given.path().join(name), secret).unwrap();
    }
    // The lines of docs/operations.md.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let drop_in = page.split("```ini\n").nth(1).unwrap();
    let drop_in = drop_in.split("```").next().unwrap();
    let given = given.path().to_str().unwrap();
    let lines = drop_in.lines().map(|line| line.replace("%d", given));
    let variables: Vec<_> = lines
        .filter_map(|line| {
            let (name, value) = line.strip_prefix("Environment=")?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(variables.len(), 2, "{drop_in}");
    let config = config(COMPAT, &variables);
    assert_eq!(config.clusters[0].redis.passwords, [Secret::new("s3cret")]);
    let CoordinationConfig::ZooKeeper { auth, .. } = &config.coordination else {
        panic!()
    };
    assert_eq!(auth.as_ref().unwrap().password.expose(), "zk");
}

#[test]
fn clusters_may_come_from_a_variable() {
    let clusters = "[{name: 'x', nodes: [{host: 'a', port: 1}]}]";
    let config = config(COMPAT, &[("REDIS_KEEPER_CLUSTERS", clusters)]);
    assert_eq!(config.clusters[0].name.as_str(), "x");
    let clusters = "[{name: 'x', nodes: [{host: 'a', port: 0}]}]";
    let problems = problems(COMPAT, &[("REDIS_KEEPER_CLUSTERS", clusters)]);
    let variable = "REDIS_KEEPER_CLUSTERS".to_owned();
    assert_eq!(problems[0].origin, Origin::Environment { variable });
    assert_eq!(
        problems[0].value, None,
        "the file's value is not what is wrong"
    );
}

#[test]
fn problems_of_variables_name_them_and_the_nearest_known_one() {
    let variables = [
        ("REDIS_KEEPER_REST_PROT", "1"),
        ("REDIS_KEEPER_REST_PORT", "http"),
        ("REDIS_KEEPER_CLUSTERS__CLUSTER_3__MIN_VOTES", "1"),
        ("REDIS_KEEPER_CLUSTERS__CLUSTER_1__MIN_VOTE", "1"),
        ("REDIS_KEEPER_CLUSTERS__CLUSTER_1__NAME", "x"),
        ("REDIS_KEEPER_CLUSTERS__CLUSTER_1__NODES", "a:1"),
    ];
    let error = parse(COMPAT, &variables).unwrap_err().to_string();
    for expected in [
        "REDIS_KEEPER_REST_PROT: is not a known variable; did you mean REDIS_KEEPER_REST_PORT?",
        "REDIS_KEEPER_REST_PORT: rest-port = http: is text; write a whole number from 1 to 65535",
        "CLUSTER_3__MIN_VOTES: names no cluster of the file; did you mean REDIS_KEEPER_CLUSTERS__CLUSTER_2__MIN_VOTES?",
        "CLUSTER_1__MIN_VOTE: is not a known variable; did you mean REDIS_KEEPER_CLUSTERS__CLUSTER_1__MIN_VOTES?",
        "CLUSTER_1__NAME: is not a known variable",
        "CLUSTER_1__NODES: is not JSON5",
    ] {
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}

#[test]
fn clusters_whose_variables_are_alike_cannot_be_meant() {
    let nodes = |host| format!("nodes: [{{host: '{host}', port: 1}}]");
    let text = format!(
        "{{coordination: 'embedded', clusters: [{{name: 'a-b', {}}}, {{name: 'a.b', {}}}]}}",
        nodes("x"),
        nodes("y")
    );
    let problems = problems(&text, &[("REDIS_KEEPER_CLUSTERS__A_B__MIN_VOTES", "1")]);
    assert_eq!(problems[0].fault, "names several clusters alike");
}

#[test]
fn a_secret_comes_from_a_file_and_a_variable_takes_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    std::fs::write(&path, "s3cret\n").unwrap();
    let text = document(&format!("redis: {{'password-file': {path:?}}},"), "");
    assert_eq!(
        config(&text, &[]).clusters[0].redis.passwords,
        [Secret::new("s3cret")]
    );
    let other = config(&text, &[("REDIS_KEEPER_REDIS_PASSWORD", "other")]);
    assert_eq!(other.clusters[0].redis.passwords, [Secret::new("other")]);
    std::fs::write(&path, "\n").unwrap();
    assert_eq!(
        faults(&text, &[]),
        ["redis.password-file: names an empty file"]
    );
    let text = document("redis: {password: 'a', 'password-file': 'b'},", "");
    assert_eq!(
        faults(&text, &[]),
        ["redis.password-file: is given beside password"]
    );
}

#[test]
fn a_variable_reaches_an_object_that_the_file_leaves_out_or_null() {
    let variables = [
        ("REDIS_KEEPER_CLUSTERS__C_1__REDIS_USERNAME", "u"),
        ("REDIS_KEEPER_CLUSTERS__C_1__REDIS_PASSWORD", "p"),
        (
            "REDIS_KEEPER_CLUSTERS__C_1__NODES",
            "[{host: 'z', port: 9}]",
        ),
    ];
    for cluster in ["", "redis: null,", "redis: {'password-file': '/nowhere'},"] {
        let cluster = &config(&document("", cluster), &variables).clusters[0];
        assert_eq!(cluster.redis.username.as_deref(), Some("u"));
        assert_eq!(cluster.redis.passwords, [Secret::new("p")]);
        assert_eq!(cluster.nodes[0].addr.to_string(), "z:9");
    }
}
