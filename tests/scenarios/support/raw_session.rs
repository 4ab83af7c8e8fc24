//! A session that nobody opens again.

use std::net::SocketAddrV4;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wait::SOON;

/// A session without a client library, which would open another when it is shut.
pub(crate) struct RawSession(TcpStream);

// === impl RawSession ===

impl RawSession {
    pub(crate) async fn open(at: SocketAddrV4) -> Self {
        let mut session = Self(TcpStream::connect(at).await.expect("a session"));
        session.ping().await;
        session
    }

    /// It is open still.
    pub(crate) async fn ping(&mut self) {
        let mut pong = [0; 7];
        self.0
            .write_all(b"PING\r\n")
            .await
            .expect("an open session");
        self.0.read_exact(&mut pong).await.expect("an answer");
        assert_eq!(&pong, b"+PONG\r\n");
    }

    /// Until it is shut from the other side.
    pub(crate) async fn wait_shut(&mut self) {
        let end = timeout(SOON, self.0.read(&mut [0])).await;
        assert!(
            matches!(end.expect("it is shut"), Ok(0) | Err(_)),
            "an answer to nothing"
        );
    }
}
