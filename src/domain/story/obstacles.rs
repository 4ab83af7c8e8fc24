//! Nodes that this keeper cannot command, grouped by the obstacle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::super::node::{Moment, NodeAddr};
use super::super::observation::NodeObservation;
use super::super::observed::Observed;

/// How long an obstacle lasts before it is logged. Meanwhile it may show at other nodes, too.
const SETTLES: Duration = Duration::from_secs(2);

/// The reason why nodes cannot be commanded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    /// The node refuses this keeper's password, or asks for one.
    Password,
    /// Any other reason, in its own words.
    Other(String),
}

/// The same obstacle at one node or several, to be displayed in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstructed {
    obstacle: Obstacle,
    /// The nodes with this obstacle.
    nodes: BTreeSet<NodeAddr>,
    /// The answer of one of these nodes.
    answer: String,
    /// Whether these are all nodes of the cluster: no failover is possible then.
    pub all: bool,
}

/// The state behind the logged obstacles.
#[derive(Debug, Default)]
pub struct Obstacles {
    told: Vec<Obstructed>,
    /// The obstacles seen now. `since` is when they were first seen so.
    seen: Vec<Obstructed>,
    since: Moment,
    again: Option<Moment>,
}

/// A change of the obstacles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The keeper cannot command these nodes.
    Obstructed(Obstructed),
    /// The keeper can command all nodes again.
    Clear,
}

impl Obstacles {
    /// When to look again even if nothing happens meanwhile.
    pub fn again(&self) -> Option<Moment> {
        self.again
    }

    /// The changes since the last look.
    pub fn look(&mut self, observed: &Observed, now: Moment) -> Vec<News> {
        let seen = seen(observed);
        if !same(&seen, &self.seen) {
            self.since = now;
        }
        self.seen = seen;
        let due = self.since.after(SETTLES);
        let is_news = !same(&self.seen, &self.told);
        self.again = Some(due).filter(|due| is_news && now < *due);
        if !is_news || now < due {
            return Vec::new();
        }
        let told = std::mem::replace(&mut self.told, self.seen.clone());
        if self.seen.is_empty() {
            return vec![News::Clear];
        }
        let known = |it: &&Obstructed| told.iter().any(|told| told.same_as(it));
        let news = self.seen.iter().filter(|it| !known(it));
        news.cloned().map(News::Obstructed).collect()
    }
}

impl Obstructed {
    /// Whether both are the same obstacle at the same nodes, even if the answers differ.
    fn same_as(&self, other: &Self) -> bool {
        (&self.obstacle, &self.nodes) == (&other.obstacle, &other.nodes)
    }
}

fn same(one: &[Obstructed], other: &[Obstructed]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(one, other)| one.same_as(other))
}

fn seen(observed: &Observed) -> Vec<Obstructed> {
    let mut found = BTreeMap::<Obstacle, (BTreeSet<NodeAddr>, String)>::new();
    for (addr, node) in &observed.nodes {
        if let Some((obstacle, answer)) = obstacle(&node.observation) {
            let entry = found.entry(obstacle).or_insert_with(|| ([].into(), answer));
            entry.0.insert(addr.clone());
        }
    }
    let count = observed.nodes.len();
    let found = found.into_iter();
    found
        .map(|(obstacle, (nodes, answer))| Obstructed {
            all: nodes.len() == count,
            obstacle,
            nodes,
            answer,
        })
        .collect()
}

fn obstacle(observation: &NodeObservation) -> Option<(Obstacle, String)> {
    if let Some(why) = &observation.login_refused {
        return Some((Obstacle::Password, why.clone()));
    }
    if let Some(why) = observation.not_commandable() {
        let obstacle = if is_of_password(why) {
            Obstacle::Password
        } else {
            Obstacle::Other(why.to_owned())
        };
        return Some((obstacle, why.to_owned()));
    }
    let answer = observation
        .trouble
        .as_ref()
        .filter(|_| observation.answering)?;
    is_of_password(answer).then(|| (Obstacle::Password, answer.clone()))
}

/// Whether the answer is about a password: by the error codes of servers from 6.0 on, or the words of older servers.
fn is_of_password(answer: &str) -> bool {
    ["NOAUTH", "WRONGPASS", "invalid password"]
        .iter()
        .any(|code| answer.contains(code))
}

impl fmt::Display for Obstructed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes.iter().map(ToString::to_string).collect();
        let which = match (self.all, nodes.len()) {
            (true, 1) => "the only node".to_owned(),
            (true, count) => format!("all {count} nodes"),
            (false, _) => nodes.join(", "),
        };
        match &self.obstacle {
            Obstacle::Password => write!(
                f,
                "the password is refused by {which} ({}): correct redis.username or redis.password, or the nodes' user",
                self.answer
            ),
            Obstacle::Other(why) => {
                write!(f, "commands would not be carried out by {which}: {why}")
            }
        }
    }
}
