//! Checks the credentials and TLS settings for Redis.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use super::accept;
use super::scope::Scope;
use crate::config::diagnostics::Diagnostics;
use crate::config::file::Redis;
use crate::config::names::host;
use crate::config::secret::{Passwords, lines_of};
use crate::config::{RedisAccess, TlsConfig, TlsIdentity, spans};
use crate::domain::commands::{COMMANDS, CommandNames, command};

/// The settings for connections to the nodes in `scope`.
pub(super) fn access(
    redis: &Redis,
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Option<RedisAccess> {
    let passwords = match (&redis.password, &redis.password_file) {
        (Some(_), Some(_)) => {
            let path = scope.path("redis.password-file", report);
            report.unquoted(&path, "is given beside password", "keep one of them");
            None
        }
        (None, Some(file)) => accept(
            lines_of(file.as_ref(), Passwords::MOST),
            &scope.path("redis.password-file", report),
            report,
        ),
        (password, None) => password.clone().map(Passwords::into_list),
    };
    let (username_path, password_path) = (
        scope.path("redis.username", report),
        scope.path("redis.password", report),
    );
    let passwordless = redis.password.is_none() && redis.password_file.is_none();
    if redis.username.is_some() && passwordless && report.sound(&[&username_path, &password_path]) {
        report.problem(
            &username_path,
            "has no password",
            "add redis.password or redis.password-file",
        );
    }
    let tls = if redis.tls? {
        Some(tls(redis, scope, report)?)
    } else {
        None
    };
    Some(RedisAccess {
        username: redis.username.clone(),
        passwords: passwords.unwrap_or_default(),
        password_file: redis.password_file.as_ref().map(PathBuf::from),
        tls,
        names: names(redis, scope, report),
    })
}

/// The names of the commands that the servers have renamed.
fn names(redis: &Redis, scope: &Scope<'_>, report: &mut Diagnostics) -> CommandNames {
    let mut names = CommandNames::default();
    let mut renamed = BTreeSet::new();
    let path = scope.path("redis.rename-commands", report);
    for (written, name) in redis.rename_commands.iter().flatten() {
        let path = spans::member(&path, written);
        let Some(command) = command(written) else {
            let known: Vec<_> = COMMANDS.iter().map(|it| it.name).collect();
            let remedy = format!("keepers send {}: name one of them", known.join(", "));
            report.unquoted(&path, "is no command that keepers send", remedy);
            continue;
        };
        if !renamed.insert(command.name) {
            report.unquoted(&path, "is renamed twice", "keep one of them");
        }
        match (name.as_str(), command.optional) {
            ("", Some(gap)) => {
                let text = format!("the servers do not have {}: {gap}", command.name);
                report.warning(&path, text);
            }
            ("", None) => {
                let fault = format!("says that the servers do not have {}", command.name);
                let remedy = "keepers cannot do without: give the command another name in redis.conf, and write that here";
                report.problem(&path, fault, remedy);
            }
            (name, _) if name.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                let remedy = "write the name that rename-command gives it in redis.conf";
                report.problem(&path, "is no name of a command", remedy);
            }
            (name, _) => names.rename(command, name),
        }
    }
    names
}

fn tls(redis: &Redis, scope: &Scope<'_>, report: &mut Diagnostics) -> Option<TlsConfig> {
    let ca_file = readable(
        redis.tls_ca_file.as_ref(),
        "redis.tls-ca-file",
        scope,
        report,
    );
    let cert_file = readable(
        redis.tls_cert_file.as_ref(),
        "redis.tls-cert-file",
        scope,
        report,
    );
    let key_file = readable(
        redis.tls_key_file.as_ref(),
        "redis.tls-key-file",
        scope,
        report,
    );
    let identity = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(TlsIdentity {
            cert_file,
            key_file,
        }),
        (Some(_), None) => alone("redis.tls-cert-file", "redis.tls-key-file", scope, report),
        (None, Some(_)) => alone("redis.tls-key-file", "redis.tls-cert-file", scope, report),
        (None, None) => None,
    };
    if let Some(name) = &redis.tls_server_name {
        accept(
            host(name),
            &scope.path("redis.tls-server-name", report),
            report,
        );
    }
    let insecure = redis.tls_insecure?;
    if insecure {
        let text = "certificates are not verified: whoever is between may read and change everything; use tls-ca-file";
        report.warning(&scope.path("redis.tls-insecure", report), text);
    }
    Some(TlsConfig {
        ca_file,
        identity,
        server_name: redis.tls_server_name.clone(),
        insecure,
    })
}

/// The file that `key` names. The report has a problem if the file cannot be read.
fn readable(
    file: Option<&String>,
    key: &str,
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Option<PathBuf> {
    let file = file?;
    if let Err(error) = File::open(file) {
        let path = scope.path(key, report);
        report.problem(
            &path,
            format!("cannot be read: {error}"),
            "name a readable PEM file",
        );
    }
    Some(file.into())
}

/// Adds the problem that `key` needs `other`.
fn alone(
    key: &str,
    other: &str,
    scope: &Scope<'_>,
    report: &mut Diagnostics,
) -> Option<TlsIdentity> {
    let (path, other_path) = (scope.path(key, report), scope.path(other, report));
    if report.sound(&[&path, &other_path]) {
        report.problem(
            &path,
            format!("is given without {other}"),
            "give both, or neither",
        );
    }
    None
}
