//! HTTP as no client library would send it.

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends `request` as it is. Returns the status code, or `None` if the server closed the connection without an
/// answer.
///
/// # Errors
/// No connection, or neither an answer nor an end within five seconds.
pub async fn ask(at: SocketAddrV4, request: &[u8]) -> io::Result<Option<u16>> {
    timeout(Duration::from_secs(5), async {
        let mut stream = TcpStream::connect(at).await?;
        // The server may refuse in the middle of a long request. The answer that it sent before counts.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        while !answer.windows(2).any(|two| two == b"\r\n") {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
            }
        }
        let text = String::from_utf8_lossy(&answer);
        let code = text
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        Ok(code.and_then(|code| code.parse().ok()))
    })
    .await?
}
