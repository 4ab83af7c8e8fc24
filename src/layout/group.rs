//! `/group`: the token of the group of keepers below this prefix, which tells it from other groups (RK-12).

use serde::{Deserialize, Serialize};

use super::state::{Document, LayoutError, decode, encode};
use crate::domain::group::GroupToken;

#[derive(Serialize, Deserialize)]
struct WireGroup {
    token: String,
}

impl Document for GroupToken {
    fn encode(&self) -> Vec<u8> {
        encode(WireGroup {
            token: self.to_string(),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let WireGroup { token } = decode(data)?;
        let unfit = |()| LayoutError::Malformed(format!("`{token}` is no token"));
        token.parse().map_err(unfit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_what_is_none_is_refused() {
        let token = GroupToken::drawn(7);
        assert_eq!(GroupToken::decode(&token.encode()), Ok(token));
        for text in ["{}", r#"{"format":1}"#, r#"{"format":1,"token":"a b"}"#] {
            assert!(GroupToken::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
