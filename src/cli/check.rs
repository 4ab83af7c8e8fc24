//! `redis-keeper check`: checks a configuration, and prints the effective settings and their costs.

pub(super) mod live;
mod settings;

mod cluster;
mod costs;
mod findings;
mod groups;
mod keepers;
mod lists;
mod versions;
mod zookeeper;

use std::io::{self, Write};
use std::path::Path;

use super::exit::Exit;
use crate::config::{self, Config};

/// Checks the configuration in `file`.
///
/// - Standard output gets the effective configuration.
/// - Standard error gets the warnings and costs, or the problems.
/// - For a right configuration, `live` then inspects the servers and decides the exit code.
///
/// # Errors
/// Standard output is closed.
pub fn run(file: &Path, live: Option<impl FnOnce(&Config) -> Exit>) -> io::Result<Exit> {
    match Config::load(file, config::environment()) {
        Ok((config, warnings)) => {
            for warning in warnings {
                eprintln!(
                    "{}: warning: {warning}",
                    warning.origin.prefix(&file.display().to_string())
                );
            }
            writeln!(io::stdout(), "{}", config.effective())?;
            eprintln!("{}", costs::costs(&config));
            Ok(live.map_or(Exit::Success, |live| live(&config)))
        }
        Err(error) => {
            eprintln!("{error}");
            Ok(Exit::Config)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_right_configuration_exits_as_the_look_at_the_servers_decides() {
        let file = sample(include_str!("../../conf/keeper.conf"));
        let live = |config: &Config| {
            if config.clusters.len() == 2 {
                Exit::Failure
            } else {
                Exit::Success
            }
        };
        assert_eq!(run(file.path(), Some(live)).unwrap(), Exit::Failure);
        assert_eq!(
            run(file.path(), None::<fn(&Config) -> Exit>).unwrap(),
            Exit::Success
        );
    }

    #[test]
    fn a_wrong_or_missing_configuration_exits_78_and_no_server_is_looked_at() {
        let file = sample("{}");
        for path in [file.path(), Path::new("/nowhere/keeper.conf")] {
            let exit = run(path, Some(|_: &Config| panic!("looked"))).unwrap();
            assert_eq!((exit, exit.code()), (Exit::Config, 78));
        }
    }
}
