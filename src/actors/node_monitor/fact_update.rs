//! Turns an answer into facts, together with the addresses that belong to them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::time::timeout;

use super::{Connection, NodeMonitor};
use crate::domain::facts::{NodeFacts, Upstream};
use crate::domain::hindrance::HindranceKind;
use crate::domain::info::Info;
use crate::domain::node::Moment;
use crate::domain::unproven::is_passing;
use crate::ports::redis::{Alive, Depth, Subscribers};

/// How long an actor that waits for facts also waits for this host's resolver.
const QUICK: Duration = Duration::from_millis(50);

/// How soon after a connection was made the name of the node is looked up again.
const FIRST_LOOK: Duration = Duration::from_secs(1);

type Addresses = BTreeSet<IpAddr>;

/// The addresses of the node's name, compared with where the present connection leads.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The addresses of the name when the connection was made, updated since while they overlapped.
    leads_to: Option<Addresses>,
    /// When the connection was made.
    since: Moment,
    /// How long after that the name was last looked up, besides full probes.
    looked_up: Duration,
}

impl Names {
    /// The names of a connection that is made now.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            since: now,
            ..Self::default()
        }
    }

    /// Whether the name is due to be looked up again: 1 s after the connection was made, then 2 s, 4 s, and so on.
    /// Just after a restart of the server, the resolver may still return the old address.
    fn is_due(&mut self, now: Moment) -> bool {
        let old = now.since(self.since);
        let due = old >= (self.looked_up * 2).max(FIRST_LOOK);
        if due {
            self.looked_up = old;
        }
        due
    }
}

/// How much a probe has asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) depth: Depth,
    /// Whether the time for everything had come. Then the names are resolved again, too.
    pub(super) again: bool,
}

/// Facts on their way into the observation.
struct FactUpdate {
    facts: NodeFacts,
    /// When the probe was sent that read the facts.
    at: Moment,
    /// Whether the node follows another host than before, or no host any more.
    moved: bool,
    own: Host,
    upstream: Host,
}

/// The addresses of a host, as far as they are to be learned.
enum Host {
    /// The addresses stay as they were.
    AsBefore,
    Is(Addresses),
    /// The addresses have to be asked of this host's resolver.
    Named(String),
}

impl NodeMonitor {
    /// Takes in an answer to a probe that was `sent` then.
    pub(super) fn answered(
        &mut self,
        connection: Connection,
        mut alive: Alive,
        asked: Asked,
        sent: Moment,
        ctx: &mut Context<Self>,
    ) {
        let at = self.links.clock.now();
        self.took(sent, at);
        self.present.timeouts = 0;
        self.liveness.answered(at, alive.loading);
        self.observation.answering = true;
        self.observation.answering_since = self.observation.answering_since.or(Some(at));
        self.observation.refused = false;
        self.observation.owes_since = None;
        self.observation.trouble = alive.error.take();
        self.login_is(alive.login_refused.take());
        self.hindrance_is(alive.hindrance.as_deref(), at);
        let info = alive.info.take();
        // A text that names no process is no answer to `INFO`.
        let foreign = alive.foreign || info.is_some();
        let subscribers = alive.subscribers.take();
        let facts = info.and_then(|info| self.read(info, subscribers, asked, sent, at));
        if facts.is_none() {
            self.unnamed(foreign);
        }
        // A busy server tells its settings later.
        let told = |read: &Result<_, String>| read.as_ref().err().is_none_or(|it| !is_passing(it));
        if let Some(read) = alive.min_replicas.filter(told) {
            self.observation.min_replicas = Some(read);
        }
        if let Some(mut facts) = facts {
            facts.loading = alive.loading;
            facts.writes.misconf = self.observation.hindered(HindranceKind::Misconf).is_some();
            self.learn(connection, facts, sent, asked.again, ctx);
        } else {
            let proven = self.observation.unproven.is_none();
            if let Some(known) = self.observation.facts.as_mut().filter(|_| proven) {
                known.loading = alive.loading;
            }
            self.conclude(connection, ctx);
        }
    }

    /// The facts in the answer. `None` if no process has named itself, neither in the answer nor before on this
    /// connection.
    fn read(
        &mut self,
        info: Info,
        subscribers: Option<Subscribers>,
        Asked { depth, again }: Asked,
        sent: Moment,
        at: Moment,
    ) -> Option<NodeFacts> {
        let aged = sent.since(self.observation.at);
        let known = self.observation.facts.as_ref();
        if !depth.is_full() {
            let known = known.filter(|_| self.proof.is_here());
            return known.map(|known| updated(known, info, aged));
        }
        let same = |facts: &&NodeFacts| info.run_id.as_ref() == Some(&facts.run_id);
        let facts = match known.filter(same) {
            Some(known) => Some(updated(known, info, aged)),
            None => NodeFacts::of(&info),
        };
        let Some(mut facts) = facts else {
            let names = "its INFO names no run_id, or no role".to_owned();
            self.observation.trouble.get_or_insert(names);
            return None;
        };
        self.present.full_at = self.present.full_at.filter(|_| !again).or(Some(at));
        if let Some(Subscribers { sentinels, others }) = subscribers {
            (facts.sentinels, facts.other_subscribers) = (sentinels, others);
        }
        Some(facts)
    }

    fn learn(
        &mut self,
        connection: Connection,
        facts: NodeFacts,
        at: Moment,
        again: bool,
        ctx: &mut Context<Self>,
    ) {
        let host = upstream_host(&facts);
        let moved = self.observation.facts.as_ref().and_then(upstream_host) != host;
        // The actors that asked will act on the addresses of the names. Only known addresses may have changed, and
        // the answer does not wait for a slow resolver.
        let asked = !again
            && (self.present.names.is_due(self.links.clock.now()) || self.requests.is_serving());
        let old = |known: &Addresses| asked && !known.is_empty();
        let own = again || old(&self.observation.addresses);
        let upstream = again || moved || old(&self.observation.upstream_addresses);
        let limit = if asked && !moved {
            QUICK
        } else {
            self.settings.probe_timeout
        };
        let mut update = FactUpdate {
            own: Host::of(Some(self.addr.host()).filter(|_| own)),
            upstream: Host::of(host.filter(|_| upstream)),
            moved,
            facts,
            at,
        };
        if !update.own.is_named() && !update.upstream.is_named() {
            self.settle(update);
            self.conclude(connection, ctx);
            return;
        }
        // The vote does not wait for this host's resolver. The former facts stay valid meanwhile.
        self.report(ctx);
        let redis = Rc::clone(&self.links.redis);
        let resolving = async move {
            let resolve = async |host: &mut Host| {
                if let Host::Named(name) = host {
                    *host = match timeout(limit, redis.resolve(name)).await {
                        Ok(Ok(addresses)) => Host::Is(addresses),
                        _ => Host::AsBefore,
                    };
                }
            };
            futures::join!(resolve(&mut update.own), resolve(&mut update.upstream));
            update
        };
        ctx.spawn(
            wrap_future::<_, Self>(resolving).map(move |update, monitor, ctx| {
                monitor.settle(update);
                monitor.conclude(connection, ctx);
            }),
        );
    }

    fn settle(&mut self, update: FactUpdate) {
        if let Host::Is(addresses) = &update.own {
            if self
                .present
                .names
                .leads_to
                .as_ref()
                .is_some_and(|before| before.is_disjoint(addresses))
            {
                // The name leads to another address now, but the connection still leads to the old one.
                self.requests.reconnect = true;
                return;
            }
            self.present.names.leads_to = Some(addresses.clone());
            self.observation.addresses.clone_from(addresses);
        }
        self.connected_to(&update.facts.run_id);
        self.proven(update.at);
        self.observation.facts = Some(update.facts);
        self.observation.at = update.at;
        match update.upstream {
            Host::Is(addresses) => self.observation.upstream_addresses = addresses,
            Host::AsBefore | Host::Named(_) if update.moved => {
                self.observation.upstream_addresses.clear();
            }
            Host::AsBefore | Host::Named(_) => {}
        }
    }
}

impl Host {
    fn of(host: Option<&str>) -> Self {
        match host {
            None => Self::AsBefore,
            Some(host) => host.parse().map_or_else(
                |_| Self::Named(host.to_owned()),
                |ip| Self::Is(Addresses::from([ip])),
            ),
        }
    }

    fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

fn upstream_host(facts: &NodeFacts) -> Option<&str> {
    facts.upstream().and_then(Upstream::host)
}

fn updated(known: &NodeFacts, info: Info, elapsed: Duration) -> NodeFacts {
    let mut facts = known.clone();
    facts.update(info, elapsed);
    facts
}
