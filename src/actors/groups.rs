//! Watches for other groups of keepers at this keeper's servers (RK-12):
//! 1. Monitors report the names of keepers' connections that they met at their nodes.
//! 2. This actor asks the keepers behind those names.
//! 3. This actor gives the actors of all clusters what it knows of other groups.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use futures::future::join_all;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::actors::messages::{
    AskOtherGroups, DescribeCluster, InspectSession, KeepersMet, ProbesNamed, Replan,
};
use crate::actors::zk_session::ZkSession;
use crate::actors::{Directory, Outbox};
use crate::domain::group::{GroupAnswer, GroupToken, ProbeName};
use crate::domain::node::{KeeperId, Moment, NodeAddr};
use crate::domain::rivals::{Astray, KnownGroups, LeadsTo, Rival, Rivals};
use crate::domain::timing::groups::ANSWERS_WITHIN;
use crate::ports::clock::LeaseClock;
use crate::ports::peers::Peers;
use crate::ports::redis::Redis;
use crate::supervision::ChildRef;

/// How long a met name may wait until it is looked at, so that the names of several monitors are looked at together.
const GATHERED_WITHIN: Duration = Duration::from_millis(50);

/// How often at most it is logged that no keeper answers behind a name.
const UNANSWERED_LOGGED_EVERY: Duration = Duration::from_mins(1);

/// Describes this keeper's group and clusters to another group; `None` before this keeper has joined a group.
///
/// # Errors
/// The session does not answer.
pub async fn describe(
    session: &ChildRef<ZkSession>,
    clusters: &Directory,
) -> Result<Option<GroupAnswer>, MailboxError> {
    let session = session.send(InspectSession).await?;
    let actors = clusters.actors();
    let asked = actors.iter().map(|actor| actor.send(DescribeCluster));
    let clusters = join_all(asked).await.into_iter().flatten().collect();
    Ok(session.group.map(|group| GroupAnswer {
        group,
        keeper: session.keeper,
        place: session.coordination,
        clusters,
    }))
}

/// Everything that a [`GroupWatch`] needs of others.
#[derive(Clone)]
pub struct GroupLinks {
    /// The id of this keeper.
    pub keeper: KeeperId,
    /// The address of this keeper's HTTP interface (`rest-advertise`).
    pub rest: NodeAddr,
    /// The group of this keeper, once the session has joined it.
    pub own: watch::Receiver<Option<GroupToken>>,
    /// The cell with what is known of other groups. The cell outlives a restart of this actor.
    pub known: watch::Sender<Arc<KnownGroups>>,
    /// To the monitors of all nodes: the connections have a name now.
    pub introduced: Outbox<ProbesNamed>,
    /// To the actors of all clusters: plan anew.
    pub reconsider: Outbox<Replan>,
    /// Asks the keepers of other groups.
    pub peers: Rc<dyn Peers>,
    /// Gives probe connections their name.
    pub redis: Rc<dyn Redis>,
    /// The clock.
    pub clock: Arc<dyn LeaseClock>,
}

/// Knows the other groups: see the module's page.
pub struct GroupWatch {
    links: GroupLinks,
    rivals: Rivals,
    timer: Option<(Moment, SpawnHandle)>,
    /// When it was logged last that no keeper answers behind a name.
    unanswered_logged: Option<Moment>,
    /// When it was logged last that another keeper answers behind a name.
    astray_told: Option<Moment>,
    /// The changes that wait until every met keeper was asked.
    waiting: Vec<oneshot::Sender<()>>,
}

impl GroupWatch {
    /// Creates a watch that continues from what was known before.
    pub fn new(links: GroupLinks) -> Self {
        let known = Arc::clone(&links.known.borrow());
        let rivals = Rivals::resumed(&known.rivals, links.clock.now());
        Self {
            links,
            rivals,
            timer: None,
            unanswered_logged: None,
            astray_told: None,
            waiting: Vec::new(),
        }
    }

    /// Learns which group this keeper belongs to, and gives probe connections their name.
    fn learn_own(&mut self, ctx: &mut Context<Self>) {
        let own = self.links.own.borrow_and_update().clone();
        if let Some(group) = own {
            let (keeper, rest) = (self.links.keeper.clone(), self.links.rest.clone());
            let name = ProbeName {
                group: group.clone(),
                keeper,
                rest,
            };
            self.links.redis.introduce(&name);
            self.rivals.own_is(group, self.links.keeper.clone());
            (self.links.introduced)(ProbesNamed);
            self.look(ctx);
        }
        let mut own = self.links.own.clone();
        let changed = async move { own.changed().await.is_ok() };
        ctx.spawn(wrap_future::<_, Self>(changed).map(|changed, watch, ctx| {
            // An error means that the keeper ends.
            if changed {
                watch.learn_own(ctx);
            }
        }));
    }

    /// Asks the keepers that are due, shares what has changed, and sets the timer for the next one.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = self.links.clock.now();
        for (name, met_at) in self.rivals.due(now) {
            self.ask(name, met_at.as_ref(), ctx);
        }
        self.tell(now);
        if !self.rivals.asks_first() {
            // Dropping the senders lets those that wait go on.
            self.waiting.clear();
        }
        let next = self.rivals.next(now);
        self.look_at(next, ctx);
    }

    fn ask(&self, name: ProbeName, met_at: Option<&NodeAddr>, ctx: &mut Context<Self>) {
        let asked = timeout(
            ANSWERS_WITHIN,
            self.links.peers.ask_group(&name.rest, met_at),
        );
        let asked = wrap_future::<_, Self>(asked);
        ctx.spawn(asked.map(move |answer, watch, ctx| {
            let late = |_| Err(format!("no answer within {ANSWERS_WITHIN:?}"));
            watch.answered(&name, answer.unwrap_or_else(late), ctx);
        }));
    }

    fn answered(
        &mut self,
        name: &ProbeName,
        answer: Result<GroupAnswer, String>,
        ctx: &mut Context<Self>,
    ) {
        let now = self.links.clock.now();
        if let Err(error) = &answer {
            self.unanswered(name, error, now);
        }
        self.rivals.answered(name, answer, now);
        self.look(ctx);
    }

    /// Logs a name behind which no keeper answers, once a minute at most: any client can take such a name, as often
    /// as it likes.
    fn unanswered(&mut self, name: &ProbeName, error: &str, now: Moment) {
        let lately = |told| now.since(told) < UNANSWERED_LOGGED_EVERY;
        if self.unanswered_logged.is_some_and(lately) {
            tracing::debug!(%name, error, "a name of another group's keeper was met, and nobody answers");
            return;
        }
        self.unanswered_logged = Some(now);
        tracing::warn!(
            %name, error,
            "a server has a connection with the name of another group's keeper, and nobody answers there: a name alone holds nothing. \
             If that group exists, two groups look after one server: see CLIENT LIST, and make its rest-advertise reachable"
        );
    }

    /// Shares what is known of other groups. Has all clusters plan anew if it matters to them.
    fn tell(&mut self, now: Moment) {
        let known = self.rivals.known_groups(now);
        let told = Arc::clone(&self.links.known.borrow());
        if *told == known {
            return;
        }
        self.log_astray(&told.astray, &known.astray, now);
        let matter = |rival: &Rival| Rival {
            until: Moment::default(),
            ..rival.clone()
        };
        let rivals = |known: &KnownGroups| known.rivals.iter().map(matter).collect::<Vec<_>>();
        let news = rivals(&told) != rivals(&known) || told.astray != known.astray;
        self.links.known.send_replace(Arc::new(known));
        if news {
            (self.links.reconsider)(Replan);
        }
    }

    /// Logs a name that leads to another keeper. For a name that leads to no keeper, see
    /// [`unanswered`](Self::unanswered).
    fn log_astray(&mut self, told: &[Astray], known: &[Astray], now: Moment) {
        let proven = |it: &&Astray| !matches!(it.leads_to, LeadsTo::Nobody(_));
        let mut news = known.iter().filter(proven).filter(|it| {
            let same = |told: &Astray| (&told.name, &told.leads_to) == (&it.name, &it.leads_to);
            !told.iter().any(same)
        });
        let Some(astray) = news.next() else { return };
        let lately = |told| now.since(told) < UNANSWERED_LOGGED_EVERY;
        if self.astray_told.is_some_and(lately) {
            return;
        }
        self.astray_told = Some(now);
        tracing::warn!(name = %astray.name, why = %astray, "another group's keeper cannot be asked");
    }

    fn look_at(&mut self, at: Option<Moment>, ctx: &mut Context<Self>) {
        if self.timer.map(|(at, _)| at) == at {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = at.map(|at| {
            let left = at.since(self.links.clock.now());
            let timer = ctx.run_later(left, |watch, ctx| {
                watch.timer = None;
                watch.look(ctx);
            });
            (at, timer)
        });
    }
}

impl Actor for GroupWatch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.learn_own(ctx);
    }
}

impl Handler<KeepersMet> for GroupWatch {
    type Result = ();

    fn handle(&mut self, KeepersMet { node, names }: KeepersMet, ctx: &mut Self::Context) {
        let now = self.links.clock.now();
        self.rivals.met(&node, names, now);
        self.tell(now);
        let soon = now.after(GATHERED_WITHIN);
        if self.rivals.next(now).is_some_and(|next| next <= soon) {
            let planned = self.timer.map(|(at, _)| at);
            self.look_at(Some(planned.map_or(soon, |at| at.min(soon))), ctx);
        }
    }
}

impl Handler<AskOtherGroups> for GroupWatch {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: AskOtherGroups, ctx: &mut Self::Context) -> Self::Result {
        let (wait, over) = oneshot::channel();
        self.waiting.retain(|it| !it.is_closed());
        self.waiting.push(wait);
        if self.rivals.asks_first() {
            self.rivals.hurry();
        }
        self.look(ctx);
        Box::pin(async { drop(over.await) })
    }
}
