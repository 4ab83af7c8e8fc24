//! A TCP link between a client and a server, which a test can cut.

use std::collections::BTreeSet;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use std::{fs, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{self, error::RecvError};
use tokio::time::{Instant, sleep};

use crate::BACKGROUND;

/// How often the owner of a connection is looked up while a process is barred.
const LOOKED_UP_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Silent,
    Cut,
}

/// The place in a client's bytes at which its connection is stopped.
#[derive(Debug, Clone)]
pub enum Catch {
    /// Before these bytes reach the server: the command is under way.
    Before(String),
    /// After these bytes reached the server, before it can answer: the outcome of the command is unknown.
    After(String),
}

/// A command to change its role, as it reached a Redis server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// When the command reached the server.
    pub at: Instant,
    /// The epoch in the name of the connection; `None` without such a name.
    pub epoch: Option<u64>,
}

/// Stops the next connection that matches, until the test lets it go. Other connections pass. Notes all orders.
struct Trap {
    catch: Mutex<Option<Catch>>,
    caught: watch::Sender<bool>,
    orders: Mutex<Vec<Order>>,
}

/// Forwards connections to its own address. A dropped link closes all of them.
pub struct Link {
    at: SocketAddrV4,
    state: watch::Sender<State>,
    listening: watch::Receiver<bool>,
    trap: Arc<Trap>,
    /// Processes whose connections are closed.
    barred: watch::Sender<BTreeSet<u32>>,
    /// Counts how many times the open connections went mute.
    mutes: watch::Sender<u64>,
    /// The server behind the link. Below: the server to which new connections lead.
    server: SocketAddrV4,
    leads_to: watch::Sender<SocketAddrV4>,
}

/// Everything that may stop the bytes of a connection.
#[derive(Clone)]
struct Gates {
    trap: Arc<Trap>,
    barred: watch::Receiver<BTreeSet<u32>>,
    mutes: watch::Receiver<u64>,
}

// === impl Link ===

impl Link {
    /// Listens at `at`, and forwards to `server`.
    pub async fn new(at: SocketAddrV4, server: SocketAddrV4) -> Self {
        let (state, watched) = watch::channel(State::Open);
        let (listens, listening) = watch::channel(false);
        let trap = Arc::new(Trap {
            catch: Mutex::new(None),
            caught: watch::Sender::new(false),
            orders: Mutex::default(),
        });
        let (barred, bars) = watch::channel(BTreeSet::new());
        let (mutes, mute) = watch::channel(0);
        let gates = Gates {
            trap: Arc::clone(&trap),
            barred: bars,
            mutes: mute,
        };
        let (leads_to, leads) = watch::channel(server);
        BACKGROUND.spawn(serve(at, leads, watched, listens, gates));
        let link = Self {
            at,
            state,
            listening,
            trap,
            barred,
            mutes,
            server,
            leads_to,
        };
        link.wait_listening(true).await;
        link
    }

    /// The address for clients.
    pub fn at(&self) -> SocketAddrV4 {
        self.at
    }

    /// Closes every connection and refuses new ones, as a host does whose process died.
    pub async fn cut(&self) {
        self.state.send_replace(State::Cut);
        self.wait_listening(false).await;
    }

    /// Lets no byte pass and closes nothing, as a host does that fell off the network.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Makes the open connections mute for ever, and closes none; new ones work. A firewall that forgot its flows
    /// does the same.
    pub fn mute_flows(&self) {
        self.mutes.send_modify(|mutes| *mutes += 1);
    }

    /// Ends a cut or a silence. The bytes that a silent link held back are delivered.
    pub async fn restore(&self) {
        self.state.send_replace(State::Open);
        self.wait_listening(true).await;
    }

    /// Closes every connection of a process, and each new one at once. Connections of other processes pass.
    pub fn bar(&self, process: u32) {
        self.barred.send_modify(|barred| {
            barred.insert(process);
        });
    }

    /// Leads new connections to another server, as when a name has moved. Open connections go on.
    pub fn lead_to(&self, other: SocketAddrV4) {
        self.leads_to.send_replace(other);
    }

    /// Leads new connections to the server again.
    pub fn lead_back(&self) {
        self.leads_to.send_replace(self.server);
    }

    /// Stops the next connection that sends the bytes of `catch`, and no other.
    pub fn set_trap(&self, catch: Catch) {
        *self.trap.catch() = Some(catch);
    }

    /// The orders that passed so far.
    pub fn orders(&self) -> Vec<Order> {
        self.trap.orders().clone()
    }

    /// Waits until a connection is caught.
    pub async fn caught(&self) {
        let mut caught = self.trap.caught.subscribe();
        let _ = caught.wait_for(|caught| *caught).await;
    }

    /// Removes the trap; a caught connection stays stopped.
    pub fn disarm(&self) {
        *self.trap.catch() = None;
    }

    /// Removes the trap; the bytes of a caught connection go on to the server, if it still reads them.
    pub fn let_go(&self) {
        *self.trap.catch() = None;
        self.trap.caught.send_replace(false);
    }

    async fn wait_listening(&self, wanted: bool) {
        let done = until(&mut self.listening.clone(), |listening| listening == wanted).await;
        done.unwrap_or_else(|_| panic!("nothing listens at {}", self.at));
    }
}

// === impl Trap ===

impl Trap {
    fn catch(&self) -> MutexGuard<'_, Option<Catch>> {
        self.catch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The catch, if its bytes are in `sent`. The trap catches only one connection.
    fn springs(&self, sent: &[u8]) -> Option<Catch> {
        self.catch().take_if(|catch| {
            let (Catch::Before(text) | Catch::After(text)) = catch;
            behind(sent, text).is_some()
        })
    }

    async fn released(&self) {
        let mut caught = self.caught.subscribe();
        let _ = caught.wait_for(|caught| !*caught).await;
    }
}

/// Accepts connections until the link is dropped.
async fn serve(
    at: SocketAddrV4,
    leads: watch::Receiver<SocketAddrV4>,
    mut state: watch::Receiver<State>,
    listens: watch::Sender<bool>,
    gates: Gates,
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
                    let server = *leads.borrow();
                    tokio::spawn(carry(client, server, connections.clone(), gates.clone()));
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

/// Carries a connection until either side closes it, or the link is cut or dropped.
async fn carry(
    client: TcpStream,
    server: SocketAddrV4,
    mut state: watch::Receiver<State>,
    gates: Gates,
) {
    let ends = (client.peer_addr(), client.local_addr());
    let forward = forward(client, server, state.clone(), &gates);
    tokio::select! {
        biased;
        _ = until(&mut state, |state| state == State::Cut) => {}
        () = turned_away(ends, gates.barred.clone()) => {}
        _ = forward => {}
    }
}

/// Waits until the process at the other end is barred.
async fn turned_away(
    ends: (io::Result<SocketAddr>, io::Result<SocketAddr>),
    mut barred: watch::Receiver<BTreeSet<u32>>,
) {
    let (Ok(SocketAddr::V4(near)), Ok(SocketAddr::V4(far))) = ends else {
        return;
    };
    let some = |processes: &BTreeSet<u32>| !processes.is_empty();
    let Ok(processes) = barred.wait_for(some).await.map(|them| them.clone()) else {
        return pending().await;
    };
    // The kernel's table may lack a connection for a moment, while other connections open and close.
    let inode = loop {
        match inode((near, far)) {
            Some(inode) => break inode,
            None => sleep(LOOKED_UP_EVERY).await,
        }
    };
    if !processes.iter().any(|process| owns(*process, &inode)) {
        pending::<()>().await;
    }
}

async fn forward(
    client: TcpStream,
    server: SocketAddrV4,
    mut state: watch::Receiver<State>,
    gates: &Gates,
) -> io::Result<()> {
    let mutes = gates.mutes.clone();
    let born = *mutes.borrow();
    passes(&mut state).await;
    let server = TcpStream::connect(server).await?;
    // A network link adds no delay by itself: with Nagle's algorithm here, requests would wait for acknowledgements.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let gate = Gate {
        trap: &gates.trap,
        mutes,
        born,
        caught: AtomicBool::new(false),
        epoch: OnceLock::new(),
    };
    tokio::select! {
        end = pump(from_client, to_server, state.clone(), &gate, Side::Client) => end,
        end = pump(from_server, to_client, state, &gate, Side::Server) => end,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Client,
    Server,
}

/// The trap and the mutes, as one connection meets them.
struct Gate<'a> {
    trap: &'a Trap,
    mutes: watch::Receiver<u64>,
    /// The count of mutes when the connection opened.
    born: u64,
    caught: AtomicBool,
    /// The epoch in the client's name of the connection.
    epoch: OnceLock<u64>,
}

impl Gate<'_> {
    /// Waits until `bytes` may go on.
    async fn pass(&self, bytes: &[u8], from: Side) {
        if from == Side::Client
            && let Some(catch) = self.trap.springs(bytes)
        {
            self.caught.store(true, Ordering::SeqCst);
            self.trap.caught.send_replace(true);
            if matches!(catch, Catch::After(_)) {
                return;
            }
        }
        if self.caught.load(Ordering::SeqCst) {
            self.trap.released().await;
        }
    }

    /// Notes an order among `bytes`, which have reached the other side.
    fn passed(&self, bytes: &[u8], from: Side) {
        if from == Side::Server {
            return;
        }
        let at = Instant::now();
        if let Some(epoch) = behind(bytes, "\r\nkeeper-") {
            let digits = epoch.iter().take_while(|byte| byte.is_ascii_digit());
            let digits: String = digits.map(|byte| char::from(*byte)).collect();
            let _ = digits.parse().map(|epoch| self.epoch.set(epoch));
        }
        // A trial of the command has more words, and is no order.
        if behind(bytes, "*3\r\n$9\r\nREPLICAOF\r\n").is_some() {
            let epoch = self.epoch.get().copied();
            self.trap.orders().push(Order { at, epoch });
        }
    }
}

/// The first bytes of a promotion, and not of a trial of one.
pub const PROMOTION: &str = "*3\r\n$9\r\nREPLICAOF\r\n$2\r\nNO";

/// The bytes after `text` in `bytes`.
fn behind<'b>(bytes: &'b [u8], text: &str) -> Option<&'b [u8]> {
    let mut parts = bytes.windows(text.len());
    let at = parts.position(|part| part == text.as_bytes())?;
    Some(&bytes[at + text.len()..])
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    gate: &Gate<'_>,
    side: Side,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await;
        // A silent link also holds back the end of a connection.
        passes(&mut state).await;
        if *gate.mutes.borrow() != gate.born {
            pending::<()>().await;
        }
        match read? {
            0 => return Ok(()),
            count => {
                gate.pass(&bytes[..count], side).await;
                to.write_all(&bytes[..count]).await?;
                gate.passed(&bytes[..count], side);
            }
        }
    }
}

/// Waits for the end of a silence. A cut ends the connection, and the wait with it.
async fn passes(state: &mut watch::Receiver<State>) {
    let _ = until(state, |state| state == State::Open).await;
}

async fn until<T: Copy>(
    value: &mut watch::Receiver<T>,
    wanted: impl Fn(T) -> bool,
) -> Result<(), RecvError> {
    value.wait_for(|value| wanted(*value)).await.map(drop)
}

/// The inode of the socket at the near end of a connection, as Linux lists it:
/// <https://man7.org/linux/man-pages/man5/proc_net.5.html>.
fn inode((near, far): (SocketAddrV4, SocketAddrV4)) -> Option<String> {
    let Ok(connections) = fs::read_to_string("/proc/net/tcp") else {
        panic!("no /proc/net/tcp");
    };
    connections.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        // A near end may have connections to several far ends, each of another process.
        let ends = (parsed(words.next()?)?, parsed(words.next()?)?);
        (ends == (near, far)).then(|| words.nth(6).map(str::to_owned))?
    })
}

/// Whether `process` has this socket.
fn owns(process: u32, inode: &str) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets
        .into_iter()
        .any(|target| target == Path::new(&wanted))
}

/// An address as the kernel prints it: `0100007F:1F90`.
fn parsed(text: &str) -> Option<SocketAddrV4> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), port))
}
