//! The observation that a keeper makes of a node: the facts, their age, the probes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::facts::{MinReplicas, NodeFacts};
use super::hindrance::{Hindrance, HindranceKind};
use super::liveness::DownReason;
use super::node::Moment;
use super::unproven::Unproven;

pub use age::facts_hold;

mod age;
mod words;

/// One node as this keeper's monitor sees it. The monitor sends it to the cluster actor whenever it differs
/// [materially](Self::same_matter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeObservation {
    /// Orders the observations of one node: when its monitor was started, and how many the monitor has made since.
    pub order: (Moment, u64),
    /// The node's last facts; `None` until the node has answered `INFO` once since this keeper began to watch it.
    pub facts: Option<NodeFacts>,
    /// When the probe was sent that read the facts.
    pub at: Moment,
    /// This keeper's vote: the reason why the node counts as down here, if it does (RK-1).
    pub vote: Option<DownReason>,
    /// At least one probe has ended, by an answer or a failure, so this keeper has an opinion.
    pub probed: bool,
    /// The last probe was answered, by whatever process. `false` does not mean down: only a vote says so.
    pub answering: bool,
    /// Since when every probe was answered; `None` if the last one was not.
    pub answering_since: Option<Moment>,
    /// When the last proof of life came, from whatever process; `None` if none came since this keeper began to watch
    /// the node.
    pub last_alive: Option<Moment>,
    /// The last probe's connection was refused.
    pub refused: bool,
    /// When the last probe that has ended was sent.
    pub probe_sent: Moment,
    /// The server process that this keeper was connected to last, and the state of that connection; `None` if either
    /// is unknown.
    pub process: Option<ProcessConnection>,
    /// The answers do not say which process gives them, so the facts may be another one's. `None` while they do, or
    /// while nothing has answered since.
    pub unproven: Option<Unproven>,
    /// Since when the facts are too old to rely on, because probes bring no more of them ([`facts_hold`]); `None`
    /// while they count.
    pub outdated: Option<Moment>,
    /// Since when the node owes an answer: when the first probe was sent that was neither answered nor refused since.
    pub owes_since: Option<Moment>,
    /// The node's answer in place of facts, such as `NOAUTH …`, or the reason why the last probe failed.
    pub trouble: Option<String>,
    /// The node lives, and answers errors of its own instead of serving: see [`Hindrance`].
    pub hindrance: Option<Hindrance>,
    /// Why the node refused this keeper's user or password. Such a node may answer as it answers anybody, but takes
    /// no command.
    pub login_refused: Option<String>,
    /// The node's `min-replicas` settings, or why they could not be read; `None` until the node was asked (RK-9).
    pub min_replicas: Option<Result<MinReplicas, String>>,
    /// Whether the node would carry out this keeper's commands; else why not. `None` until the process was tried
    /// (RK-6).
    pub commandable: Option<Result<(), String>>,
    /// The addresses of the node's host name, as this keeper's host resolves it.
    pub addresses: BTreeSet<IpAddr>,
    /// The addresses of the host that the node names as its primary; empty for a primary.
    pub upstream_addresses: BTreeSet<IpAddr>,
}

/// A connection to one server process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessConnection {
    /// The run id that the process gave on that connection.
    pub run_id: String,
    /// The state of the connection.
    pub state: ConnectionState,
}

/// The last known state of a connection to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// The connection is open, even if the process is silent on it.
    Open,
    /// The peer has ended the connection in order, as the kernel does for a process that ends. No other connection
    /// was made since. A reset does not count: firewalls send resets, too.
    ClosedByPeer,
}

impl NodeObservation {
    /// The observation of a node that has not been probed yet.
    pub fn unknown(at: Moment) -> Self {
        Self {
            order: (Moment::default(), 0),
            facts: None,
            at,
            vote: None,
            probed: false,
            answering: false,
            answering_since: None,
            last_alive: None,
            refused: false,
            probe_sent: at,
            process: None,
            unproven: None,
            outdated: None,
            owes_since: None,
            trouble: None,
            hindrance: None,
            login_refused: None,
            min_replicas: None,
            commandable: None,
            addresses: BTreeSet::new(),
            upstream_addresses: BTreeSet::new(),
        }
    }

    /// The node's facts, unless they are older than `span`. While the node answers with its state they are never too
    /// old: each probe reads them anew, though the monitor sends only material changes.
    pub fn facts_within(&self, span: Duration, now: Moment) -> Option<&NodeFacts> {
        let facts = self.facts.as_ref();
        facts.filter(|_| self.tells() || now.since(self.at) <= span)
    }

    /// The facts of a process at this node. `None` if the answers no longer say which process gives them, or if the
    /// facts are too old.
    pub fn proven(&self) -> Option<&NodeFacts> {
        let gone_by = self.unproven.is_none() && self.outdated.is_none();
        self.facts.as_ref().filter(|_| gone_by)
    }

    /// The facts of the process that answers now.
    pub fn named(&self) -> Option<&NodeFacts> {
        self.proven().filter(|_| self.answering)
    }

    /// The hindrance of this kind, if the server answers with it.
    pub fn hindered(&self, kind: HindranceKind) -> Option<&Hindrance> {
        let hindrance = self.hindrance.as_ref().filter(|_| self.answering);
        hindrance.filter(|hindrance| hindrance.kind == kind)
    }

    /// Whether `other` would lead to the same decisions. Figures that move by themselves do not count: offset, number
    /// of keys beyond zero, uptime, time since last heard, time of reading.
    pub fn same_matter(&self, other: &Self) -> bool {
        // Taken apart without `..`, here and below, so that nobody can forget a new field.
        let Self {
            order: _,
            facts,
            at: _,
            vote,
            probed,
            answering,
            answering_since: _,
            last_alive: _,
            refused,
            probe_sent: _,
            process,
            unproven,
            outdated,
            owes_since: _,
            trouble,
            hindrance,
            login_refused,
            min_replicas,
            commandable: _,
            addresses,
            upstream_addresses,
        } = self;
        let same_facts = match (facts, &other.facts) {
            (Some(one), Some(other)) => one.same_matter(other),
            (None, None) => true,
            _ => false,
        };
        same_facts
            && *vote == other.vote
            && *probed == other.probed
            && *answering == other.answering
            && *refused == other.refused
            && *process == other.process
            && *unproven == other.unproven
            && *outdated == other.outdated
            && *trouble == other.trouble
            && *hindrance == other.hindrance
            && *login_refused == other.login_refused
            && *min_replicas == other.min_replicas
            && self.not_commandable() == other.not_commandable()
            && *addresses == other.addresses
            && *upstream_addresses == other.upstream_addresses
    }
}
