//! Text that is never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::names::{Refused, refused};

/// What is shown instead of a secret.
const MASK: &str = "***";

/// A password or the like. `Debug`, `Display` and serialization show `***`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who must send it.
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

/// The password of one user; two while it is changed from one to the other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Passwords {
    One(Secret),
    Several(Vec<Secret>),
}

/// Why a file holds no secret.
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
    /// So many a server may be tried with.
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

/// The secrets that the file at `path` holds, one a line, at most `most`.
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
