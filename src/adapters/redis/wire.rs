//! One connection to one server: a stream of our own, with the encoder and the parser of the `redis` crate.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use combine::parser::combinator::AnySendSyncPartialState;
use combine::stream::{Decoder, PointerOffset};
use redis::{Arg, Cmd, Pipeline, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};

use crate::domain::commands::{CommandNames, command};
use crate::ports::redis::Stir;

/// How long a reply may be; the longest read here, `CLIENT LIST`, stays far below.
const LONGEST: usize = 64 << 20;

/// Room for the replies to a light probe, so that one read of the stream takes them whole: the decoder by itself reads 64
/// bytes first, then as many again.
const CHUNK: usize = 1024;

/// A TCP or TLS stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection that knows how many replies it is owed, so that it stays usable when a reply is not waited for.
pub(super) struct Wire {
    source: BufReader<Source>,
    /// Holds what came of a reply that is not complete; between replies it holds no memory.
    decoder: Decoder<AnySendSyncPartialState, PointerOffset<[u8]>>,
    owed: usize,
    /// A reply came that nobody was told of: a late one, or one of several before the time was up.
    untold: bool,
    names: Rc<CommandNames>,
}

/// No reply can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The stream failed or ended.
    #[error("{0}")]
    Io(io::Error),
    /// The peer answers, but not with the TLS that is asked for, or takes none of this host's.
    #[error("{0}")]
    Tls(String),
    /// The peer answers, but not as Redis does.
    #[error("{0}")]
    Foreign(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        // What rustls makes of alerts, bad certificates and other protocols.
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Tls(format!("TLS: {error}")),
            _ => Self::Io(error),
        }
    }
}

/// A request of these words.
pub(super) fn request(words: &[&str]) -> Cmd {
    let mut request = Cmd::new();
    request.arg(words);
    request
}

/// Whether operators can say that servers call this command otherwise.
fn is_listed(request: &Cmd) -> bool {
    let name = request.args_iter().next();
    matches!(name, Some(Arg::Simple(name)) if std::str::from_utf8(name).is_ok_and(|it| command(it).is_some()))
}

/// The requests as a server takes them that calls commands by `names`.
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
    /// A connection to a server that calls commands by `names`.
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

    /// What the server calls `command`.
    pub(super) fn name_of<'a>(&'a self, command: &'a str) -> &'a str {
        self.names.of(command)
    }

    /// Replies sent for and not read yet.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// Sends requests, each of which will have a reply, by the names that the server knows.
    pub(super) async fn send(&mut self, requests: &Pipeline) -> io::Result<()> {
        debug_assert!(requests.cmd_iter().all(is_listed), "{requests:?}");
        self.owed += requests.len();
        let packed = renamed(requests, &self.names).get_packed_pipeline();
        let stream = &mut self.source.get_mut().stream;
        stream.write_all(&packed).await?;
        stream.flush().await
    }

    /// Sends one request and reads its reply. Also when sending failed: a server that turns a client away says why before it
    /// closes.
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Value, WireError> {
        let sent = self.send(redis::pipe().add_command(request(words))).await;
        match (self.reply().await, sent) {
            (Err(WireError::Io(_)), Err(error)) => Err(error.into()),
            (reply, _) => reply,
        }
    }

    /// Everything that came so far has been told.
    pub(super) fn told(&mut self) {
        self.untold = false;
    }

    /// Reads the next reply.
    ///
    /// # Cancellation safety
    /// What was received stays in the reader and the decoder, from which the next call goes on.
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

    /// Waits for what comes without having been asked for, or came and was not told of. Cancellation safe.
    pub(super) async fn stirred(&mut self) -> Stir {
        if std::mem::take(&mut self.untold) {
            return Stir::Answered;
        }
        match self.reply().await {
            Ok(_) => {
                self.untold = false;
                Stir::Answered
            }
            Err(WireError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Stir::Closed
            }
            Err(_) => Stir::Lost,
        }
    }
}

/// What replies are read from. It keeps the error that ends it, because the parser gives it back in a form of its own.
struct Source {
    stream: Box<dyn Stream>,
    failure: Option<io::Error>,
}

// === impl Source ===

impl Source {
    /// Why no more can be read.
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

    /// Has `bytes` come, and gives up waiting as soon as there is nothing more to read.
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
