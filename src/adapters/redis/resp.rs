//! The wire format of Redis, version 2: requests packed, replies read.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

/// How deep arrays may be nested; the replies read here need three.
const MAX_DEPTH: usize = 8;

/// How long a reply may be; the longest read here, `CLIENT LIST`, stays far below.
const MAX_LENGTH: usize = 64 << 20;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK`.
    Status(String),
    /// `-ERR …`, without the dash.
    Error(String),
    /// `:1`.
    Integer(i64),
    /// A text; what is no UTF-8 in it is replaced.
    Bulk(String),
    /// No value.
    Nil,
    /// Several.
    Array(Vec<Reply>),
}

/// The peer does not speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not the Redis protocol")]
pub(super) struct Garbage;

impl Reply {
    /// Text of a status or bulk reply.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Status(text) | Self::Bulk(text) => Some(text),
            _ => None,
        }
    }

    /// Text of an error reply.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array.
    pub(super) fn items(&self) -> &[Reply] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }
}

/// Appends a request to `buffer`.
pub(super) fn pack(buffer: &mut Vec<u8>, words: &[&str]) {
    buffer.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        buffer.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// Reads the reply at the start of `bytes`, with its length; `None` while it is not complete.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Garbage> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.reply(MAX_DEPTH)?.map(|reply| (reply, reader.at)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Garbage> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let (&kind, rest) = line.split_first().ok_or(Garbage)?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        Ok(Some(match kind {
            b'+' => Reply::Status(text()),
            b'-' => Reply::Error(text()),
            b':' => Reply::Integer(number(rest)?),
            b'$' => match length(rest)? {
                None => Reply::Nil,
                Some(length) => match self.bulk(length)? {
                    None => return Ok(None),
                    Some(bytes) => Reply::Bulk(String::from_utf8_lossy(bytes).into_owned()),
                },
            },
            b'*' => match length(rest)? {
                None => Reply::Nil,
                Some(_) if depth == 0 => return Err(Garbage),
                Some(length) => {
                    let mut items = Vec::new();
                    for _ in 0..length {
                        let Some(item) = self.reply(depth - 1)? else {
                            return Ok(None);
                        };
                        items.push(item);
                    }
                    Reply::Array(items)
                }
            },
            _ => return Err(Garbage),
        }))
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, Garbage> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            // So that what never ends a line is found out by its first byte.
            return match rest.first() {
                None | Some(b'+' | b'-' | b':' | b'$' | b'*') if rest.len() <= MAX_LENGTH => {
                    Ok(None)
                }
                _ => Err(Garbage),
            };
        };
        self.at += end + 1;
        Ok(Some(rest[..end].strip_suffix(b"\r").ok_or(Garbage)?))
    }

    fn bulk(&mut self, length: usize) -> Result<Option<&'a [u8]>, Garbage> {
        let Some(with_end) = self.bytes.get(self.at..self.at + length + 2) else {
            return Ok(None);
        };
        self.at += length + 2;
        Ok(Some(with_end.strip_suffix(b"\r\n").ok_or(Garbage)?))
    }
}

fn number(digits: &[u8]) -> Result<i64, Garbage> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(Garbage)
}

/// A length; −1 stands for no value.
fn length(digits: &[u8]) -> Result<Option<usize>, Garbage> {
    match number(digits)? {
        -1 => Ok(None),
        length => usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_LENGTH)
            .map(Some)
            .ok_or(Garbage),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_packed_as_arrays_of_bulk_strings() {
        let mut buffer = Vec::new();
        pack(&mut buffer, &["REPLICAOF", "é", ""]);
        assert_eq!(
            String::from_utf8(buffer).unwrap(),
            "*3\r\n$9\r\nREPLICAOF\r\n$2\r\né\r\n$0\r\n\r\n"
        );
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let text = "*7\r\n+OK\r\n-ERR no\r\n:-1\r\n$2\r\nab\r\n$-1\r\n*-1\r\n*0\r\n";
        let expected = Reply::Array(vec![
            Reply::Status("OK".into()),
            Reply::Error("ERR no".into()),
            Reply::Integer(-1),
            Reply::Bulk("ab".into()),
            Reply::Nil,
            Reply::Nil,
            Reply::Array(vec![]),
        ]);
        assert_eq!(read(text.as_bytes()), Ok(Some((expected, text.len()))));
    }

    #[test]
    fn what_is_another_protocol_is_told_apart_from_what_is_not_complete() {
        for garbage in [
            "HTTP/1.1 200 OK",
            "\x15\x03",
            "$x\r\n",
            "+OK\n",
            "$1\r\nabc",
            "*-2\r\n",
        ] {
            assert_eq!(read(garbage.as_bytes()), Err(Garbage), "{garbage}");
        }
        let nested = "*1\r\n".repeat(MAX_DEPTH + 2);
        assert_eq!(read(nested.as_bytes()), Err(Garbage));
    }

    proptest! {
        #[test]
        fn a_reply_cut_short_is_not_complete(cut in 0_usize..42) {
            let text = b"*3\r\n$5\r\nhello\r\n*1\r\n:12\r\n-ERR something\r\n";
            prop_assert_eq!(read(&text[..cut.min(text.len() - 1)]), Ok(None));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }

        #[test]
        fn almost_replies_are_read_without_a_panic(text in "([*$:+-]-?[0-9a]{0,3}\r\n){0,20}") {
            let _ = read(text.as_bytes());
        }
    }
}
