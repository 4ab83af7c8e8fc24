//! A cluster of servers that carries plans out. The model knows which data set a server really holds; the core cannot
//! know.

use std::collections::{BTreeMap, BTreeSet};

use super::builder::{EPOCH, NOW, addr, cluster};
use crate::domain::command_history::{CommandFailure, CommandHistory};
use crate::domain::facts::{MinReplicas, NodeFacts};
use crate::domain::node::{Generation, Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::observed::{Observed, ObservedNode};
use crate::domain::plan::{Action, Plan, StateChange, plan};
use crate::domain::policy::Policy;
use crate::domain::published::{Published, Step};
use crate::domain::verdict::Verdict;

use self::said::facts;
pub(super) use self::said::linked_to;

mod said;

pub(super) const KEEPERS: usize = 4;
/// The `min-replicas` settings without the keepers.
pub(super) const UNTOUCHED: MinReplicas = MinReplicas {
    to_write: 0,
    max_lag: 10,
};
const OUTSIDE: &str = "outside";

/// A server process and its surroundings.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "independent faults")]
pub(super) struct Server {
    pub(super) up: bool,
    pub(super) loading: bool,
    /// Whether commands that change the server succeed.
    pub(super) obeys: bool,
    /// Whether the server can log in to primaries.
    pub(super) links: bool,
    /// How many keepers vote the server down although it is up.
    pub(super) doubters: usize,
    pub(super) priority: u32,
    pub(super) process: u32,
    /// The data set that the server really holds, whatever its ids say. Copies and continuations of a data set have
    /// the same number.
    pub(super) data_set: u32,
    pub(super) history: String,
    pub(super) previous: Option<String>,
    pub(super) offset: u64,
    pub(super) keys: u64,
    /// The index of the server that this one follows; `None` for a primary, and one past the last index for an
    /// outsider.
    pub(super) follows: Option<usize>,
    pub(super) linked: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) servers: Vec<Server>,
    /// The configured names, each with the index of its server.
    pub(super) names: BTreeMap<NodeAddr, usize>,
    pub(super) published: Option<Published>,
    pub(super) policy: Policy,
    pub(super) commands: CommandHistory,
    /// The settings of each server.
    pub(super) min_replicas: Vec<MinReplicas>,
    /// The last facts of each node.
    said: BTreeMap<NodeAddr, NodeFacts>,
    born: u32,
}

/// An event at a server that no keeper causes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Dies(usize),
    Returns(usize),
    PromotedByHand(usize),
    MadeReplicaByHand(usize, usize),
    RebornEmpty(usize),
}

pub(super) fn name_of(server: usize) -> NodeAddr {
    addr(&format!("node-{server}"))
}

impl Model {
    pub(super) fn new(servers: Vec<Server>, alias: Option<usize>, policy: Policy) -> Self {
        let mut names: BTreeMap<_, _> = (0..servers.len()).map(|n| (name_of(n), n)).collect();
        names.extend(alias.map(|server| (addr("another-name"), server)));
        let mut model = Self {
            min_replicas: vec![UNTOUCHED; servers.len()],
            servers,
            names,
            published: None,
            policy,
            commands: CommandHistory::default(),
            said: BTreeMap::new(),
            born: 0,
        };
        model.observe();
        model
    }

    pub(super) fn server(&self, name: &NodeAddr) -> &Server {
        &self.servers[self.names[name]]
    }

    /// The keeper's view of the cluster.
    pub(super) fn observe(&mut self) -> Observed {
        let nodes = self.names.clone().into_iter().map(|(name, index)| {
            let server = &self.servers[index];
            if server.up {
                let facts = facts(index, server, &self.servers);
                self.said.insert(name.clone(), facts);
            }
            let observation = NodeObservation {
                order: (Moment::default(), 0),
                facts: self.said.get(&name).cloned(),
                probed: true,
                answering: server.up,
                min_replicas: Some(Ok(self.min_replicas[index])),
                ..NodeObservation::unknown(NOW)
            };
            let verdict = Verdict {
                unreachable: if server.up { server.doubters } else { KEEPERS },
                loading: 0,
                refused: 0,
                keepers: KEEPERS,
                min_votes: 1,
            };
            (
                name,
                ObservedNode {
                    observation: Box::new(observation),
                    verdict,
                    relayed: None,
                },
            )
        });
        Observed {
            nodes: nodes.collect(),
            published: self.published.clone(),
            commands: self.commands.clone(),
            ..cluster().observed
        }
    }

    /// Takes this many steps, then lets the event happen. After that, nodes that failed are commanded again.
    pub(super) fn live_until(&mut self, steps: u8, event: Event) {
        for _ in 0..steps {
            if let Some(action) = self.plan().action {
                self.apply(&action);
            }
            self.replicate();
        }
        self.happen(event);
        self.commands.roles.clear();
    }

    pub(super) fn plan(&mut self) -> Plan {
        plan(&self.observe(), &self.policy, NOW)
    }

    /// Carries the action out, after checking that it is allowed.
    pub(super) fn apply(&mut self, action: &Action) {
        match action {
            Action::Write { state, change } => self.write(state, *change),
            Action::Promote {
                node,
                state,
                through,
            } => {
                assert_eq!(*through, None);
                let before = self.published.replace(state.clone()).unwrap_or_default();
                assert!(before.primary.is_none() && state.primary.is_none());
                assert_eq!(before.generation, state.generation);
                self.promote(node);
            }
            Action::Switch {
                from, to, state, ..
            } => {
                let before = self.published.replace(state.clone()).unwrap_or_default();
                assert!(
                    before.primary.is_none() && before.intent.unwrap().old.as_ref() == Some(from)
                );
                self.promote(to);
            }
            Action::Follow { nodes, primary, .. } => {
                let replicas = nodes
                    .iter()
                    .filter(|name| self.server(name).follows.is_some());
                assert!(!nodes.is_empty() && replicas.count() <= self.policy.parallel_syncs);
                for name in nodes {
                    self.follow(name, primary);
                }
            }
            Action::SetMinReplicas { node, values } => self.demand(node, *values),
            Action::Confirm(_) | Action::AskVoters(_) => unreachable!("confirmations are granted"),
            Action::LookFirst(_) => unreachable!("nobody looks"),
            Action::TakeOver(_) => unreachable!("there is one cluster"),
        }
    }

    /// Checks RK-2: the published primary changes only from A to none to B.
    fn write(&mut self, state: &Published, change: StateChange) {
        let before = self.published.replace(state.clone()).unwrap_or_default();
        match change {
            StateChange::Withdraw => assert!(state.primary.is_none() && state.intent.is_some()),
            StateChange::Publish | StateChange::Resume => {
                assert!(before.primary.is_none() && state.primary.is_some());
            }
            StateChange::Note | StateChange::Accept => {
                assert!(before.primary.is_some() && before.primary == state.primary);
            }
        }
        assert_eq!(
            change.raises_generation(),
            before.primary != state.primary
                || before.intent.is_none() && change == StateChange::Withdraw
        );
        assert!(
            change == StateChange::Publish || before != *state,
            "a write that changes nothing"
        );
        if change.raises_generation() {
            let published = self.published.as_mut().unwrap();
            published.generation = Generation(before.generation.0 + 1);
        }
    }

    /// Checks RK-5 and RK-6 by the servers' real data.
    fn promote(&mut self, name: &NodeAddr) {
        let published = self.published.clone().unwrap();
        let intent = published.intent.expect("promotion without an intent");
        assert_eq!(published.primary, None);
        assert_eq!(
            (&intent.candidate, intent.step, intent.epoch),
            (&Some(name.clone()), Step::Promoting, EPOCH)
        );
        let index = self.names[name];
        let server = &self.servers[index];
        assert!(server.up && !server.loading && server.follows.is_some());
        assert!(server.doubters * 2 < KEEPERS && server.priority != 0);
        assert!(
            published
                .lineage
                .iter()
                .any(|id| Self::data_set_of(id) == Some(server.data_set)),
            "other data"
        );
        let full = |other: &Server| {
            let ids = [Some(&other.history), other.previous.as_ref()];
            let ours = ids
                .into_iter()
                .flatten()
                .any(|id| published.lineage.contains(id));
            other.up && other.keys > 0 && ours
        };
        assert!(server.keys > 0 || !self.servers.iter().any(full), "empty");
        if !server.obeys {
            return self.fail(name);
        }
        self.turn_primary(index);
    }

    /// Checks RK-7, and that no foreign data are lost.
    fn follow(&mut self, name: &NodeAddr, primary: &NodeAddr) {
        let published = self.published.clone().unwrap();
        assert_eq!(published.primary.as_ref(), Some(primary));
        let (index, target) = (self.names[name], self.names[primary]);
        assert_ne!(index, target, "a server would follow itself");
        let (server, kept) = (&self.servers[index], &self.servers[target]);
        assert!(kept.up && kept.follows.is_none());
        let theirs =
            server.follows.is_none() && server.keys > 0 && server.data_set != kept.data_set;
        let process = format!("process {index}.{}", server.process);
        let ours = published
            .deposed
            .get(name)
            .is_some_and(|it| it.run_id == Some(process))
            || published
                .lineage
                .iter()
                .any(|id| Self::data_set_of(id) == Some(server.data_set));
        assert!(
            !theirs || ours || self.policy.settle_unrelated,
            "foreign data would be lost"
        );
        if !server.obeys {
            return self.fail(name);
        }
        self.servers[index].follows = Some(target);
    }

    /// Checks RK-9: the former setting is persisted, and no demand is raised above the replicas that the primary has.
    fn demand(&mut self, name: &NodeAddr, values: MinReplicas) {
        let published = self.published.as_ref().unwrap();
        let former = published.former_min_replicas.get(name);
        assert_eq!(former, Some(&UNTOUCHED), "not persisted");
        let index = self.names[name];
        assert!(self.servers[index].up);
        if !self.servers[index].obeys {
            let failure = refused();
            let before = self.commands.settings.insert(name.clone(), failure);
            return assert_eq!(before, None, "tried again at once");
        }
        let seen = std::mem::replace(&mut self.min_replicas[index], values);
        let demanded = usize::try_from(values.demanded()).unwrap();
        assert!(
            values.demanded() <= seen.demanded() || demanded <= linked_to(index, &self.servers),
            "the writes would stop"
        );
    }

    fn fail(&mut self, name: &NodeAddr) {
        let before = self.commands.roles.insert(name.clone(), refused());
        assert_eq!(
            before, None,
            "a node that failed was commanded again at once"
        );
    }

    /// The data set of histories with this name.
    fn data_set_of(id: &str) -> Option<u32> {
        id.split('/').next()?.parse().ok()
    }

    fn turn_primary(&mut self, index: usize) {
        self.born += 1;
        let server = &mut self.servers[index];
        server.follows = None;
        let history = format!("{}/promotion {}", server.data_set, self.born);
        server.previous = Some(std::mem::replace(&mut server.history, history));
    }

    /// Runs replication until nothing changes.
    pub(super) fn replicate(&mut self) {
        for server in &mut self.servers {
            server.linked = false;
        }
        let mut serving: BTreeSet<usize> = self
            .servers
            .iter()
            .enumerate()
            .filter(|(_, server)| server.up && !server.loading && server.follows.is_none())
            .map(|(index, _)| index)
            .collect();
        loop {
            let next = (0..self.servers.len()).find(|index| {
                let server = &self.servers[*index];
                let reachable = server.follows.is_some_and(|of| serving.contains(&of));
                !serving.contains(index)
                    && server.up
                    && !server.loading
                    && server.links
                    && reachable
            });
            let Some(index) = next else { return };
            let source = self.servers[self.servers[index].follows.unwrap()].clone();
            let server = &mut self.servers[index];
            let continues = server.data_set == source.data_set;
            if server.history != source.history {
                let old = std::mem::replace(&mut server.history, source.history);
                server.previous = continues.then_some(old);
            }
            (server.data_set, server.keys, server.offset) =
                (source.data_set, source.keys, source.offset);
            server.linked = true;
            serving.insert(index);
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        let count = self.servers.len();
        match event {
            Event::Dies(server) => self.servers[server % count].up = false,
            Event::Returns(server) => self.servers[server % count].up = true,
            Event::PromotedByHand(server) => {
                if self.servers[server % count].follows.is_some() {
                    self.turn_primary(server % count);
                }
            }
            Event::MadeReplicaByHand(server, of) => {
                self.servers[server % count].follows = Some(of % count);
            }
            Event::RebornEmpty(server) => {
                self.born += 1;
                let data_set = 1_000 + self.born;
                let server = &mut self.servers[server % count];
                server.process += 1_000;
                (server.data_set, server.history, server.previous) =
                    (data_set, format!("{data_set}/empty"), None);
                (server.keys, server.offset) = (0, 0);
            }
        }
    }

    /// Acts until there is nothing left to do, and returns the last plan. Panics if that takes too long.
    pub(super) fn settle(&mut self) -> Plan {
        for _ in 0..20 + 10 * self.servers.len() {
            if let Some(action) = self.plan().action {
                self.apply(&action);
            }
            self.replicate();
            let plan = self.plan();
            if plan.action.is_none() {
                return plan;
            }
        }
        panic!("no end: {self:#?}");
    }
}

fn refused() -> CommandFailure {
    CommandFailure {
        at: NOW,
        times: 1,
        why: "refused".to_owned(),
        cuts: 0,
        through: [].into(),
    }
}
