//! A server on a free port of the loopback, and a client that shows the bytes.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use redis_keeper::http::{HttpState, server};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::fake::Fake;

/// The limit of every wait for an answer.
const DEADLINE: Duration = Duration::from_mins(1);

/// A HAProxy's state header about a server, as a header line.
pub(crate) const STATE: &str = "x-haproxy-server-state: UP 1/3; address=10.0.0.1; port=6379; \
    name=cluster-1-writable/10.0.0.1:6379; node=lb1; weight=1/3\r\n";

/// Serves the answers of `fake`.
pub(crate) fn served(fake: impl Into<Arc<Fake>>) -> Served {
    Served::on(server::bind("127.0.0.1", 0).unwrap(), fake.into())
}

/// A running server; stops when dropped.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    pub(crate) listener: TcpListener,
    task: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub(crate) fn on(listener: TcpListener, fake: Arc<Fake>) -> Self {
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let state = HttpState::new(Arc::clone(&fake) as _, fake, metrics).with_operations(true);
        let own = listener.try_clone().unwrap();
        let server = server::serve(listener, Arc::new(state), 1, 100).unwrap();
        Self {
            addr: own.local_addr().unwrap(),
            listener: own,
            task: actix_web::rt::spawn(server),
        }
    }

    /// Drops the server, as the end of its actor would, and waits until the server is gone.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Sends a GET with these header lines.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> Reply {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
        self.send(request.as_bytes()).await
    }

    /// Asks as HAProxy's check does.
    pub(crate) async fn check(&self, path: &str) -> Reply {
        self.get(path, STATE).await
    }

    /// Sends these bytes; the answer must be HTTP.
    pub(crate) async fn send(&self, request: &[u8]) -> Reply {
        Reply::parse(&self.try_send(request).await)
    }

    /// Sends these bytes. Returns everything that comes back until the server closes the connection.
    pub(crate) async fn try_send(&self, request: &[u8]) -> String {
        Self::ask(TcpStream::connect(self.addr).await.unwrap(), request).await
    }

    pub(crate) async fn ask(mut connection: TcpStream, request: &[u8]) -> String {
        let exchange = async {
            let mut answer = Vec::new();
            // A server that has seen enough may close before it has read everything; its answer counts.
            let _ = connection.write_all(request).await;
            let _ = connection.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        tokio::time::timeout(DEADLINE, exchange).await.unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer, split into its parts.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    fn parse(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("not HTTP: {text:?}"));
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            code,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}
