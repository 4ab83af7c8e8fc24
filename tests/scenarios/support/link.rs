//! A TCP link that a test can cut: it stands between a client and a server.

use std::io;
use std::net::SocketAddrV4;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{self, error::RecvError};

use super::BACKGROUND;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Silent,
    Cut,
}

/// Forwards connections made to its own address; dropping it closes them all.
pub(crate) struct Link {
    at: SocketAddrV4,
    state: watch::Sender<State>,
    listening: watch::Receiver<bool>,
}

// === impl Link ===

impl Link {
    /// Listens at `at` for `server`.
    pub(crate) async fn new(at: SocketAddrV4, server: SocketAddrV4) -> Self {
        let (state, watched) = watch::channel(State::Open);
        let (listens, listening) = watch::channel(false);
        BACKGROUND.spawn(serve(at, server, watched, listens));
        let link = Self {
            at,
            state,
            listening,
        };
        link.wait_listening(true).await;
        link
    }

    /// Where clients connect.
    pub(crate) fn at(&self) -> SocketAddrV4 {
        self.at
    }

    /// Closes every connection and refuses new ones, as a host whose process died does.
    pub(crate) async fn cut(&self) {
        self.state.send_replace(State::Cut);
        self.wait_listening(false).await;
    }

    /// Lets no byte pass and closes nothing, as a host that fell off the network does.
    pub(crate) fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Ends either; what a silent link held back is delivered.
    pub(crate) async fn restore(&self) {
        self.state.send_replace(State::Open);
        self.wait_listening(true).await;
    }

    async fn wait_listening(&self, wanted: bool) {
        let done = until(&mut self.listening.clone(), |listening| listening == wanted).await;
        done.unwrap_or_else(|_| panic!("nothing listens at {}", self.at));
    }
}

/// Accepts until the link is dropped.
async fn serve(
    at: SocketAddrV4,
    server: SocketAddrV4,
    mut state: watch::Receiver<State>,
    listens: watch::Sender<bool>,
) -> Result<(), RecvError> {
    loop {
        until(&mut state, |state| state != State::Cut).await?;
        let listener = TcpListener::bind(at).await;
        let listener = listener.unwrap_or_else(|error| panic!("link at {at}: {error}"));
        listens.send_replace(true);
        let connections = state.clone();
        let accept = async {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(carry(client, server, connections.clone()));
                }
            }
        };
        tokio::select! {
            cut = until(&mut state, |state| state == State::Cut) => cut?,
            () = accept => {}
        }
        drop(listener);
        listens.send_replace(false);
    }
}

/// One connection, until either side closes it or the link is cut or dropped.
async fn carry(client: TcpStream, server: SocketAddrV4, mut state: watch::Receiver<State>) {
    let forward = forward(client, server, state.clone());
    tokio::select! {
        _ = until(&mut state, |state| state == State::Cut) => {}
        _ = forward => {}
    }
}

async fn forward(
    client: TcpStream,
    server: SocketAddrV4,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    passes(&mut state).await;
    let server = TcpStream::connect(server).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        end = pump(from_client, to_server, state.clone()) => end,
        end = pump(from_server, to_client, state) => end,
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await;
        // A silent link keeps the end of a connection to itself, too.
        passes(&mut state).await;
        match read? {
            0 => return Ok(()),
            count => to.write_all(&bytes[..count]).await?,
        }
    }
}

/// Waits out a silence. A cut ends the wait by ending the connection.
async fn passes(state: &mut watch::Receiver<State>) {
    let _ = until(state, |state| state == State::Open).await;
}

async fn until<T: Copy>(
    value: &mut watch::Receiver<T>,
    wanted: impl Fn(T) -> bool,
) -> Result<(), RecvError> {
    value.wait_for(|value| wanted(*value)).await.map(drop)
}
