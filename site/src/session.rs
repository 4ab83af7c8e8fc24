//! A client's session through a proxy, which stays with the server that the proxy has chosen.

use std::net::SocketAddrV4;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult};

use super::redis::connect;

/// A session of a client with the server that is behind a proxy.
pub struct Session {
    connection: MultiplexedConnection,
    node: usize,
}

impl Session {
    /// Opens a session through `proxy`.
    pub async fn open(proxy: SocketAddrV4) -> RedisResult<Self> {
        let mut session = Self {
            connection: connect(proxy).await?,
            node: 0,
        };
        let words = ["CONFIG", "GET", "replica-announce-ip"];
        let (_, ip): (String, String) = session.ask(&words).await?;
        let node = ip.rsplit('.').next().and_then(|last| last.parse().ok());
        session.node = node.expect("servers announce the address of their host");
        Ok(session)
    }

    /// The number of the host of the session's server.
    pub fn node(&self) -> usize {
        self.node
    }

    /// Sends a command, and returns the reply.
    pub async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connection).await
    }
}
