//! Coordination over ZooKeeper.
//!
//! - Only one-shot watches are used: the client library never sets persistent watches again after a reconnection.
//! - The sessions of the library keep their own timers, which tokio's virtual time does not reach.

mod as_name;
mod contact;
pub mod inspect;
mod no_delay;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, future};
use tokio::sync::watch;
use zookeeper_client as zk;

use self::as_name::as_name;
use self::contact::Contact;
use crate::ports::coordination::{
    Children, Coordination, CoordinationError, CreateKind, Created, Fired, Node, Outage, Sent,
    Session, SessionState, Watch, Write,
};

/// An ensemble, and the prefix of all nodes of this group of keepers.
#[derive(Clone)]
pub struct ZooKeeper {
    servers: Arc<[String]>,
    prefix: String,
    session_timeout: Duration,
    /// The login of the next session.
    digest: Rc<RefCell<Option<String>>>,
    contact: Arc<Contact>,
}

impl ZooKeeper {
    /// A client for the ensemble at `servers`.
    ///
    /// - `servers`: each `host:port`.
    /// - `prefix`: the node below which all others are created, such as `/a/b`; created as needed; `/` for none.
    /// - `session_timeout`: the timeout that the client asks for. The ensemble may grant another one.
    /// - `digest`: `user:password` of ZooKeeper's digest authentication. If set, only that user can use the nodes
    ///   that are created.
    pub fn new(
        servers: Vec<String>,
        prefix: impl Into<String>,
        session_timeout: Duration,
        digest: Option<String>,
    ) -> Self {
        let servers: Arc<[String]> = servers.into();
        Self {
            contact: Contact::new(servers.clone()),
            servers,
            prefix: prefix.into(),
            session_timeout,
            digest: Rc::new(RefCell::new(digest)),
        }
    }

    /// Sets the login (`user:password`) of the next session, in all clones of this client. Returns whether the login
    /// has changed.
    ///
    /// The present session keeps its login. A second login in one session would own new nodes together with the first
    /// one.
    pub fn replace_digest(&self, digest: String) -> bool {
        let former = self.digest.replace(Some(digest));
        former != *self.digest.borrow()
    }

    /// The servers, each `host:port`.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The prefix of all nodes of this group of keepers.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The session timeout that the client asks for.
    pub fn session_timeout(&self) -> Duration {
        self.session_timeout
    }

    fn acls(&self) -> zk::Acls<'static> {
        match *self.digest.borrow() {
            Some(_) => zk::Acls::creator_all(),
            None => zk::Acls::anyone_all(),
        }
    }

    async fn client(&self) -> Result<zk::Client, CoordinationError> {
        let mut connector = zk::Client::connector().with_session_timeout(self.session_timeout);
        if let Some(digest) = &*self.digest.borrow() {
            connector = connector.with_auth("digest", digest.as_bytes());
        }
        let servers: Vec<_> = self.servers.iter().map(|it| as_name(it)).collect();
        self.contact.lost();
        let client = connector.connect(&servers.join(",")).await;
        let client = client.map_err(|error| {
            let failure = failure(&self.servers.join(","), &error);
            let unknown = matches!(failure, CoordinationError::Unknown(_));
            let causes = self.contact.causes().filter(|_| unknown);
            causes.map_or(failure, CoordinationError::NoSession)
        })?;
        self.contact.made();
        Ok(client)
    }

    fn session(&self, client: zk::Client) -> ZkClient {
        ZkClient {
            state: follow_state(&client, self.servers.clone(), self.contact.clone()),
            client,
            acls: self.acls(),
        }
    }

    /// Returns `client` with its paths relative to `place`.
    fn below(client: zk::Client, place: &str) -> Result<zk::Client, CoordinationError> {
        client
            .chroot(place.to_owned())
            .map_err(|_| CoordinationError::Refused(format!("zk-prefix {place} is not a path")))
    }
}

#[async_trait(?Send)]
impl Coordination for ZooKeeper {
    async fn connect(&self) -> Result<Rc<dyn Session>, CoordinationError> {
        let client = self.client().await?;
        let prefix = self.prefix.trim_end_matches('/');
        let client = if prefix.is_empty() {
            client
        } else {
            let acls = self.acls();
            client
                .mkdir(prefix, &zk::CreateMode::Persistent.with_acls(acls))
                .await
                .map_err(|error| failure(prefix, &error))?;
            Self::below(client, prefix)?
        };
        Ok(Rc::new(self.session(client)))
    }

    fn describe(&self) -> String {
        format!("zookeeper {}{}", self.servers.join(","), self.prefix)
    }

    fn outage(&self) -> watch::Receiver<Option<Outage>> {
        self.contact.outage()
    }
}

/// Translates the client's states until the session is over, and counts reconnections. After each connection to one
/// of `servers`, sets `TCP_NODELAY`.
fn follow_state(
    client: &zk::Client,
    servers: Arc<[String]>,
    contact: Arc<Contact>,
) -> watch::Receiver<SessionState> {
    let (sender, receiver) = watch::channel(SessionState::Connected(1));
    let mut watcher = client.state_watcher();
    let mut connections = 1;
    let mut state = watcher.peek_state();
    tokio::spawn(async move {
        loop {
            match state {
                zk::SessionState::SyncConnected => contact.made(),
                // This keeper has closed the session itself.
                zk::SessionState::Closed => {}
                _ => contact.lost(),
            }
            let translated = match state {
                // The library reports this state twice in a row if the loss in between was too short to be seen.
                zk::SessionState::SyncConnected => SessionState::Connected(connections),
                zk::SessionState::Disconnected | zk::SessionState::ConnectedReadOnly => {
                    SessionState::Disconnected
                }
                zk::SessionState::AuthFailed
                | zk::SessionState::Expired
                | zk::SessionState::Closed => {
                    sender.send_replace(SessionState::Expired);
                    return;
                }
            };
            sender.send_replace(translated);
            if state == zk::SessionState::SyncConnected {
                tokio::spawn(no_delay::set(servers.clone()));
            }
            state = watcher.changed().await;
            connections += u64::from(state == zk::SessionState::SyncConnected);
        }
    });
    receiver
}

fn failure(subject: &str, error: &zk::Error) -> CoordinationError {
    use zk::Error as E;
    let subject = || subject.to_owned();
    match error {
        E::NoNode => CoordinationError::NoNode(subject()),
        E::NodeExists => CoordinationError::NodeExists(subject()),
        E::BadVersion => CoordinationError::BadVersion(subject()),
        E::NoAuth | E::InvalidAcl => CoordinationError::NoAuth(subject()),
        E::AuthFailed => CoordinationError::Refused("authentication failed: see zk-auth".into()),
        E::SessionExpired | E::SessionMoved | E::ClientClosed => CoordinationError::Expired,
        E::NotEmpty
        | E::NoChildrenForEphemerals
        | E::BadArguments(_)
        | E::QuotaExceeded
        | E::Throttled
        | E::NotReadOnly
        | E::MarshallingError
        | E::Unimplemented => CoordinationError::Refused(format!("{}: {error}", subject())),
        _ => CoordinationError::Unknown(format!("{}: {error}", subject())),
    }
}

/// Sends the request of a future at once: the client library sends a request at the first poll at the latest.
fn send<T: 'static>(
    request: impl Future<Output = Result<T, CoordinationError>> + 'static,
) -> Sent<T> {
    let mut request: Pin<Box<dyn Future<Output = _>>> = Box::pin(request);
    match request
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(outcome) => future::ready(outcome).boxed_local(),
        Poll::Pending => request,
    }
}

fn node((data, stat): (Vec<u8>, zk::Stat)) -> Node {
    Node {
        data,
        version: stat.version,
        created: stat.czxid,
        owner: stat.ephemeral_owner,
    }
}

struct ZkClient {
    client: zk::Client,
    state: watch::Receiver<SessionState>,
    acls: zk::Acls<'static>,
}

impl ZkClient {
    fn watch(mut state: watch::Receiver<SessionState>, watcher: zk::OneshotWatcher) -> Watch {
        async move {
            tokio::select! {
                biased;
                event = watcher.changed() => match event.event_type {
                    zk::EventType::NodeDeleted => Fired::Deleted,
                    _ => Fired::Changed,
                },
                _ = state.changed() => Fired::Changed,
            }
        }
        .boxed_local()
    }

    /// The present state, marked as seen. A caller that waits for a change learns of a connection lost since.
    fn state_seen(&self) -> watch::Receiver<SessionState> {
        let mut state = self.state.clone();
        state.mark_unchanged();
        state
    }
}

impl Session for ZkClient {
    fn id(&self) -> i64 {
        self.client.session_id().0
    }

    fn timeout(&self) -> Duration {
        self.client.session_timeout()
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    fn get(&self, path: &str) -> Sent<Option<Node>> {
        let (client, path) = (self.client.clone(), path.to_owned());
        send(async move {
            match client.get_data(&path).await {
                Ok(read) => Ok(Some(node(read))),
                Err(zk::Error::NoNode) => Ok(None),
                Err(error) => Err(failure(&path, &error)),
            }
        })
    }

    fn get_and_watch(&self, path: &str) -> Sent<(Option<Node>, Watch)> {
        let (client, path, state) = (self.client.clone(), path.to_owned(), self.state_seen());
        send(async move {
            // Only `exists` can watch for a creation. `exists` goes before the read, so that a change before the read
            // fires the watch.
            let (watcher, read) =
                future::join(client.check_and_watch_stat(&path), client.get_data(&path)).await;
            let (_, watcher) = watcher.map_err(|error| failure(&path, &error))?;
            let read = match read {
                Ok(read) => Some(node(read)),
                Err(zk::Error::NoNode) => None,
                Err(error) => return Err(failure(&path, &error)),
            };
            Ok((read, Self::watch(state, watcher)))
        })
    }

    fn children(&self, path: &str) -> Sent<Children> {
        let (client, path) = (self.client.clone(), path.to_owned());
        send(async move {
            match client.get_children(&path).await {
                Ok((names, stat)) => {
                    let changes = stat.cversion;
                    Ok(Children { names, changes })
                }
                Err(zk::Error::NoNode) => Ok(Children::default()),
                Err(error) => Err(failure(&path, &error)),
            }
        })
    }

    fn children_and_watch(&self, path: &str) -> Sent<(Children, Watch)> {
        let (client, path, state) = (self.client.clone(), path.to_owned(), self.state_seen());
        send(async move {
            let (names, stat, watcher) = client
                .get_and_watch_children(&path)
                .await
                .map_err(|error| failure(&path, &error))?;
            let changes = stat.cversion;
            Ok((Children { names, changes }, Self::watch(state, watcher)))
        })
    }

    fn create(&self, path: &str, data: &[u8], kind: CreateKind) -> Sent<Created> {
        let (client, acls) = (self.client.clone(), self.acls);
        let (path, data) = (path.to_owned(), data.to_vec());
        let mode = match kind {
            CreateKind::Persistent => zk::CreateMode::Persistent,
            CreateKind::Ephemeral => zk::CreateMode::Ephemeral,
            CreateKind::EphemeralSequential => zk::CreateMode::EphemeralSequential,
        };
        send(async move {
            let options = mode.with_acls(acls);
            let (stat, sequence) = client
                .create(&path, &data, &options)
                .await
                .map_err(|error| failure(&path, &error))?;
            let path = match kind {
                CreateKind::EphemeralSequential => format!("{path}{sequence}"),
                CreateKind::Ephemeral | CreateKind::Persistent => path,
            };
            Ok(Created {
                path,
                created: stat.czxid,
            })
        })
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Sent<i32> {
        let (client, path, data) = (self.client.clone(), path.to_owned(), data.to_vec());
        send(async move {
            let stat = client.set_data(&path, &data, version).await;
            Ok(stat.map_err(|error| failure(&path, &error))?.version)
        })
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Sent<()> {
        let (client, path) = (self.client.clone(), path.to_owned());
        send(async move {
            let outcome = client.delete(&path, version).await;
            outcome.map_err(|error| failure(&path, &error))
        })
    }

    fn multi(&self, writes: Vec<Write>) -> Sent<()> {
        let (client, acls) = (self.client.clone(), self.acls);
        send(async move {
            let mut transaction = client.new_multi_writer();
            for write in &writes {
                let added = match write {
                    // ZooKeeper reads −1 as "any version".
                    Write::Check { path, version } => {
                        transaction.add_check_version(path, version.unwrap_or(-1))
                    }
                    Write::Create { path, data } => transaction.add_create(
                        path,
                        data,
                        &zk::CreateMode::Persistent.with_acls(acls),
                    ),
                    Write::Set {
                        path,
                        data,
                        version,
                    } => transaction.add_set_data(path, data, *version),
                    Write::Delete { path, version } => transaction.add_delete(path, *version),
                };
                added.map_err(|error| failure(path_of(write), &error))?;
            }
            match transaction.commit().await {
                Ok(_) => Ok(()),
                Err(zk::MultiWriteError::RequestFailed { source }) => {
                    Err(failure("transaction", &source))
                }
                Err(zk::MultiWriteError::OperationFailed { index, source }) => {
                    let path = writes.get(index).map_or("transaction", path_of);
                    Err(CoordinationError::MultiRefused(
                        index,
                        Box::new(failure(path, &source)),
                    ))
                }
            }
        })
    }
}

fn path_of(write: &Write) -> &str {
    match write {
        Write::Check { path, .. }
        | Write::Create { path, .. }
        | Write::Set { path, .. }
        | Write::Delete { path, .. } => path,
    }
}
