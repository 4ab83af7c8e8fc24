//! Redis and Valkey servers over TCP and TLS.
//!
//! The `redis` crate encodes requests and parses replies, and the stream is opened and read here. A vote (RK-1) and a
//! command (RK-4) need facts that the connections of that crate hide:
//!
//! - A server may send an error before it closes the connection, without a request ("max number of clients reached").
//!   The error is a proof of life.
//! - A reply that comes too late is a proof of life, too.
//! - Some replies of a transaction may come, and others not.

mod access;
mod client_list;
mod command;
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
    CommandConnection, CommandError, CommandObstacle, ProbeConnection, ProbeFailure, Redis,
    RedisNode,
};

/// The servers of all clusters.
pub struct RedisServers {
    clusters: BTreeMap<ClusterName, Rc<ConnectionParams>>,
    /// The access to clusters without settings of their own.
    plain: Rc<ConnectionParams>,
}

impl RedisServers {
    /// A client for the servers of all clusters. `access` says how to reach the servers of each cluster. A cluster
    /// without an entry in `access` is reached over plain TCP without a password. Each round trip of a command, and
    /// the opening of its connection, may take `command_timeout`.
    ///
    /// # Errors
    /// The TLS settings cannot be used. The error names the file at fault.
    pub fn new(
        access: impl IntoIterator<Item = (ClusterName, Access)>,
        command_timeout: Duration,
    ) -> Result<Self, TlsError> {
        Self::resolved_by(&Resolver::default(), access, command_timeout)
    }

    /// The same as [`Self::new`], with host names resolved by `resolver`.
    pub fn resolved_by(
        resolver: &Resolver,
        access: impl IntoIterator<Item = (ClusterName, Access)>,
        command_timeout: Duration,
    ) -> Result<Self, TlsError> {
        let reach = Rc::new(Reach::default());
        let probe_name = Rc::new(RefCell::default());
        let params = |access: &Access| {
            Ok(Rc::new(ConnectionParams {
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
                .map(|(cluster, access)| Ok((cluster, params(&access)?)))
                .collect::<Result<_, TlsError>>()?,
            plain: params(&Access::default())?,
        })
    }

    /// Replaces the secrets of `cluster`. New connections use `secrets`; open connections stay as they are.
    pub fn replace_secrets(&self, cluster: &ClusterName, secrets: Secrets) {
        if let Some(params) = self.clusters.get(cluster) {
            *params.secrets.borrow_mut() = Rc::new(secrets);
        }
    }

    fn params(&self, cluster: &ClusterName) -> &Rc<ConnectionParams> {
        self.clusters.get(cluster).unwrap_or(&self.plain)
    }
}

#[async_trait(?Send)]
impl Redis for RedisServers {
    fn node(&self, cluster: &ClusterName, addr: &NodeAddr) -> Rc<dyn RedisNode> {
        Rc::new(Server {
            addr: addr.clone(),
            params: Rc::clone(self.params(cluster)),
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

/// The settings for connections to the nodes of one cluster.
struct ConnectionParams {
    secrets: RefCell<Rc<Secrets>>,
    names: Rc<CommandNames>,
    resolver: Resolver,
    reach: Rc<Reach>,
    /// The name of this keeper's probe connections; `None` until the name is known (RK-12).
    probe_name: Rc<RefCell<Option<Rc<str>>>>,
    command_timeout: Duration,
}

impl ConnectionParams {
    fn secrets(&self) -> Rc<Secrets> {
        Rc::clone(&self.secrets.borrow())
    }
}

/// One server of a cluster.
#[derive(Clone)]
struct Server {
    addr: NodeAddr,
    params: Rc<ConnectionParams>,
}

#[async_trait(?Send)]
impl RedisNode for Server {
    async fn locate(&self) -> Result<(), String> {
        let found = self.params.resolver.addresses(self.addr.host()).await;
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

    async fn try_commands(&self) -> Result<(), CommandObstacle> {
        self.rehearse().await
    }
}

impl Server {
    /// Connects, and wraps the connection in TLS if the cluster is configured with TLS.
    async fn wire(&self) -> Result<Result<Wire, WireError>, ProbeFailure> {
        let tcp = self.tcp().await?;
        let names = Rc::clone(&self.params.names);
        let secrets = self.params.secrets();
        let Some(tls) = &secrets.tls else {
            return Ok(Ok(Wire::new(Box::new(tcp), names)));
        };
        let wrapped = tls.wrap(self.addr.host(), tcp).await;
        Ok(wrapped
            .map(|stream| Wire::new(Box::new(stream), names))
            .map_err(WireError::from))
    }

    /// Logs in. The connection must owe no reply.
    async fn log_in(&self, wire: &mut Wire) -> Result<Login, WireError> {
        let secrets = self.params.secrets();
        secrets.credentials.log_in(wire, &self.addr).await
    }

    /// Opens a connection and logs in, for a command. A server that wants no password is no error.
    async fn logged_in(&self) -> Result<Wire, String> {
        let wire = self.wire().await.map_err(|failure| failure.to_string())?;
        let mut wire = wire.map_err(|error| error.to_string())?;
        let login = self.log_in(&mut wire).await;
        match login.map_err(|error| error.to_string())?.refusal() {
            Some(why) => Err(format!("the login is refused: {why}")),
            None => Ok(wire),
        }
    }

    /// Connects to the first address of the host that accepts.
    ///
    /// This function does not wait for the resolver. If the host name was never resolved, the failure is this host's
    /// own and no evidence about the node.
    async fn tcp(&self) -> Result<TcpStream, ProbeFailure> {
        let host = self.addr.host();
        let unknown = || ProbeFailure::Own(format!("`{host}` has not been resolved yet"));
        let addresses = self.params.resolver.known(host).ok_or_else(unknown)?;
        let mut failure = None;
        for ip in addresses {
            match self.tcp_to(ip).await {
                Ok(tcp) => return Ok(tcp),
                // A missing route to an address of another family does not replace evidence from an earlier address.
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
        let reach = &self.params.reach;
        match connected.await {
            Ok(tcp) => {
                reach.note(&tcp);
                Ok(tcp)
            }
            Err(error) => Err(failure::of_attempt(&error, ip, reach).await),
        }
    }
}
