//! Redis and Valkey servers over TCP and TLS.
//!
//! The `redis` crate encodes requests and parses replies. The stream is ours: a vote (RK-1) and a command (RK-4) need to
//! know what that crate's connections hide.
//!
//! - A server sends an error unasked before it closes ("max number of clients reached"): proof of life.
//! - A reply comes too late: proof of life, too.
//! - Some replies of a transaction came, and others did not.

mod access;
mod command;
mod company;
mod failure;
pub mod inspect;
mod login;
mod probe;
mod reach;
mod reply;
mod rights;
mod subscribers;
mod tls;
mod wire;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

pub use self::access::{Access, Secrets};
use self::login::Login;
use self::reach::Reach;
pub use self::tls::{Tls, TlsError};
use self::wire::{Wire, WireError};
use super::resolver::Resolver;
use crate::domain::commands::CommandNames;
use crate::domain::group::ProbeName;
use crate::domain::node::{ClusterName, Epoch, NodeAddr};
use crate::ports::redis::{
    CommandConnection, CommandError, Obstacle, ProbeConnection, ProbeFailure, Redis, RedisNode,
};

/// The servers of all clusters.
pub struct RedisServers {
    clusters: BTreeMap<ClusterName, Rc<Way>>,
    /// For clusters that nothing was said of.
    plain: Rc<Way>,
}

impl RedisServers {
    /// Servers reached by what `access` says of their cluster (plain TCP and no password where it says nothing). A
    /// command, its connection included, is given `command_timeout` for each round trip.
    ///
    /// # Errors
    /// TLS that cannot be used, with the name of the file at fault.
    pub fn new(
        access: impl IntoIterator<Item = (ClusterName, Access)>,
        command_timeout: Duration,
    ) -> Result<Self, TlsError> {
        Self::resolved_by(&Resolver::default(), access, command_timeout)
    }

    /// The same, with names resolved by `resolver`.
    pub fn resolved_by(
        resolver: &Resolver,
        access: impl IntoIterator<Item = (ClusterName, Access)>,
        command_timeout: Duration,
    ) -> Result<Self, TlsError> {
        let reach = Rc::new(Reach::default());
        let probe_name = Rc::new(RefCell::default());
        let way = |access: &Access| {
            Ok(Rc::new(Way {
                secrets: RefCell::new(Rc::new(Secrets::read(access)?)),
                names: Rc::new(access.names.clone()),
                resolver: resolver.clone(),
                reach: Rc::clone(&reach),
                probe_name: Rc::clone(&probe_name),
                command_timeout,
            }))
        };
        Ok(Self {
            clusters: access
                .into_iter()
                .map(|(cluster, access)| Ok((cluster, way(&access)?)))
                .collect::<Result<_, TlsError>>()?,
            plain: way(&Access::default())?,
        })
    }

    /// From now on, connections to the nodes of `cluster` are opened with these. Open connections stay as they are.
    pub fn replace_secrets(&self, cluster: &ClusterName, secrets: Secrets) {
        if let Some(way) = self.clusters.get(cluster) {
            *way.secrets.borrow_mut() = Rc::new(secrets);
        }
    }

    fn way(&self, cluster: &ClusterName) -> &Rc<Way> {
        self.clusters.get(cluster).unwrap_or(&self.plain)
    }
}

#[async_trait(?Send)]
impl Redis for RedisServers {
    fn node(&self, cluster: &ClusterName, addr: &NodeAddr) -> Rc<dyn RedisNode> {
        Rc::new(Server {
            addr: addr.clone(),
            way: Rc::clone(self.way(cluster)),
        })
    }

    async fn resolve(&self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        self.plain.resolver.addresses(host).await
    }

    fn remember(&self, host: &str, addresses: &BTreeSet<IpAddr>) {
        self.plain.resolver.remember(host, addresses);
    }

    fn introduce(&self, name: &ProbeName) {
        *self.plain.probe_name.borrow_mut() = Some(name.to_string().into());
    }
}

/// What connections of one cluster are made with.
struct Way {
    secrets: RefCell<Rc<Secrets>>,
    names: Rc<CommandNames>,
    resolver: Resolver,
    reach: Rc<Reach>,
    /// The name that probe connections bear; `None` until it is known (RK-12).
    probe_name: Rc<RefCell<Option<Rc<str>>>>,
    command_timeout: Duration,
}

impl Way {
    fn secrets(&self) -> Rc<Secrets> {
        Rc::clone(&self.secrets.borrow())
    }
}

/// One server of a cluster.
#[derive(Clone)]
struct Server {
    addr: NodeAddr,
    way: Rc<Way>,
}

#[async_trait(?Send)]
impl RedisNode for Server {
    async fn locate(&self) -> Result<(), String> {
        let found = self.way.resolver.addresses(self.addr.host()).await;
        found.map(drop)
    }

    async fn connect(&self) -> Result<Box<dyn ProbeConnection>, ProbeFailure> {
        let peer = match self.wire().await? {
            Ok(wire) => Ok(wire),
            Err(WireError::Tls(error) | WireError::Foreign(error)) => Err(error),
            Err(WireError::Io(error)) => return Err(failure::sorted(&error)),
        };
        Ok(Box::new(probe::Probing::new(peer, self.clone())))
    }

    async fn command(&self, epoch: Epoch) -> Result<Box<dyn CommandConnection>, CommandError> {
        let commanding = command::Commanding::open(self, epoch).await?;
        Ok(Box::new(commanding))
    }

    async fn try_commands(&self) -> Result<(), Obstacle> {
        self.rehearse().await
    }
}

impl Server {
    /// Connects, and wraps the connection in TLS if that is asked for.
    async fn wire(&self) -> Result<Result<Wire, WireError>, ProbeFailure> {
        let tcp = self.tcp().await?;
        let names = Rc::clone(&self.way.names);
        let secrets = self.way.secrets();
        let Some(tls) = &secrets.tls else {
            return Ok(Ok(Wire::new(Box::new(tcp), names)));
        };
        let wrapped = tls.wrap(self.addr.host(), tcp).await;
        Ok(wrapped
            .map(|stream| Wire::new(Box::new(stream), names))
            .map_err(WireError::from))
    }

    /// Logs in on a connection that owes no reply.
    async fn log_in(&self, wire: &mut Wire) -> Result<Login, WireError> {
        let secrets = self.way.secrets();
        secrets.credentials.log_in(wire, &self.addr).await
    }

    /// A connection that is logged in as far as the server minds, as each command takes one.
    async fn logged_in(&self) -> Result<Wire, String> {
        let wire = self.wire().await.map_err(|failure| failure.to_string())?;
        let mut wire = wire.map_err(|error| error.to_string())?;
        let login = self.log_in(&mut wire).await;
        match login.map_err(|error| error.to_string())?.refusal() {
            Some(why) => Err(format!("the login is refused: {why}")),
            None => Ok(wire),
        }
    }

    /// Connects to the first of the host's addresses that accepts. A name that was never resolved is this host's own
    /// trouble: nobody waits for the resolver here.
    async fn tcp(&self) -> Result<TcpStream, ProbeFailure> {
        let host = self.addr.host();
        let unknown = || ProbeFailure::Own(format!("`{host}` has not been resolved yet"));
        let addresses = self.way.resolver.known(host).ok_or_else(unknown)?;
        let mut failure = None;
        for ip in addresses {
            match self.tcp_to(ip).await {
                Ok(tcp) => return Ok(tcp),
                // That an address of another family has no route here does not hide what the first one told.
                Err(ProbeFailure::Own(_))
                    if matches!(failure, Some(ProbeFailure::Evidence(..))) => {}
                Err(sorted) => failure = Some(sorted),
            }
        }
        Err(failure.unwrap_or_else(unknown))
    }

    async fn tcp_to(&self, ip: IpAddr) -> Result<TcpStream, ProbeFailure> {
        let connected = async {
            let tcp = TcpStream::connect((ip, self.addr.port())).await?;
            tcp.set_nodelay(true)?;
            Ok(tcp)
        };
        let reach = &self.way.reach;
        match connected.await {
            Ok(tcp) => {
                reach.note(&tcp);
                Ok(tcp)
            }
            Err(error) => Err(failure::of_attempt(&error, ip, reach).await),
        }
    }
}
