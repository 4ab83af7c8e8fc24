//! One connection to one server. This program owns the stream; the `redis` crate encodes requests and parses replies.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use combine::parser::combinator::AnySendSyncPartialState;
use combine::stream::{Decoder, PointerOffset};
use redis::{Arg, Cmd, Pipeline, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};

use super::tls;
use crate::domain::commands::{CommandNames, command};
use crate::ports::redis::ConnectionEvent;

/// The longest reply that is read, in bytes. The longest expected reply, to `CLIENT LIST`, is far shorter.
const LONGEST: usize = 64 << 20;

/// The size of the read buffer in bytes, so that a single read of the stream takes all replies to a light probe. The
/// decoder alone would read 64 bytes first, then as many again.
const CHUNK: usize = 1024;

/// A TCP or TLS stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection that counts the replies it is owed. So it stays usable after a caller has given up waiting for a
/// reply.
pub(super) struct Wire {
    source: BufReader<Source>,
    /// Holds the bytes of an incomplete reply. Between replies the decoder holds no memory.
    decoder: Decoder<AnySendSyncPartialState, PointerOffset<[u8]>>,
    owed: usize,
    /// Whether a reply came that no caller was told of: a late reply, or the first of several before the time limit.
    untold: bool,
    names: Rc<CommandNames>,
}

/// The reason why no reply can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The stream failed or ended.
    #[error("{0}")]
    Io(io::Error),
    /// The peer answers, but the TLS handshake or a TLS record fails.
    #[error("{0}")]
    Tls(String),
    /// The peer answers in another protocol than Redis'.
    #[error("{0}")]
    Foreign(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        // rustls reports alerts, bad certificates and other protocols as `InvalidData`.
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Tls(format!("TLS: {}", tls::in_words(&error))),
            _ => Self::Io(error),
        }
    }
}

/// A request of the given words.
pub(super) fn request(words: &[&str]) -> Cmd {
    let mut request = Cmd::new();
    request.arg(words);
    request
}

/// Whether the command is in the list of commands that `rename-commands` can rename.
fn is_listed(request: &Cmd) -> bool {
    let name = request.args_iter().next();
    matches!(name, Some(Arg::Simple(name)) if std::str::from_utf8(name).is_ok_and(|it| command(it).is_some()))
}

/// The requests with the commands' names replaced by `names`.
fn renamed<'a>(requests: &'a Pipeline, names: &CommandNames) -> Cow<'a, Pipeline> {
    if names.is_empty() {
        return Cow::Borrowed(requests);
    }
    let mut renamed = redis::pipe();
    for request in requests.cmd_iter() {
        let mut words = request.args_iter();
        let mut by_name = Cmd::new();
        if let Some(Arg::Simple(name)) = words.next() {
            match std::str::from_utf8(name) {
                Ok(name) => by_name.arg(names.of(name)),
                Err(_) => by_name.arg(name),
            };
        }
        for word in words {
            if let Arg::Simple(word) = word {
                by_name.arg(word);
            }
        }
        renamed.add_command(by_name);
    }
    Cow::Owned(renamed)
}

// === impl Wire ===

impl Wire {
    /// A connection to a server that knows commands by `names`.
    pub(super) fn new(stream: Box<dyn Stream>, names: Rc<CommandNames>) -> Self {
        Self {
            source: BufReader::with_capacity(
                CHUNK,
                Source {
                    stream,
                    failure: None,
                },
            ),
            decoder: Decoder::new(),
            owed: 0,
            untold: false,
            names,
        }
    }

    /// The server's name for `command`.
    pub(super) fn name_of<'a>(&'a self, command: &'a str) -> &'a str {
        self.names.of(command)
    }

    /// The number of replies that were asked for and not read yet.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// Sends requests under the names that the server knows. Each request will have one reply.
    pub(super) async fn send(&mut self, requests: &Pipeline) -> io::Result<()> {
        debug_assert!(requests.cmd_iter().all(is_listed), "{requests:?}");
        self.owed += requests.len();
        let packed = renamed(requests, &self.names).get_packed_pipeline();
        let stream = &mut self.source.get_mut().stream;
        stream.write_all(&packed).await?;
        stream.flush().await
    }

    /// Sends one request and reads its reply. The reply is read even if sending failed: a server that turns a client
    /// away says why before it closes.
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Value, WireError> {
        let sent = self.send(redis::pipe().add_command(request(words))).await;
        match (self.reply().await, sent) {
            (Err(WireError::Io(_)), Err(error)) => Err(error.into()),
            (reply, _) => reply,
        }
    }

    /// Notes that the caller knows of every reply so far.
    pub(super) fn mark_reported(&mut self) {
        self.untold = false;
    }

    /// Reads the next reply.
    ///
    /// # Cancellation safety
    /// Received bytes stay in the reader and the decoder. The next call continues from there.
    pub(super) async fn reply(&mut self) -> Result<Value, WireError> {
        let room = LONGEST.saturating_sub(self.decoder.buffer().len());
        let mut bounded = (&mut self.source).take(room as u64);
        let parsed = redis::parse_redis_value_async(&mut self.decoder, &mut bounded).await;
        let full = bounded.limit() == 0;
        match parsed {
            Ok(reply) => {
                if self.decoder.buffer().is_empty() {
                    self.decoder = Decoder::new();
                }
                self.owed = self.owed.saturating_sub(1);
                self.untold = true;
                Ok(reply)
            }
            Err(error) if error.is_io_error() && !full => {
                Err(self.source.get_mut().failure().into())
            }
            Err(error) if error.is_io_error() => Err(WireError::Foreign(format!(
                "the answer is longer than {LONGEST} bytes"
            ))),
            Err(_) => Err(WireError::Foreign(
                "the answer is not the Redis protocol".to_owned(),
            )),
        }
    }

    /// Waits for a sign of the server outside a probe: bytes without a request, a reply that no caller was told of,
    /// or the end of the connection. Cancellation safe.
    pub(super) async fn next_event(&mut self) -> ConnectionEvent {
        if std::mem::take(&mut self.untold) {
            return ConnectionEvent::Answered;
        }
        match self.reply().await {
            Ok(_) => {
                self.untold = false;
                ConnectionEvent::Answered
            }
            Err(WireError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                ConnectionEvent::Closed
            }
            Err(_) => ConnectionEvent::Lost,
        }
    }
}

/// The source of replies. The source keeps the error of the stream, because the parser returns that error in another
/// form.
struct Source {
    stream: Box<dyn Stream>,
    failure: Option<io::Error>,
}

// === impl Source ===

impl Source {
    /// The error that ended the stream; `UnexpectedEof` if there was none.
    fn failure(&mut self) -> io::Error {
        self.failure
            .take()
            .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream)
            .poll_read(context, buffer)
            .map_err(|error| {
                let kind = error.kind();
                self.failure = Some(error);
                kind.into()
            })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const REPLIES: &[u8] = b"+PONG\r\n*3\r\n$7\r\nhe\r\nllo\r\n*1\r\n:-12\r\n-ERR no\r\n$-1\r\n";

    fn expected() -> Vec<Value> {
        [
            &b"+PONG\r\n"[..],
            b"*3\r\n$7\r\nhe\r\nllo\r\n*1\r\n:-12\r\n-ERR no\r\n",
            b"$-1\r\n",
        ]
        .map(|whole| redis::parse_redis_value(whole).expect("a reply"))
        .to_vec()
    }

    fn wire() -> (Wire, DuplexStream) {
        let (near, far) = duplex(1 << 16);
        (Wire::new(Box::new(near), Rc::default()), far)
    }

    /// Sends `bytes` to the wire, and reads replies until no more are complete.
    fn read_after(wire: &mut Wire, far: &mut DuplexStream, bytes: &[u8]) -> Vec<Value> {
        far.write_all(bytes)
            .now_or_never()
            .expect("room")
            .expect("open");
        std::iter::from_fn(|| wire.reply().now_or_never())
            .map(|reply| reply.expect("Redis protocol"))
            .collect()
    }

    proptest! {
        #[test]
        fn replies_that_come_in_pieces_survive_that_each_wait_for_them_is_given_up(
            pieces in prop::collection::vec(1_usize..20, 1..60)
        ) {
            let (mut wire, mut far) = wire();
            let mut rest = REPLIES;
            let mut replies = Vec::new();
            for length in pieces.into_iter().chain([REPLIES.len()]) {
                let (piece, after) = rest.split_at(length.min(rest.len()));
                replies.extend(read_after(&mut wire, &mut far, piece));
                rest = after;
            }
            prop_assert_eq!(replies, expected());
            prop_assert!(wire.decoder.buffer().is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in prop_oneof![
                any::<Vec<u8>>(),
                "([*$:+%|~_,#!=(>-]-?[0-9a]{0,20}\r\n){0,50}".prop_map(String::into_bytes),
            ]
        ) {
            let (mut wire, mut far) = wire();
            far.write_all(&bytes).now_or_never().expect("room").expect("open");
            drop(far);
            while let Some(Ok(_)) = wire.reply().now_or_never() {}
        }
    }

    #[test]
    fn replies_owed_are_counted_also_when_they_were_given_up() {
        let (mut wire, mut far) = wire();
        let mut requests = redis::pipe();
        requests.cmd("PING").cmd("INFO").arg("replication");
        wire.send(&requests)
            .now_or_never()
            .expect("room")
            .expect("open");
        assert_eq!(wire.owed(), 2);
        assert!(wire.reply().now_or_never().is_none());
        assert_eq!(wire.owed(), 2);
        assert_eq!(read_after(&mut wire, &mut far, b"+PONG\r\n$1\r\n").len(), 1);
        assert_eq!(wire.owed(), 1);
        assert_eq!(read_after(&mut wire, &mut far, b"a\r\n").len(), 1);
        assert_eq!(wire.owed(), 0);
    }

    #[test]
    fn what_is_another_protocol_is_told_apart_from_the_end() {
        for (bytes, foreign) in [
            (&b"HTTP/1.1 200 OK"[..], true),
            (b"\x15\x03", true),
            (b"$x\r\n", true),
            (b"$1\r\nabc", true),
            (b"", false),
            (b"+PON", false),
            (b"$5\r\nhe", false),
        ] {
            let (mut wire, mut far) = wire();
            far.write_all(bytes)
                .now_or_never()
                .expect("room")
                .expect("open");
            drop(far);
            let error = wire.reply().now_or_never().expect("read").err();
            let is_foreign = matches!(error, Some(WireError::Foreign(_)));
            assert_eq!(is_foreign, foreign, "{bytes:?}: {error:?}");
        }
    }
}
