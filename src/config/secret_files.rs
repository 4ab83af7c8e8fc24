//! Files with secrets. The keeper reads them at its start, and again when they change.

use std::path::Path;

use super::names::{Refused, refused};
use super::secret::{Passwords, Secret, SecretFileError, lines_of};
use super::{RedisAccess, ZkAuth};

// === impl RedisAccess ===

impl RedisAccess {
    /// All files that connections of this cluster use.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let tls = self.tls.iter().flat_map(|tls| {
            let identity = tls.identity.iter();
            let identity = identity.flat_map(|it| [&it.cert_file, &it.key_file]);
            tls.ca_file.iter().chain(identity)
        });
        let files = self.password_file.iter().chain(tls);
        files.map(AsRef::as_ref)
    }

    /// The same settings, with the present passwords of the file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no password or more than two.
    pub fn read_again(&self) -> Result<Self, SecretFileError> {
        let mut again = self.clone();
        if let Some(file) = &self.password_file {
            again.passwords = lines_of(file, Passwords::MOST)
                .map_err(|why| SecretFileError::new("redis.password-file", file, why))?;
        }
        Ok(again)
    }
}

// === impl ZkAuth ===

impl ZkAuth {
    pub(super) fn parse(text: &Secret) -> Result<Self, Refused> {
        let login = text.expose().strip_prefix("digest:");
        let login = login.and_then(|login| login.split_once(':'));
        let (user, password) = login
            .filter(|(user, password)| !user.is_empty() && !password.is_empty())
            .ok_or_else(|| refused("is not a digest login", "write digest:user:password"))?;
        Ok(Self {
            user: user.to_owned(),
            password: Secret::new(password),
            file: None,
        })
    }

    pub(super) fn read(file: &Path) -> Result<Self, Refused> {
        let lines = lines_of(file, 1)?;
        let [login] = &lines[..] else {
            return Err(refused("names an empty file", "write digest:user:password"));
        };
        let fault =
            |it: Refused| refused(format!("names a file whose text {}", it.fault), it.remedy);
        Ok(Self {
            file: Some(file.to_owned()),
            ..Self::parse(login).map_err(fault)?
        })
    }

    /// The present login of the file; the same login if it came from no file.
    ///
    /// # Errors
    /// The file cannot be read, or has no login.
    pub fn read_again(&self) -> Result<Self, SecretFileError> {
        self.file.as_ref().map_or_else(
            || Ok(self.clone()),
            |file| Self::read(file).map_err(|why| SecretFileError::new("zk-auth-file", file, why)),
        )
    }
}
