//! How the nodes of one cluster are spoken to.

use std::fmt;

use super::login::Credentials;
use super::tls::{Tls, TlsClient, TlsError};
use crate::domain::commands::CommandNames;

/// How the nodes of one cluster are spoken to.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// ACL user; `None` is the default user.
    pub username: Option<String>,
    /// None: no `AUTH` is sent. Of several, a server has one: during a rotation there are two. `Debug` does not show them.
    pub passwords: Vec<String>,
    /// `None`: plain TCP.
    pub tls: Option<Tls>,
    /// Commands that the servers call otherwise.
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

/// What connections of one cluster are opened with: credentials, and the TLS files as they are now.
#[derive(Clone, Default)]
pub struct Secrets {
    pub(super) credentials: Credentials,
    pub(super) tls: Option<TlsClient>,
}

impl Secrets {
    /// Reads the TLS files that `access` names.
    ///
    /// # Errors
    /// TLS that cannot be used, with the name of the file at fault.
    pub fn read(access: &Access) -> Result<Self, TlsError> {
        Ok(Self {
            credentials: Credentials::new(access.username.clone(), access.passwords.clone()),
            tls: access.tls.as_ref().map(TlsClient::new).transpose()?,
        })
    }
}
