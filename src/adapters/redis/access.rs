//! The settings and secrets for connections to the nodes of one cluster.

use std::fmt;

use super::login::Credentials;
use super::tls::{Tls, TlsClient, TlsError};
use crate::domain::commands::CommandNames;

/// The settings for connections to the nodes of one cluster.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// ACL user; `None` is the default user.
    pub username: Option<String>,
    /// If the list is empty, no `AUTH` is sent. During a rotation there are two passwords, and a server accepts one
    /// of them. `Debug` does not show the passwords.
    pub passwords: Vec<String>,
    /// `None`: plain TCP.
    pub tls: Option<Tls>,
    /// The commands that the servers know by another name (`rename-command`).
    pub names: CommandNames,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("username", &self.username)
            .field("passwords", &self.passwords.len())
            .field("tls", &self.tls)
            .field("names", &self.names)
            .finish()
    }
}

/// The credentials of one cluster, and the contents of its TLS files at the time of reading.
#[derive(Clone, Default)]
pub struct Secrets {
    pub(super) credentials: Credentials,
    pub(super) tls: Option<TlsClient>,
}

impl Secrets {
    /// Reads the TLS files that `access` names.
    ///
    /// # Errors
    /// The TLS settings cannot be used. The error names the file at fault.
    pub fn read(access: &Access) -> Result<Self, TlsError> {
        Ok(Self {
            credentials: Credentials::new(access.username.clone(), access.passwords.clone()),
            tls: access.tls.as_ref().map(TlsClient::new).transpose()?,
        })
    }
}
