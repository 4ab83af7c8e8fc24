//! `redis-keeper switchover`: asks a running keeper for a switchover.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::SwitchoverArgs;
use super::exit::Exit;
use crate::config::{self, Config};
use crate::keeper_client::{KeeperClient, Limits, NoAnswer};

/// Keepers always answer sooner, in a few hundred bytes.
const LIMITS: Limits = Limits {
    connection: None,
    answer: Some(Duration::from_secs(10)),
    longest: 4 << 20,
};

/// Asks for the switchover, and prints the result: on standard output if the switchover was made, else on standard
/// error.
pub fn run(args: &SwitchoverArgs) -> Exit {
    let keeper = match &args.keeper {
        Some(keeper) => keeper.clone(),
        None => match keeper_of(&args.config) {
            Ok(keeper) => keeper,
            Err(error) => {
                eprintln!("{error}");
                return Exit::Config;
            }
        },
    };
    let asked = actix::System::new().block_on(ask(&keeper, args));
    match asked {
        Ok(done) => {
            println!("{done}");
            Exit::Success
        }
        Err(why) => {
            eprintln!("{why}");
            Exit::Failure
        }
    }
}

/// The address on this host at which the keeper with this configuration listens.
fn keeper_of(file: &Path) -> Result<String, config::ConfigError> {
    let (config, _) = Config::load(file, config::environment())?;
    let host = match config.rest.host.as_str() {
        "0.0.0.0" | "::" => "localhost".to_owned(),
        ip if ip.contains(':') => format!("[{ip}]"),
        host => host.to_owned(),
    };
    Ok(format!("{host}:{}", config.rest.port))
}

async fn ask(keeper: &str, args: &SwitchoverArgs) -> Result<String, String> {
    let cluster = &args.cluster;
    let mut body = json!({ "reason": args.reason });
    if let Some(to) = &args.to {
        body["to"] = json!(to);
    }
    let told = |error: NoAnswer| {
        if error.was_sent() {
            format!(
                "the keeper at {keeper} was asked and did not answer, so it is not known what came of it; look at \
                 http://{keeper}/admin/clusters/{cluster}: {error}"
            )
        } else {
            format!("the keeper at {keeper} cannot be asked: {error}")
        }
    };
    let asked = KeeperClient::new(LIMITS)
        .post(keeper, &format!("/admin/clusters/{cluster}/switchover"))
        .json(&body);
    let answer = asked.send().await.map_err(told)?;
    let done = answer.status().is_success();
    let body: Value = answer.json().await.map_err(told)?;
    if !done {
        let error = body["error"].as_str();
        return Err(error.map_or_else(|| body.to_string(), str::to_owned));
    }
    let node = |node: &Value| {
        let host = node["host"].as_str().unwrap_or_default();
        format!("{host}:{}", node["port"])
    };
    let (from, to) = (node(&body["from"]), node(&body["to"]));
    Ok(format!(
        "{cluster}: switched over from {from} to {to}, generation {}",
        body["generation"]
    ))
}
