//! The arguments of the command line. Doc comments of the types with clap derives are the text of `--help`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use super::exit::Exit;

/// The configuration file that is used if the arguments name none.
pub const DEFAULT_FILE: &str = "/etc/redis-keeper/keeper.conf";

// Lines have at most 80 characters: clap breaks longer ones, and their columns with them.
const AFTER_LONG_HELP: &str = "\
Run three or more keepers, each on a host of its own, with the same clusters and
the same ZooKeeper. HAProxy asks any of them which server is writable; clients
need nothing but a local HAProxy port.

Examples:
  redis-keeper demo                       see a failover, on redis-server alone
  redis-keeper demo --full                the same on ZooKeeper, with HAProxy
  redis-keeper check keeper.conf          is the configuration right, and what
                                          does it amount to?
  redis-keeper check --live keeper.conf   and are the servers as they should be?
  redis-keeper keeper.conf                run a keeper
  redis-keeper switchover cluster-1 --to 10.0.0.2:6379
                                          another primary, and nothing lost
  REDIS_KEEPER_KEEPER_ID=k2 redis-keeper keeper.conf
                                          the same file on another host

A smallest configuration, in JSON5; conf/keeper.conf explains every key:
  {
    \"zk-quorum\": [\"zk1:2181\", \"zk2:2181\", \"zk3:2181\"],
    \"clusters\": [
      {\"name\": \"cluster-1\", \"nodes\": [
        {\"host\": \"10.0.0.1\", \"port\": 6379},
        {\"host\": \"10.0.0.2\", \"port\": 6379},
      ]},
    ],
  }

Environment variables override the file:
  REDIS_KEEPER_<KEY>                      a key in capitals, with underscores:
                                          REDIS_KEEPER_REST_PORT=46379
                                          REDIS_KEEPER_ZK_QUORUM=zk1,zk2,zk3
                                          REDIS_KEEPER_REDIS_PASSWORD=...
  REDIS_KEEPER_CLUSTERS__<NAME>__<KEY>    a key of one cluster, here c-1:
                                          ..._CLUSTERS__C_1__REDIS_PASSWORD

Exit codes:
  0   stopped as asked, or the configuration is right
  1   gave up; the last line says why. check --live: a server has a problem
  64  wrong arguments
  78  wrong configuration: every problem is told; a restart will not help";

/// What the program is to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CliCommand {
    /// Run a keeper until SIGTERM or SIGINT.
    Run {
        /// The configuration.
        file: PathBuf,
    },
    /// Check a configuration and print what it amounts to.
    Check {
        /// The configuration.
        file: PathBuf,
        /// Also look at ZooKeeper and every node: reachable, versions, rights, settings. Changes nothing there.
        ///
        /// What is found is printed on standard error, each problem with its remedy. Warnings do not count as failure.
        #[arg(long)]
        live: bool,
    },
    /// Switch a cluster over to another primary, losing nothing.
    ///
    /// Asks the keeper of this host, which has the leader do it; needs admin-operations. Refused with the reason when
    /// something would be lost; called off, with everything as it was, when it cannot be done at once.
    Switchover(SwitchoverArgs),
    /// Start a primary, two replicas and a keeper; kill the primary; show the failover.
    ///
    /// Needs redis-keeper-demo beside this program, and redis-server or valkey-server in PATH. Stays up to be played with
    /// until Ctrl-C; leaves nothing behind.
    Demo {
        /// With a ZooKeeper ensemble, three keepers, and HAProxy in front of the client.
        ///
        /// Needs haproxy in PATH too, java, and ZooKeeper as Debian packages it (libzookeeper-java).
        #[arg(long)]
        full: bool,
    },
}

/// What a switchover is asked with.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct SwitchoverArgs {
    /// The cluster.
    pub cluster: String,
    /// The node to switch to, host:port [default: the best].
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// Why: for the log and the published state.
    #[arg(long, default_value = "asked for on the command line")]
    pub reason: String,
    /// The configuration that tells where this host's keeper listens.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub config: PathBuf,
    /// The keeper to ask, host:port, instead of this host's.
    #[arg(long, value_name = "HOST:PORT")]
    pub keeper: Option<String>,
}

/// Keeps Redis and Valkey primary/replica clusters writable.
#[derive(Debug, Parser)]
#[command(
    name = "redis-keeper",
    version,
    after_long_help = AFTER_LONG_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Args {
    /// Run a keeper with this configuration [default: /etc/redis-keeper/keeper.conf].
    file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

/// Parses `arguments`, the program's name first, into a command.
///
/// # Errors
/// The arguments ask for help or the version, or are wrong. The text has been printed, and the error is the exit
/// code.
pub fn parse<I, A>(arguments: I) -> Result<CliCommand, Exit>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    command(arguments, Path::new(DEFAULT_FILE)).map_err(|error| {
        // If the terminal is closed, no message is possible.
        let _ = error.print();
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Success
        }
    })
}

fn command<I, A>(arguments: I, default_file: &Path) -> Result<CliCommand, clap::Error>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let args = Args::try_parse_from(arguments)?;
    if let Some(command) = args.command {
        return Ok(command);
    }
    match args.file {
        Some(file) => Ok(CliCommand::Run { file }),
        None if default_file.exists() => Ok(CliCommand::Run {
            file: default_file.to_owned(),
        }),
        None => {
            let text = format!(
                "name a configuration file: {} does not exist",
                default_file.display()
            );
            Err(Args::command().error(ErrorKind::MissingRequiredArgument, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str], default_file: &str) -> Result<CliCommand, clap::Error> {
        let program = std::iter::once(&"redis-keeper");
        command(program.chain(arguments), Path::new(default_file))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_file_alone_is_run() {
        let file = PathBuf::from("keeper.conf");
        assert_eq!(
            parsed(&["keeper.conf"], "/").unwrap(),
            CliCommand::Run { file: file.clone() }
        );
        assert_eq!(
            parsed(&["run", "keeper.conf"], "/").unwrap(),
            CliCommand::Run { file }
        );
    }

    #[test]
    fn without_a_file_the_default_is_run_if_it_exists() {
        assert_eq!(
            parsed(&[], "Cargo.toml").unwrap(),
            CliCommand::Run {
                file: "Cargo.toml".into()
            }
        );
        let error = parsed(&[], "/nowhere/keeper.conf").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("/nowhere/keeper.conf does not exist"),
            "{error}"
        );
        assert!(error.to_string().contains("Usage:"), "{error}");
    }

    #[test]
    fn check_may_look_at_the_servers_and_the_demo_may_be_full() {
        let check = |live| CliCommand::Check {
            file: "f".into(),
            live,
        };
        assert_eq!(parsed(&["check", "f"], "/").unwrap(), check(false));
        assert_eq!(parsed(&["check", "--live", "f"], "/").unwrap(), check(true));
        assert_eq!(
            parsed(&["demo"], "/").unwrap(),
            CliCommand::Demo { full: false }
        );
        assert_eq!(
            parsed(&["demo", "--full"], "/").unwrap(),
            CliCommand::Demo { full: true }
        );
    }

    #[test]
    fn wrong_arguments_and_help_exit_as_documented() {
        for arguments in [
            &["--nonsense"][..],
            &["run"],
            &["check", "a", "b"],
            &["a", "b"],
            &["demo", "x"],
        ] {
            assert!(
                parsed(arguments, "/").unwrap_err().use_stderr(),
                "{arguments:?}"
            );
        }
        for arguments in [["--help"], ["--version"], ["-h"]] {
            assert!(
                !parsed(&arguments, "/").unwrap_err().use_stderr(),
                "{arguments:?}"
            );
        }
        let help = parsed(&["--help"], "/").unwrap_err().to_string();
        for expected in [
            "Examples:",
            "Environment variables",
            "Exit codes:",
            "check",
            "demo",
            "--live",
        ] {
            assert!(help.contains(expected), "{expected}");
        }
    }

    #[test]
    fn the_help_keeps_its_columns() {
        assert!(
            AFTER_LONG_HELP
                .lines()
                .all(|line| line.chars().count() <= 80)
        );
    }

    #[test]
    fn the_configuration_in_the_help_loads() {
        let (start, end) = (
            AFTER_LONG_HELP.find("  {\n").unwrap(),
            AFTER_LONG_HELP.find("  }\n").unwrap(),
        );
        let loaded = crate::config::Config::parse(
            "help",
            &AFTER_LONG_HELP[start..end + 3],
            std::iter::empty(),
        );
        assert!(loaded.is_ok(), "{loaded:?}");
    }
}
