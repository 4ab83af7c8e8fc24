//! HTTP requests to a keeper.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The time limit for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Sends `GET path` to `port` of this machine. Returns the status code and the JSON body; null for another body.
pub(super) async fn get(port: u16, path: &str) -> io::Result<(u16, Value)> {
    let text = timeout(ANSWER_WITHIN, exchange(port, path)).await??;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "that is not HTTP");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let code = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(broken)?;
    Ok((code, serde_json::from_str(body).unwrap_or_default()))
}

async fn exchange(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
