//! How keepers reach each other without ZooKeeper: an address may lead to another keeper, or nowhere.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use actix::dev::ToEnvelope;
use actix::{Actor, Context, Handler, Message};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use redis_keeper::actors::Directory;
use redis_keeper::actors::groups::describe;
use redis_keeper::actors::messages::{AskConsent, DropKeeper, Rehearse};
use redis_keeper::actors::zk_session::ZkSession;
use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::domain::group::GroupAnswer;
use redis_keeper::domain::identity::KeeperProcess;
use redis_keeper::domain::node::{KeeperId, NodeAddr};
use redis_keeper::domain::rehearsal::{RehearsalObstacle, RehearsalRequest};
use redis_keeper::ports::peers::Peers;
use redis_keeper::supervision::ChildRef;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::keeper::Process;
use super::network::{Host, Lane, Network};
use super::oracle::Oracle;
use super::schedule::{Addressing, KEEPERS};
use super::world::World;

/// The HTTP interfaces of all keepers.
pub(crate) struct Interfaces {
    world: Rc<World>,
    network: Rc<Network>,
    addressing: Addressing,
    listening: RefCell<BTreeMap<Host, Listening>>,
    judge: RefCell<Weak<Oracle>>,
    /// The two groups of keepers do not reach each other's interfaces.
    deaf: Cell<bool>,
}

/// A keeper that listens.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) process: Rc<Process>,
    pub(crate) session: ChildRef<ZkSession>,
    pub(crate) clusters: Directory,
    pub(crate) actors: Rc<RefCell<Option<LocalSet>>>,
}

/// The interfaces, as one process reaches them.
pub(crate) struct Reach {
    pub(crate) process: Rc<Process>,
    pub(crate) interfaces: Rc<Interfaces>,
}

const PORT: u16 = 46_379;

/// The address that keeper `number` advertises.
pub(crate) fn advertised(number: usize, addressing: Addressing) -> String {
    let whose = match (addressing, number) {
        (Addressing::Loopback, _) => return format!("127.0.0.1:{PORT}"),
        (Addressing::Nowhere, 0) => return format!("keeper-1.invalid:{PORT}"),
        (Addressing::Swapped, 0 | 1) => 1 - number,
        (Addressing::Reused | Addressing::Shared, 1) => 0,
        _ => number,
    };
    format!("10.1.1.{}:{PORT}", whose + 1)
}

/// The keepers that no other keeper can reach by their addresses.
pub(crate) fn unaskable(keepers: usize, addressing: Addressing) -> Vec<usize> {
    match addressing {
        // With luck, any keeper is reached.
        Addressing::Own | Addressing::Astray => Vec::new(),
        Addressing::Loopback | Addressing::Mirror => (0..keepers).collect(),
        Addressing::Swapped | Addressing::Reused | Addressing::Shared => vec![0, 1],
        Addressing::Nowhere => vec![0],
    }
}

/// The host that really has this address.
fn host_of(rest: &str) -> Option<Host> {
    let address: SocketAddr = rest.parse().ok()?;
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let last = address.ip().octets()[3];
    Some(KEEPERS + last.checked_sub(1)?)
}

impl Interfaces {
    pub(crate) fn new(world: Rc<World>, network: Rc<Network>, addressing: Addressing) -> Rc<Self> {
        Rc::new(Self {
            world,
            network,
            addressing,
            listening: RefCell::default(),
            judge: RefCell::default(),
            deaf: Cell::default(),
        })
    }

    /// Sets whether the two groups of keepers cannot reach each other.
    pub(crate) fn deaf_to_groups(&self, deaf: bool) {
        self.deaf.set(deaf);
    }

    pub(crate) fn judged_by(&self, judge: &Rc<Oracle>) {
        *self.judge.borrow_mut() = Rc::downgrade(judge);
    }

    /// Notes that a new process of a keeper listens on `host`.
    pub(crate) fn listen(&self, host: Host, listening: Listening) {
        self.listening.borrow_mut().insert(host, listening);
    }

    /// Tells every keeper, as an operator, that this keeper is gone for good (`DELETE /admin/keepers/ID`).
    pub(crate) fn take_off(&self, gone: &KeeperId) {
        for there in self.listening.borrow().values() {
            if !there.process.dead() {
                there.session.do_send(DropKeeper(gone.clone()));
            }
        }
    }

    /// The host that a request from `from` to the address `rest` reaches.
    fn destination(&self, from: Host, rest: &str) -> Option<Host> {
        match self.addressing {
            Addressing::Loopback | Addressing::Mirror => Some(from),
            Addressing::Astray => {
                let listening = self.listening.borrow();
                let any = self.world.draw(0..=listening.len() as u64 - 1);
                let any = usize::try_from(any).expect("a few");
                listening.keys().nth(any).copied()
            }
            Addressing::Shared if host_of(rest) == Some(KEEPERS) => {
                let second = self.listening.borrow().contains_key(&(KEEPERS + 1));
                Some(KEEPERS + Host::from(second && self.world.happens(50)))
            }
            _ => host_of(rest),
        }
    }

    /// Sends `message` to the keeper that is reached at `rest`.
    ///
    /// `answered` gets the reply at that keeper, and its result travels back to the asker.
    fn put<M, T>(
        self: &Rc<Self>,
        (from, rest): (Host, &str),
        message: M,
        answered: impl FnOnce(&Process, M::Result) -> T + 'static,
    ) -> oneshot::Receiver<T>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        T: 'static,
        ZkSession: Actor<Context = Context<ZkSession>> + Handler<M>,
        Context<ZkSession>: ToEnvelope<ZkSession, M>,
    {
        let (reply, answer) = oneshot::channel();
        let to = self.destination(from, rest);
        let there = to.filter(|to| self.listening.borrow().contains_key(to));
        let Some(to) = there else {
            // The asker waits for ever.
            std::mem::forget(reply);
            return answer;
        };
        let interfaces = Rc::clone(self);
        let arrived = move || {
            let there = interfaces.listening.borrow().get(&to).cloned();
            let Some(there) = there.filter(|there| !there.process.dead()) else {
                return;
            };
            let (network, process) = (Rc::clone(&interfaces.network), Rc::clone(&there.process));
            let session = there.session.clone();
            let answering = async move {
                let Ok(said) = session.send(message).await else {
                    return;
                };
                let outcome = answered(&process, said);
                network.send((to, from), &Lane::default(), move || {
                    // The asker may have stopped waiting.
                    let _ = reply.send(outcome);
                });
            };
            if let Some(actors) = &*there.actors.borrow() {
                actors.spawn_local(answering);
            }
        };
        self.network.send((from, to), &Lane::default(), arrived);
        answer
    }

    /// Delivers a question of a keeper of another group.
    fn met(
        self: &Rc<Self>,
        (from, to): (Host, Host),
        met_at: Option<&NodeAddr>,
        reply: oneshot::Sender<GroupAnswer>,
    ) {
        let there = self.listening.borrow().get(&to).cloned();
        let Some(there) = there.filter(|there| !there.process.dead()) else {
            return;
        };
        if let Some(node) = met_at {
            there.clusters.request_client_lists(node);
        }
        let (interfaces, process) = (Rc::clone(self), Rc::clone(&there.process));
        let (session, clusters) = (there.session.clone(), there.clusters.clone());
        let answering = async move {
            let Ok(Some(answer)) = describe(&session, &clusters).await else {
                return;
            };
            let way = (process.host, from);
            interfaces.network.send(way, &Lane::default(), move || {
                let _ = reply.send(answer);
            });
        };
        if let Some(actors) = &*there.actors.borrow() {
            actors.spawn_local(answering);
        }
    }
}

/// Waits for an answer; if none can come, for ever.
async fn awaited<T>(answer: oneshot::Receiver<T>) -> T {
    match answer.await {
        Ok(answer) => answer,
        Err(_) => std::future::pending().await,
    }
}

impl Peers for Reach {
    fn ask_consent(
        &self,
        rest: &str,
        request: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, String>> {
        let interfaces = Rc::clone(&self.interfaces);
        let (asked, sent) = (request.clone(), interfaces.world.now());
        let answered = move |giver: &Process, consent: Result<KeeperProcess, _>| {
            if consent.is_ok()
                && let Some(judge) = interfaces.judge.borrow().upgrade()
            {
                judge.consented(&giver.name, &asked, sent);
            }
            consent.map_err(|why: redis_keeper::domain::failsafe::ConsentRefusal| why.to_string())
        };
        let message = AskConsent(request.clone());
        let way = (self.process.host, rest);
        awaited(self.interfaces.put(way, message, answered)).boxed_local()
    }

    fn rehearse(
        &self,
        rest: &str,
        request: &RehearsalRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, RehearsalObstacle>> {
        let way = (self.process.host, rest);
        let message = Rehearse(request.clone());
        let answer = self.interfaces.put(way, message, |_, by| Ok(by));
        awaited(answer).boxed_local()
    }

    fn resolve(&self, rest: &str) -> LocalBoxFuture<'static, Result<BTreeSet<SocketAddr>, String>> {
        let address = rest.parse::<SocketAddr>();
        let found = address.map(|address| BTreeSet::from([address]));
        ready(found.map_err(|_| format!("{rest} is unknown"))).boxed_local()
    }

    fn ask_group(
        &self,
        rest: &NodeAddr,
        met_at: Option<&NodeAddr>,
    ) -> LocalBoxFuture<'static, Result<GroupAnswer, String>> {
        let interfaces = Rc::clone(&self.interfaces);
        let (reply, answer) = oneshot::channel();
        let from = self.process.host;
        let to = interfaces.destination(from, &rest.to_string());
        let Some(to) = to.filter(|_| !interfaces.deaf.get()) else {
            return ready(Err("connection refused".to_owned())).boxed_local();
        };
        let (there, met_at) = (Rc::clone(&interfaces), met_at.cloned());
        let asked = move || there.met((from, to), met_at.as_ref(), reply);
        interfaces.network.send((from, to), &Lane::default(), asked);
        awaited(answer).map(Ok).boxed_local()
    }
}
