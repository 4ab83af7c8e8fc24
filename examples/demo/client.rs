//! A client that counts up at the server, and notices when its writes fail.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::news::{News, Newsroom, Outage};
use super::{CLUSTER, http};

/// The pause between two writes, and between two attempts.
const PAUSE: Duration = Duration::from_millis(2);

/// The time limit for a reply.
const REPLY_WITHIN: Duration = Duration::from_millis(250);

/// How a client finds the server to write to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// Ask the keeper on this port for the primary.
    AskKeeper(u16),
    /// Write to the proxy on this port.
    Proxy(u16),
}

/// The client, with a connection or without.
struct Client {
    way: Way,
    connection: Option<BufStream<TcpStream>>,
}

/// Writes until the future is dropped.
pub(super) async fn write(way: Way, newsroom: Newsroom) {
    let mut client = Client {
        way,
        connection: None,
    };
    let mut accepted: Option<(Instant, u64)> = None;
    let mut failed = 0;
    loop {
        match timeout(REPLY_WITHIN, client.count())
            .await
            .unwrap_or_else(|late| Err(late.into()))
        {
            Ok(count) => {
                if let Some((since, before)) = accepted.filter(|_| failed > 0) {
                    newsroom.tell(News::Accepted(Outage {
                        since,
                        attempts: failed,
                        lost: (before + 1).saturating_sub(count),
                    }));
                }
                failed = 0;
                accepted = Some((Instant::now(), count));
            }
            Err(error) => {
                client.connection = None;
                if failed == 0 && accepted.is_some() {
                    newsroom.tell(News::Cut(error.to_string()));
                }
                failed += 1;
            }
        }
        sleep(PAUSE).await;
    }
}

impl Client {
    /// Increments the counter at the server. The new count shows whether all earlier writes are still there.
    async fn count(&mut self) -> io::Result<u64> {
        if self.connection.is_none() {
            let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.way.port().await?);
            self.connection = Some(BufStream::new(TcpStream::connect(server).await?));
        }
        let Some(connection) = &mut self.connection else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        connection.write_all(b"INCR demo:writes\r\n").await?;
        connection.flush().await?;
        let mut reply = String::new();
        connection.read_line(&mut reply).await?;
        match (reply.get(..1), reply.get(1..).map(str::trim_end)) {
            (Some(":"), Some(count)) => count.parse().map_err(io::Error::other),
            (Some("-"), Some(error)) => Err(io::Error::other(error)),
            _ => Err(io::Error::other("the connection was closed")),
        }
    }
}

impl Way {
    async fn port(self) -> io::Result<u16> {
        let keeper = match self {
            Self::Proxy(port) => return Ok(port),
            Self::AskKeeper(port) => port,
        };
        let (_, primary) = http::get(keeper, &format!("/cluster/{CLUSTER}/master")).await?;
        let port = primary["port"]
            .as_u64()
            .and_then(|port| port.try_into().ok());
        port.ok_or_else(|| io::Error::other("the keeper names no primary"))
    }
}
