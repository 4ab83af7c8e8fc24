//! One connection to one server.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::resp::{self, Garbage, Reply};
use crate::ports::redis::Stir;

/// Room for the reply of a light probe, so that one read takes it whole.
const CHUNK: usize = 2048;

/// A TCP or TLS stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection that knows how many replies it is owed, so that it stays usable when a reply is not waited for.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// Bytes of a reply that is not complete; no memory is kept between replies.
    received: Vec<u8>,
    owed: usize,
}

/// No reply can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The stream failed or ended.
    #[error("{0}")]
    Io(io::Error),
    /// The peer answers, but not as Redis does, or not with the TLS that is asked for.
    #[error("{0}")]
    Foreign(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        // What rustls makes of alerts, bad certificates and other protocols.
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Foreign(format!("TLS: {error}")),
            _ => Self::Io(error),
        }
    }
}

impl From<Garbage> for WireError {
    fn from(garbage: Garbage) -> Self {
        Self::Foreign(garbage.to_string())
    }
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            received: Vec::new(),
            owed: 0,
        }
    }

    /// Replies sent for and not read yet.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// Sends requests that will have `replies` replies.
    pub(super) async fn send(&mut self, requests: &[u8], replies: usize) -> io::Result<()> {
        self.owed += replies;
        self.stream.write_all(requests).await?;
        self.stream.flush().await
    }

    /// Sends one request and reads its reply.
    pub(super) async fn call(&mut self, words: &[&str]) -> Result<Reply, WireError> {
        let mut request = Vec::new();
        resp::pack(&mut request, words);
        self.send(&request, 1).await?;
        self.reply().await
    }

    /// Reads the next reply. Cancellation safe.
    pub(super) async fn reply(&mut self) -> Result<Reply, WireError> {
        loop {
            if let Some(reply) = self.received_reply()? {
                return Ok(reply);
            }
            self.received.reserve(CHUNK);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Waits for what comes without having been asked for. Cancellation safe.
    pub(super) async fn stirred(&mut self) -> Stir {
        loop {
            match self.received_reply() {
                Ok(Some(_)) => return Stir::Answered,
                Ok(None) => {}
                Err(Garbage) => return Stir::Closed,
            }
            // Waiting is what a connection does nearly always: it holds no buffer meanwhile.
            let mut some = [0; 64];
            match self.stream.read(&mut some).await {
                Ok(0) | Err(_) => return Stir::Closed,
                Ok(count) => self.received.extend_from_slice(&some[..count]),
            }
        }
    }

    fn received_reply(&mut self) -> Result<Option<Reply>, Garbage> {
        let Some((reply, length)) = resp::read(&self.received)? else {
            return Ok(None);
        };
        if length == self.received.len() {
            self.received = Vec::new();
        } else {
            self.received.drain(..length);
        }
        self.owed = self.owed.saturating_sub(1);
        Ok(Some(reply))
    }
}
