//! Texts of replies that the `redis` crate has parsed.

use std::borrow::Cow;

use redis::{ServerError, Value};

/// The text of a status or bulk reply. Bytes that are no UTF-8 are replaced.
pub(super) fn text(reply: &Value) -> Option<Cow<'_, str>> {
    match reply {
        Value::Okay => Some("OK".into()),
        Value::SimpleString(text) => Some(text.into()),
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    }
}

/// The elements of an array; empty for any other reply.
pub(super) fn items(reply: &Value) -> &[Value] {
    reply.as_sequence().unwrap_or_default()
}

/// The text of an error reply.
pub(super) fn error(reply: &Value) -> Option<String> {
    match reply {
        Value::ServerError(error) => Some(words(error)),
        _ => None,
    }
}

/// An error in the server's own words.
pub(super) fn words(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_the_servers_own_words() {
        for said in [
            "LOADING",
            "ERR  max number of clients reached",
            "WRONGPASS invalid: no user",
        ] {
            let reply = redis::parse_redis_value(format!("-{said}\r\n").as_bytes());
            assert_eq!(error(&reply.expect("a reply")).as_deref(), Some(said));
        }
    }
}
