//! `redis-keeper switchover`: asks a running keeper for a switchover.

use std::path::Path;

use serde_json::{Value, json};

use super::args::SwitchoverArgs;
use super::exit::Exit;
use crate::config::{self, Config, ConfigError};
use crate::domain::timing::switchover::ANSWERED_WITHIN;
use crate::keeper_client::{KeeperClient, Limits, NoAnswer};

/// Keepers always answer sooner, in a few hundred bytes.
const LIMITS: Limits = Limits {
    connection: None,
    answer: Some(ANSWERED_WITHIN),
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
                eprintln!("{}", unknown_keeper(&error));
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
fn keeper_of(file: &Path) -> Result<String, ConfigError> {
    let (config, _) = Config::load(file, config::environment())?;
    let host = match config.rest.host.as_str() {
        "0.0.0.0" | "::" => "localhost".to_owned(),
        ip if ip.contains(':') => format!("[{ip}]"),
        host => host.to_owned(),
    };
    Ok(format!("{host}:{}", config.rest.port))
}

/// Why it is not known which keeper to ask. Without a file, the remedy is to name the file or the keeper.
fn unknown_keeper(error: &ConfigError) -> String {
    match error {
        ConfigError::Unreadable { .. } => format!(
            "{error}: name the file of this host's keeper (--config FILE), or a keeper (--keeper HOST:PORT)"
        ),
        ConfigError::Invalid { .. } => error.to_string(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_configuration_file_the_error_names_both_remedies() {
        let error = keeper_of(Path::new("/nowhere/keeper.conf")).unwrap_err();
        let told = unknown_keeper(&error);
        for part in [
            "/nowhere/keeper.conf",
            "--config FILE",
            "--keeper HOST:PORT",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
