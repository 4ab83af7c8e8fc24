//! The connections of one worker: their number is limited, and the longest idle one is closed for a new one.
//!
//! HAProxy opens a connection for each check. The keeper must answer checks however many connections other clients
//! hold. Therefore:
//!
//! - At the limit, the connection that has waited longest for its client is closed.
//! - A client that does not complete its request in time is cut off.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::dev::{Extensions, Payload};
use actix_web::web::Bytes;
use actix_web::{Error, FromRequest, HttpRequest};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

/// Time is counted in ticks, so that no time passes while the process stands still. A client that has sent its
/// request meanwhile still gets an answer.
const TICK: Duration = Duration::from_millis(250);

/// The time limit for the rest of a request after its first byte, the body included.
const REQUEST_WITHIN: Duration = Duration::from_secs(2);

/// The time limit for an idle connection between two requests.
const IDLE_FOR: Duration = Duration::from_secs(15);

/// The connections of one worker.
#[derive(Clone)]
pub(super) struct Connections(Rc<Table>);

struct Table {
    limit: usize,
    open: Cell<usize>,
    tick: Cell<u64>,
    next_turn: Cell<u64>,
    /// The connections that wait for their clients, the longest waiting first.
    waiting: RefCell<BTreeMap<u64, Rc<Connection>>>,
}

/// One connection. Its stream, its requests and the table share it.
pub(super) struct Connection {
    table: Rc<Table>,
    phase: Cell<Phase>,
    /// The tick at which the phase began.
    since: Cell<u64>,
    /// The connection's key in `waiting`; later turns are higher.
    turn: Cell<u64>,
    closed: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte of a request has come.
    Idle,
    /// A part of a request has come.
    Sending,
    /// A handler works on a request.
    Served,
    Closed,
}

/// A stream that counts as a connection as long as the stream lives.
pub(super) struct Counted<S> {
    stream: S,
    connection: Rc<Connection>,
}

// === impl Connections ===

impl Connections {
    /// A table without connections, for `limit` connections at most.
    pub(super) fn new(limit: usize) -> Self {
        Self(Rc::new(Table {
            limit,
            open: Cell::default(),
            tick: Cell::default(),
            next_turn: Cell::default(),
            waiting: RefCell::default(),
        }))
    }

    /// Adds a connection. At the limit, closes the connection that has waited longest.
    pub(super) fn count<S>(&self, stream: S) -> Counted<S> {
        let table = &self.0;
        if table.open.get() >= table.limit {
            let longest = table.waiting.borrow_mut().pop_first();
            if let Some((_, connection)) = longest {
                connection.close_for("crowded");
            }
        }
        table.open.set(table.open.get() + 1);
        let connection = Rc::new(Connection {
            table: table.clone(),
            phase: Cell::new(Phase::Idle),
            since: Cell::default(),
            turn: Cell::default(),
            closed: Notify::new(),
        });
        connection.wait();
        Counted { stream, connection }
    }

    /// Closes connections whose clients take too long. This future never ends.
    pub(super) async fn watch(self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.0.pass();
        }
    }
}

impl Table {
    /// Counts one tick, and closes the connections whose time is over.
    fn pass(&self) {
        let now = self.tick.get() + 1;
        self.tick.set(now);
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|_, connection| {
            let phase = connection.phase.get();
            let in_time = now - connection.since.get() <= phase.ticks();
            if !in_time {
                let half = phase == Phase::Sending;
                connection.close_for(if half { "half-request" } else { "idle" });
            }
            in_time
        });
    }
}

impl Phase {
    fn ticks(self) -> u64 {
        let span = match self {
            Self::Idle => IDLE_FOR,
            Self::Sending => REQUEST_WITHIN,
            Self::Served | Self::Closed => Duration::MAX,
        };
        u64::try_from(span.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX)
    }
}

// === impl Connection ===

impl Connection {
    /// The connection of `request`, if it is counted.
    pub(super) fn of(request: &HttpRequest) -> Option<Rc<Self>> {
        request.conn_data::<Rc<Self>>().cloned()
    }

    /// Notes that a handler begins to work on a complete request.
    pub(super) fn serve(&self) {
        if self.is_waiting() {
            self.table.waiting.borrow_mut().remove(&self.turn.get());
            self.enter(Phase::Served);
        }
    }

    /// Notes that the handler has ended.
    pub(super) fn served(self: &Rc<Self>) {
        if self.phase.get() == Phase::Served {
            self.wait();
        } else if self.is_waiting() {
            self.enter(Phase::Idle);
        }
    }

    /// Resolves when the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    fn wait(self: &Rc<Self>) {
        let turn = self.table.next_turn.get();
        self.table.next_turn.set(turn + 1);
        self.turn.set(turn);
        self.enter(Phase::Idle);
        let mut waiting = self.table.waiting.borrow_mut();
        waiting.insert(turn, self.clone());
    }

    /// Closes the connection and counts the reason.
    fn close_for(&self, reason: &'static str) {
        metrics::counter!("redis_keeper_http_connections_closed_total", "reason" => reason)
            .increment(1);
        self.close();
    }

    /// Closes the connection. The caller removes it from `waiting`.
    fn close(&self) {
        self.enter(Phase::Closed);
        self.table.open.set(self.table.open.get() - 1);
        self.closed.notify_one();
    }

    /// Notes that the stream has received bytes.
    fn got(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Sending);
        }
    }

    /// Notes that the client has taken a part of an answer.
    fn gave(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Idle);
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.table.tick.get());
    }

    fn is_waiting(&self) -> bool {
        matches!(self.phase.get(), Phase::Idle | Phase::Sending)
    }
}

// === impl Counted ===

impl<S> Counted<S> {
    pub(super) fn connection(&self) -> Rc<Connection> {
        self.connection.clone()
    }

    /// Makes the connection available to its requests.
    pub(super) fn tell(&self, data: &mut Extensions) {
        data.insert(self.connection());
    }
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        let connection = &self.connection;
        if connection.phase.get() == Phase::Closed {
            return;
        }
        let mut waiting = connection.table.waiting.borrow_mut();
        if connection.is_waiting() {
            waiting.remove(&connection.turn.get());
        }
        drop(waiting);
        connection.close();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.connection.got();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.connection.gave();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The whole body of a request. Once the body has come, the request counts as served.
pub(super) struct Body(pub(super) Bytes);

impl FromRequest for Body {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let connection = Connection::of(request);
        let bytes = Bytes::from_request(request, payload);
        async move {
            let bytes = bytes.await?;
            if let Some(connection) = connection {
                connection.serve();
            }
            Ok(Self(bytes))
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(counted: &Counted<()>) -> bool {
        counted.connection.phase.get() == Phase::Closed
    }

    fn ticks(span: Duration) -> u128 {
        span.as_millis() / TICK.as_millis()
    }

    #[test]
    fn the_one_that_has_waited_longest_gives_way_and_never_one_that_is_served() {
        let connections = Connections::new(3);
        let [served, first, second] = [(); 3].map(|()| connections.count(()));
        served.connection.serve();
        let third = connections.count(());
        assert!(is_closed(&first));
        assert_eq!(connections.0.open.get(), 3);

        // A connection that was served just now is the last to be closed.
        second.connection.serve();
        second.connection.served();
        let _fourth = connections.count(());
        assert!(is_closed(&third) && !is_closed(&second) && !is_closed(&served));
    }

    #[test]
    fn where_all_are_served_one_more_comes_in_and_nobody_is_closed() {
        let connections = Connections::new(1);
        let served = connections.count(());
        served.connection.serve();
        let another = connections.count(());
        assert!(!is_closed(&served) && !is_closed(&another));
        drop((served, another));
        assert_eq!(connections.0.open.get(), 0);
        assert!(connections.0.waiting.borrow().is_empty());
    }

    #[test]
    fn half_a_request_has_two_seconds_and_an_idle_connection_fifteen() {
        let connections = Connections::new(9);
        let [idle, sending, served] = [(); 3].map(|()| connections.count(()));
        sending.connection.got();
        served.connection.serve();
        for _ in 0..ticks(REQUEST_WITHIN) {
            connections.0.pass();
            sending.connection.got();
        }
        assert!(!is_closed(&sending));
        connections.0.pass();
        assert!(is_closed(&sending), "more bytes give it no more time");
        for _ in ticks(REQUEST_WITHIN)..ticks(IDLE_FOR) {
            assert!(!is_closed(&idle));
            connections.0.pass();
        }
        assert!(is_closed(&idle) && !is_closed(&served));
    }

    #[test]
    fn one_that_is_closed_is_counted_no_more_whenever_its_stream_ends() {
        let connections = Connections::new(1);
        let first = connections.count(());
        let second = connections.count(());
        assert!(is_closed(&first));
        first.connection.serve();
        first.connection.served();
        drop(first);
        assert_eq!(connections.0.open.get(), 1);
        drop(second);
        assert_eq!(connections.0.open.get(), 0);
    }
}
