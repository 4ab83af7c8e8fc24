//! What replies, as the `redis` crate reads them, say in words.

use std::borrow::Cow;

use redis::{ServerError, Value};

/// Text of a status or bulk reply; what is no UTF-8 in it is replaced.
pub(super) fn text(reply: &Value) -> Option<Cow<'_, str>> {
    match reply {
        Value::Okay => Some("OK".into()),
        Value::SimpleString(text) => Some(text.into()),
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    }
}

/// The elements of an array.
pub(super) fn items(reply: &Value) -> &[Value] {
    reply.as_sequence().unwrap_or_default()
}

/// Text of an error reply.
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
