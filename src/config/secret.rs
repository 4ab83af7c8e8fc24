//! Texts that messages and logs do not show.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::names::{Refused, refused};

/// The mask that is shown instead of a secret.
const MASK: &str = "***";

/// A password or another secret text. `Debug`, `Display` and serialization show `***`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for a login.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// The password of one user, or two during a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Passwords {
    One(Secret),
    Several(Vec<Secret>),
}

/// The reason why a file has no usable secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} = {}: {}; {}", key, path.display(), refused.fault, refused.remedy)]
pub struct SecretFileError {
    /// The key that names the file.
    key: &'static str,
    path: PathBuf,
    refused: Refused,
}

// === impl Passwords ===

impl Passwords {
    /// The most passwords that a server may be tried with.
    pub(super) const MOST: usize = 2;

    pub(super) fn into_list(self) -> Vec<Secret> {
        match self {
            Self::One(password) => vec![password],
            Self::Several(passwords) => passwords,
        }
    }
}

// === impl SecretFileError ===

impl SecretFileError {
    pub(super) fn new(key: &'static str, path: &Path, refused: Refused) -> Self {
        Self {
            key,
            path: path.to_owned(),
            refused,
        }
    }
}

/// The secrets in the file at `path`, one for each line, at most `most`.
pub(super) fn lines_of(path: &Path, most: usize) -> Result<Vec<Secret>, Refused> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot be read: {error}"), "name a readable file"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(refused(
            "names an empty file",
            "write the secret into it, or take the key out",
        ));
    }
    let lines: Vec<_> = text.lines().collect();
    let form = if most == 1 {
        "write one line"
    } else {
        "write one line, or two while the password is changed"
    };
    if lines.len() > most {
        let fault = format!("names a file of {} lines", lines.len());
        return Err(refused(fault, form));
    }
    if lines.iter().any(|line| line.is_empty()) {
        return Err(refused("names a file with an empty line", form));
    }
    Ok(lines.into_iter().map(Secret::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_to_nobody_who_does_not_ask_for_it() {
        let secret = Secret::new("hunter2");
        let shown = format!(
            "{secret} {secret:?} {}",
            serde_json::to_string(&secret).unwrap()
        );
        assert_eq!(shown, "*** *** \"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
