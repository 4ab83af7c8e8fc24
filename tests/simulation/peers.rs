//! How keepers reach each other without ZooKeeper.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use redis_keeper::actors::messages::AskConsent;
use redis_keeper::actors::zk_session::ZkSession;
use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::ports::peers::Peers;
use redis_keeper::supervision::ChildRef;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::keeper::Process;
use super::network::{Host, Lane, Network};
use super::oracle::Oracle;
use super::world::World;

/// The HTTP interfaces of all keepers, by address.
pub(crate) struct Interfaces {
    world: Rc<World>,
    network: Rc<Network>,
    listening: RefCell<BTreeMap<String, Listening>>,
    judge: RefCell<Weak<Oracle>>,
}

/// One that is listened at.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) process: Rc<Process>,
    pub(crate) session: ChildRef<ZkSession>,
    pub(crate) actors: Rc<RefCell<Option<LocalSet>>>,
}

/// The interfaces as one process reaches them.
pub(crate) struct Reach {
    pub(crate) process: Rc<Process>,
    pub(crate) interfaces: Rc<Interfaces>,
}

impl Interfaces {
    pub(crate) fn new(world: Rc<World>, network: Rc<Network>) -> Rc<Self> {
        Rc::new(Self {
            world,
            network,
            listening: RefCell::default(),
            judge: RefCell::default(),
        })
    }

    pub(crate) fn judged_by(&self, judge: &Rc<Oracle>) {
        *self.judge.borrow_mut() = Rc::downgrade(judge);
    }

    /// A new run of the program listens at `rest`.
    pub(crate) fn listen(&self, rest: String, listening: Listening) {
        self.listening.borrow_mut().insert(rest, listening);
    }

    /// A request arrives; whoever is gone by now answers nothing.
    fn arrived(
        self: &Rc<Self>,
        (rest, from): (&str, Host),
        sent: u64,
        request: ConsentRequest,
        reply: oneshot::Sender<Result<(), String>>,
    ) {
        let there = self.listening.borrow().get(rest).cloned();
        let Some(there) = there.filter(|there| !there.process.dead()) else {
            return;
        };
        let (interfaces, session) = (Rc::clone(self), there.session.clone());
        let process = Rc::clone(&there.process);
        let answering = async move {
            let asked = request.clone();
            let Ok(consent) = session.send(AskConsent(request)).await else {
                return;
            };
            if consent.is_ok()
                && let Some(judge) = interfaces.judge.borrow().upgrade()
            {
                judge.consented(&process.name, &asked, sent);
            }
            let consent = consent.map_err(|why| why.to_string());
            let way = (process.host, from);
            interfaces.network.send(way, &Lane::default(), move || {
                // The asker may have stopped waiting.
                let _ = reply.send(consent);
            });
        };
        if let Some(actors) = &*there.actors.borrow() {
            actors.spawn_local(answering);
        }
    }
}

impl Peers for Reach {
    fn ask_consent(
        &self,
        rest: &str,
        request: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let interfaces = Rc::clone(&self.interfaces);
        let (reply, answer) = oneshot::channel();
        let to = interfaces
            .listening
            .borrow()
            .get(rest)
            .map(|there| there.process.host);
        let (rest, from, request) = (rest.to_owned(), self.process.host, request.clone());
        let sent = interfaces.world.now();
        if let Some(to) = to {
            let there = Rc::clone(&interfaces);
            interfaces
                .network
                .send((from, to), &Lane::default(), move || {
                    there.arrived((&rest, from), sent, request, reply);
                });
        }
        async move {
            match answer.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        }
        .boxed_local()
    }
}
