//! A cluster in a few words: `cluster().primary("a").replica("b", "a").published("a")`.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::domain::command_history::{CommandFailure, CommandHistory};
use crate::domain::confirmation::Confirmation;
use crate::domain::facts::{Family, Link, Mode, NodeFacts, Role, Upstream, Version, Writes};
use crate::domain::liveness::Limits;
use crate::domain::node::{Epoch, Generation, KeeperId, Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::observed::{
    ClustersSeen, GroupsSeen, Observed, ObservedNode, OutsideSeen, RelayedFacts, Topology,
    WithdrawalProgress, Witnesses,
};
use crate::domain::plan::{Hold, Plan, StateChange, plan};
use crate::domain::policy::Policy;
use crate::domain::published::{Intent, Published, Step};
use crate::domain::sentinels::SentinelWatch;
use crate::domain::verdict::Verdict;

pub(in crate::domain) const NOW: Moment = Moment(Duration::from_secs(1_000));
pub(in crate::domain) const EPOCH: Epoch = Epoch(7);
pub(in crate::domain) const KEEPERS: usize = 3;
pub(in crate::domain) const LIMITS: Limits = Limits {
    mark_down: Duration::from_secs(5),
    probe_timeout: Duration::from_secs(1),
    busy: None,
};

pub(in crate::domain) struct Cluster {
    pub(in crate::domain) observed: Observed,
    pub(in crate::domain) policy: Policy,
}

pub(in crate::domain) fn cluster() -> Cluster {
    Cluster {
        observed: Observed {
            nodes: [].into(),
            unlisted: [].into(),
            published: None,
            epoch: EPOCH,
            commands: CommandHistory::default(),
            published_at: None,
            withdrawal: WithdrawalProgress::default(),
            requested: None,
            confirmation: Confirmation::granted(),
            brake: None,
            limits: LIMITS,
            last_failover: None,
            sentinels: SentinelWatch::default(),
            witnesses: Witnesses::default(),
            groups: GroupsSeen::default(),
            clusters: ClustersSeen::default(),
            outside: OutsideSeen::default(),
        },
        policy: Policy::default(),
    }
}

pub(in crate::domain) fn addr(name: &str) -> NodeAddr {
    NodeAddr::new(name, 6379)
}

pub(in crate::domain) fn addrs<const N: usize>(names: [&str; N]) -> Vec<NodeAddr> {
    names.map(addr).to_vec()
}

/// The history that the primary of this name began with.
pub(in crate::domain) fn history(name: &str) -> String {
    format!("history of {name}")
}

fn facts(name: &str, role: Role, replication_id: String) -> NodeFacts {
    NodeFacts {
        run_id: format!("process of {name}"),
        version: Version {
            major: 7,
            minor: 0,
            patch: 15,
        },
        family: Family::Redis,
        mode: Mode::Standalone,
        uptime: Duration::from_mins(1),
        loading: false,
        role,
        replication_id,
        previous_replication_id: None,
        previous_offset: None,
        offset: 1_000,
        attached: Vec::new(),
        copied: 0,
        keys: 10,
        append_only: false,
        failover: None,
        shutting_down: None,
        writes: Writes::default(),
        sentinels: Vec::new(),
        other_subscribers: 0,
    }
}

impl Cluster {
    fn add(mut self, name: &str, facts: Option<NodeFacts>) -> Self {
        let observation = NodeObservation {
            order: (Moment::default(), 0),
            probed: facts.is_some(),
            answering: facts.is_some(),
            facts,
            ..NodeObservation::unknown(NOW)
        };
        let verdict = Verdict {
            unreachable: 0,
            loading: 0,
            refused: 0,
            keepers: KEEPERS,
            min_votes: 1,
        };
        let node = ObservedNode {
            observation: Box::new(observation),
            verdict,
            relayed: None,
        };
        self.observed.nodes.insert(addr(name), node);
        self
    }

    /// A primary with ten keys and a history of its own, at offset 1000.
    pub(in crate::domain) fn primary(self, name: &str) -> Self {
        let role = Role::Primary { online_replicas: 0 };
        self.add(name, Some(facts(name, role, history(name))))
    }

    /// A replica whose link to `of` is up and which has all its data, if `of` was added before.
    pub(in crate::domain) fn replica(self, name: &str, of: &str) -> Self {
        let upstream = Upstream {
            primary: addr(of),
            link: Link::Up,
            syncing: false,
            last_io: Some(Duration::ZERO),
            priority: 100,
        };
        let known = self.observed.nodes.get(&addr(of));
        let known = known.and_then(|node| node.observation.facts.as_ref());
        let replication_id = known.map_or(history(of), |facts| facts.replication_id.clone());
        self.add(
            name,
            Some(facts(name, Role::Replica(upstream), replication_id)),
        )
    }

    /// A node that was not probed yet.
    pub(in crate::domain) fn unknown(self, name: &str) -> Self {
        self.add(name, None)
    }

    /// The keepers hold the node down, and it does not answer. Its last facts are kept.
    pub(in crate::domain) fn down(self, name: &str) -> Self {
        let cluster = self.observation(name, |observation| {
            observation.probed = true;
            observation.answering = false;
            observation.trouble = Some("connection refused".to_owned());
        });
        cluster.votes(name, KEEPERS, 0)
    }

    /// The node does not answer this keeper, and no keeper votes yet.
    pub(in crate::domain) fn silent(self, name: &str) -> Self {
        self.down(name).votes(name, 0, 0)
    }

    /// The node does not answer this keeper, but another keeper, which reports its facts.
    pub(in crate::domain) fn seen_through(mut self, name: &str, keeper: &str) -> Self {
        let node = self.observed.nodes.get_mut(&addr(name)).unwrap();
        node.relayed = Some(Box::new(RelayedFacts {
            keeper: KeeperId::new(keeper),
            facts: node.observation.facts.clone().expect("added with facts"),
        }));
        node.verdict.unreachable = 1;
        self.observation(name, |observation| {
            observation.answering = false;
            observation.facts = None;
            observation.trouble = Some("connection refused".to_owned());
        })
    }

    /// The node answers, but does not give its facts.
    pub(in crate::domain) fn noauth(self, name: &str) -> Self {
        self.unknown(name).observation(name, |observation| {
            observation.probed = true;
            observation.answering = true;
            observation.trouble = Some("NOAUTH Authentication required.".to_owned());
        })
    }

    pub(in crate::domain) fn votes(
        mut self,
        name: &str,
        unreachable: usize,
        loading: usize,
    ) -> Self {
        let verdict = &mut self.observed.nodes.get_mut(&addr(name)).unwrap().verdict;
        (verdict.unreachable, verdict.loading) = (unreachable, loading);
        self
    }

    pub(in crate::domain) fn observation(
        mut self,
        name: &str,
        change: impl FnOnce(&mut NodeObservation),
    ) -> Self {
        change(
            &mut self
                .observed
                .nodes
                .get_mut(&addr(name))
                .unwrap()
                .observation,
        );
        self
    }

    pub(in crate::domain) fn with(self, name: &str, change: impl FnOnce(&mut NodeFacts)) -> Self {
        self.observation(name, |observation| {
            change(observation.facts.as_mut().unwrap());
        })
    }

    /// A Sentinel watches the node, and this keeper has seen it.
    pub(in crate::domain) fn sentinel_at(self, name: &str, sentinel: &str) -> Self {
        let mut cluster = self.with(name, |facts| facts.sentinels = vec![sentinel.to_owned()]);
        cluster.observed.watch_sentinels(NOW);
        cluster
    }

    pub(in crate::domain) fn upstream(
        self,
        name: &str,
        change: impl FnOnce(&mut Upstream),
    ) -> Self {
        self.with(name, |facts| match &mut facts.role {
            Role::Replica(upstream) => change(upstream),
            Role::Primary { .. } => panic!("a primary has no upstream"),
        })
    }

    pub(in crate::domain) fn unlinked(self, name: &str) -> Self {
        let since = Some(Duration::from_secs(3));
        self.upstream(name, |upstream| upstream.link = Link::Down { since })
    }

    /// The node was started anew: another process, with a history of its own.
    pub(in crate::domain) fn reborn(self, name: &str, keys: u64, offset: u64) -> Self {
        self.with(name, |facts| {
            facts.run_id = format!("second process of {name}");
            facts.replication_id = format!("second history of {name}");
            (facts.keys, facts.offset) = (keys, offset);
        })
    }

    /// A former replica is a primary now, and continues its old history under a new id.
    pub(in crate::domain) fn promoted(self, name: &str) -> Self {
        self.with(name, |facts| {
            facts.role = Role::Primary { online_replicas: 0 };
            let old = std::mem::replace(&mut facts.replication_id, history(name));
            facts.previous_replication_id = Some(old);
            facts.previous_offset = Some(facts.offset);
        })
    }

    pub(in crate::domain) fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    pub(in crate::domain) fn failed(mut self, name: &str, seconds_ago: u64) -> Self {
        let failure = CommandFailure {
            at: Moment(NOW.0.saturating_sub(Duration::from_secs(seconds_ago))),
            times: 1,
            why: "no answer".to_owned(),
            cuts: 0,
            through: [].into(),
        };
        self.observed.commands.roles.insert(addr(name), failure);
        self
    }

    /// `primary` is published with every replica that follows it at this point.
    pub(in crate::domain) fn published(mut self, primary: &str) -> Self {
        let primary = addr(primary);
        let topology = Topology::of(&self.observed);
        let follows = |node: &&NodeAddr| topology.follows(node, &primary);
        let replicas: BTreeSet<_> = self
            .observed
            .nodes
            .keys()
            .filter(follows)
            .cloned()
            .collect();
        let node = self.observed.nodes.get(&primary);
        let facts = node.and_then(ObservedNode::last_known);
        let lineage = facts.map_or_else(
            || vec![history(primary.host())],
            |facts| facts.histories().map(str::to_owned).collect(),
        );
        self.observed.published = Some(Published {
            run_id: facts.map(|facts| facts.run_id.clone()),
            deposed: [].into(),
            known: replicas.iter().chain([&primary]).cloned().collect(),
            primary: Some(primary),
            replicas,
            epoch: EPOCH,
            generation: Generation(1),
            lineage,
            has_data: facts.is_some_and(|facts| facts.keys > 0),
            former_min_replicas: [].into(),
            addresses: [].into(),
            breaker: false,
            by: None,
            intent: None,
        });
        self.looked_at()
    }

    /// The published primary was withdrawn and nothing else was done.
    pub(in crate::domain) fn withdrawn(mut self, old: &str) -> Self {
        if self.observed.published.is_none() {
            self = self.published(old);
        }
        let state = self.observed.published.as_mut().unwrap();
        state.primary = None;
        state.intent = Some(Intent {
            epoch: EPOCH,
            old: Some(addr(old)),
            old_run_id: Some(format!("process of {old}")),
            switchover: None,
            candidate: None,
            step: Step::Withdrawn,
            reason: "test".to_owned(),
        });
        self
    }

    /// The published primary was withdrawn, and the successor persisted.
    pub(in crate::domain) fn promoting(self, old: &str, candidate: &str) -> Self {
        let mut cluster = self.withdrawn(old);
        let state = cluster.observed.published.as_mut().unwrap();
        let intent = state.intent.as_mut().unwrap();
        intent.candidate = Some(addr(candidate));
        intent.step = Step::Promoting;
        cluster
    }

    pub(in crate::domain) fn epoch(mut self, epoch: u64) -> Self {
        self.observed.epoch = Epoch(epoch);
        self
    }

    pub(in crate::domain) fn plan(&self) -> Plan {
        plan(&self.observed, &self.policy, NOW)
    }

    /// Carries out the next action, which is a write, and returns the changed cluster.
    pub(in crate::domain) fn written(mut self, expected: StateChange) -> Self {
        let (change, state) = self.plan().into_write();
        assert_eq!(change, expected);
        self.observed.published = Some(state);
        self
    }

    /// Persists the candidate of the next action, which is a promotion, and returns the changed cluster.
    pub(in crate::domain) fn chosen(mut self) -> Self {
        let (_, state) = self.plan().into_promotion();
        self.observed.published = Some(state);
        self
    }

    pub(in crate::domain) fn unacknowledged(mut self, keeper: &str) -> Self {
        let keepers = &mut self.observed.withdrawal.unacknowledged.keepers;
        keepers.insert(KeeperId::new(keeper));
        self
    }

    /// The keeper is silent, and may go on without ZooKeeper for so many seconds.
    pub(in crate::domain) fn going_on(mut self, keeper: &str, seconds: u64) -> Self {
        let until = NOW.after(Duration::from_secs(seconds));
        let unacknowledged = &mut self.observed.withdrawal.unacknowledged;
        unacknowledged.goes_on(&KeeperId::new(keeper), Some(until));
        self
    }

    pub(in crate::domain) fn state(&self) -> &Published {
        self.observed.published.as_ref().unwrap()
    }

    /// Asserts a plan without action and without holds.
    pub(in crate::domain) fn assert_settled(&self) {
        assert_eq!(self.plan(), Plan::default());
    }
}

// Tests read plans and holds as of `NOW`.

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at(NOW).fmt(f)
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at(NOW).fmt(f)
    }
}
