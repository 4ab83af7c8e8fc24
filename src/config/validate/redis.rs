//! Credentials and TLS towards Redis.

use std::fs::File;
use std::path::PathBuf;

use super::clusters::Scope;
use super::{accept, secret_of};
use crate::config::file::Redis;
use crate::config::report::Report;
use crate::config::{RedisAccess, TlsConfig, TlsIdentity, names};

/// How the nodes within `scope` are spoken to.
pub(super) fn access(redis: &Redis, scope: &Scope<'_>, report: &mut Report) -> Option<RedisAccess> {
    let password = match (&redis.password, &redis.password_file) {
        (Some(_), Some(_)) => {
            let path = scope.path("redis.password-file", report);
            report.unquoted(&path, "is given beside password", "keep one of them");
            None
        }
        (None, Some(file)) => secret_of(file, &scope.path("redis.password-file", report), report),
        (password, None) => password.clone(),
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
        password,
        tls,
    })
}

fn tls(redis: &Redis, scope: &Scope<'_>, report: &mut Report) -> Option<TlsConfig> {
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
            names::host(name),
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

/// The file that `key` names; the report says if it cannot be read.
fn readable(
    file: Option<&String>,
    key: &str,
    scope: &Scope<'_>,
    report: &mut Report,
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

/// Tells that `key` needs `other` beside it.
fn alone(key: &str, other: &str, scope: &Scope<'_>, report: &mut Report) -> Option<TlsIdentity> {
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
