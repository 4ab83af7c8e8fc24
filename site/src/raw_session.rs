//! A session that is not reopened when it is shut.

use std::net::SocketAddrV4;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wait::SOON;

/// A session without a client library: a library would reopen it.
pub struct RawSession(TcpStream);

// === impl RawSession ===

impl RawSession {
    /// Opens a session.
    pub async fn open(at: SocketAddrV4) -> Self {
        let mut session = Self(TcpStream::connect(at).await.expect("a session"));
        session.ping().await;
        session
    }

    /// Asserts that the session is still open.
    pub async fn ping(&mut self) {
        let mut pong = [0; 7];
        self.0
            .write_all(b"PING\r\n")
            .await
            .expect("an open session");
        self.0.read_exact(&mut pong).await.expect("an answer");
        assert_eq!(&pong, b"+PONG\r\n");
    }

    /// Waits until the other side has shut the session.
    pub async fn wait_shut(&mut self) {
        let end = timeout(SOON, self.0.read(&mut [0])).await;
        assert!(
            matches!(end.expect("it is shut"), Ok(0) | Err(_)),
            "an answer to nothing"
        );
    }
}
