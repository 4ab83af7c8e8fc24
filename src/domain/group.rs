//! Groups of keepers (RK-12): the keepers of one ZooKeeper prefix are a group. Two groups at the same servers undo
//! each other's changes, so each group has to know the other.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::str::FromStr;

use super::node::{ClusterName, KeeperId, NodeAddr};

/// The random name of a group of keepers, made once below its prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupToken(String);

/// How many bytes a token may have.
const LONGEST_TOKEN: usize = 64;

/// How many bytes the name of a connection may have.
const LONGEST_NAME: usize = 512;

/// The beginning of a probe connection's name. No epoch looks like this, so no fence takes the connection for one of
/// commands.
const PREFIX: &str = "keeper-probe/";

/// The name that a keeper gives its probe connections: `keeper-probe/<group>/<keeper id>/<rest address>`.
///
/// Any client can take any name. So a name is a reason to ask that keeper, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeName {
    /// The group of the keeper.
    pub group: GroupToken,
    /// The keeper.
    pub keeper: KeeperId,
    /// The address of the keeper's HTTP interface (`rest-advertise`).
    pub rest: NodeAddr,
}

/// A keeper's answer about itself and its group, to a keeper of another group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAnswer {
    /// The group of the keeper.
    pub group: GroupToken,
    /// The keeper.
    pub keeper: KeeperId,
    /// The coordination of the group in words: ZooKeeper, with the prefix.
    pub place: String,
    /// The clusters that the group manages.
    pub clusters: Vec<GroupCluster>,
}

/// A cluster, as a group manages it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCluster {
    /// The group's name for the cluster.
    pub name: ClusterName,
    /// The nodes of the cluster, each with the addresses of its host, as that group resolves it.
    pub nodes: Vec<(NodeAddr, BTreeSet<IpAddr>)>,
    /// The primary that the group publishes.
    pub primary: Option<NodeAddr>,
    /// An operator told the group to leave the cluster alone.
    pub paused: bool,
}

/// Another group that manages a cluster of this one, by its last answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherGroup {
    /// The token of the group.
    pub group: GroupToken,
    /// The keeper that answered.
    pub keeper: KeeperId,
    /// The address of that keeper's HTTP interface.
    pub rest: NodeAddr,
    /// The coordination of the group in words.
    pub place: String,
    /// The group's name for the cluster.
    pub cluster: ClusterName,
    /// The primary that the group publishes. If the primary is a node of this cluster, its name here.
    pub primary: Option<NodeAddr>,
}

// === impl GroupToken ===

impl GroupToken {
    /// A token from random bits.
    pub fn drawn(chance: u64) -> Self {
        Self(format!("{chance:016x}"))
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupToken {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let admitted = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let valid = (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(admitted);
        valid.then(|| Self(text.to_owned())).ok_or(())
    }
}

impl fmt::Display for GroupToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ProbeName ===

/// Whether a byte may stand in a connection's name as it is. Redis admits neither spaces nor non-ASCII characters.
fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-@:+".contains(&byte)
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut name, byte| {
        if plain(byte) {
            name.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "%{byte:02x}");
        }
        name
    })
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        (*first == b'%' || plain(*first)).then_some(())?;
        rest = after;
        bytes.push(if *first == b'%' {
            let digits = rest.get(..2)?;
            rest = &rest[2..];
            u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
        } else {
            *first
        });
    }
    String::from_utf8(bytes).ok().filter(|it| !it.is_empty())
}

impl fmt::Display for ProbeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keeper = escaped(self.keeper.as_str());
        write!(f, "{PREFIX}{}/{keeper}/{}", self.group, self.rest)
    }
}

impl FromStr for ProbeName {
    type Err = ();

    /// Strict: text that a keeper would not write is no keeper's name.
    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix(PREFIX).ok_or(())?;
        let parts: Vec<_> = rest.split('/').collect();
        let [group, keeper, rest] = parts[..] else {
            return Err(());
        };
        let rest: NodeAddr = rest.parse().map_err(|_| ())?;
        let host = rest.host();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        if text.len() > LONGEST_NAME || !host.bytes().all(plain) {
            return Err(());
        }
        if host.contains(':') && host.parse::<IpAddr>().is_err() {
            return Err(());
        }
        Ok(Self {
            group: group.parse()?,
            keeper: KeeperId::new(unescaped(keeper).ok_or(())?),
            rest,
        })
    }
}

// === impl GroupAnswer ===

impl GroupAnswer {
    /// Whether the keeper with this name gave this answer.
    pub fn is_of(&self, name: &ProbeName) -> bool {
        self.group == name.group && self.keeper == name.keeper
    }
}

// === impl GroupCluster ===

impl GroupCluster {
    /// The node of the cluster that listens at one of these addresses, and at this port.
    fn at<'a>(&'a self, node: &NodeAddr, addresses: &BTreeSet<IpAddr>) -> Option<&'a NodeAddr> {
        let here = hosts(node, addresses);
        let same = |(addr, resolved): &&(NodeAddr, BTreeSet<IpAddr>)| {
            addr.port() == node.port() && !hosts(addr, resolved).is_disjoint(&here)
        };
        self.nodes.iter().find(same).map(|(addr, _)| addr)
    }

    /// Whether the cluster has this node, by resolved address and port.
    pub fn has(&self, node: &NodeAddr, addresses: &BTreeSet<IpAddr>) -> bool {
        self.at(node, addresses).is_some()
    }

    /// The same for a node whose host name was not resolved here.
    pub fn names(&self, node: &NodeAddr) -> bool {
        self.nodes.iter().any(|(addr, _)| addr == node) || self.has(node, &BTreeSet::new())
    }

    /// The published primary of the cluster, by its name among `nodes` if it is one of them.
    pub fn primary_among<'a>(
        &self,
        nodes: impl Iterator<Item = (&'a NodeAddr, &'a BTreeSet<IpAddr>)>,
    ) -> Option<NodeAddr> {
        let primary = self.primary.as_ref()?;
        let mut nodes = nodes.filter(|(addr, addresses)| self.at(addr, addresses) == Some(primary));
        let ours = nodes.next().map(|(addr, _)| addr);
        Some(ours.unwrap_or(primary).clone())
    }
}

/// The addresses of a node's host: those that it resolved to, and itself if it is an address.
fn hosts(node: &NodeAddr, resolved: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    let literal = node.host().parse().ok();
    resolved.iter().copied().chain(literal).collect()
}

impl fmt::Display for OtherGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            keeper,
            rest,
            place,
            cluster,
            primary,
        } = self;
        let primary = primary
            .as_ref()
            .map_or_else(|| "none".to_owned(), ToString::to_string);
        write!(
            f,
            "keeper {keeper} at {rest} of group {group} ({place}), which calls it {cluster} and publishes {primary}"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(keeper: &str, rest: &str) -> ProbeName {
        ProbeName {
            group: GroupToken::drawn(7),
            keeper: KeeperId::new(keeper),
            rest: rest.parse().unwrap(),
        }
    }

    proptest! {
        #[test]
        fn a_name_reads_back_and_is_what_redis_admits(keeper in "[ -~äß]{1,20}") {
            for rest in ["keeper-1.example:46379", "[::1]:4379", "10.0.0.1:1"] {
                let name = name(&keeper, rest);
                let text = name.to_string();
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
                prop_assert_eq!(text.parse(), Ok(name));
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "(keeper-probe/)?[ -~/%:]{0,60}") {
            let _ = text.parse::<ProbeName>();
        }
    }

    #[test]
    fn a_name_that_no_keeper_would_take_is_none() {
        for text in [
            "",
            "keeper-7",
            "keeper-probe/",
            "keeper-probe/a/b",
            "keeper-probe/a/b/c",
            "keeper-probe/a/b/c:1/d",
            "keeper-probe//b/c:1",
            "keeper-probe/a//c:1",
            "keeper-probe/a/b/c:0",
            "keeper-probe/a/b/user@evil:80",
            "keeper-probe/a/b/c?x=:80",
            "keeper-probe/a/b/[c]:80:80",
            "keeper-probe/a/b%/c:1",
            "keeper-probe/a b/c/d:1",
        ] {
            assert_eq!(text.parse::<ProbeName>(), Err(()), "{text}");
        }
        let long = format!("keeper-probe/a/{}/c:1", "b".repeat(LONGEST_NAME));
        assert_eq!(long.parse::<ProbeName>(), Err(()));
    }

    #[test]
    fn clusters_are_compared_by_resolved_address_and_port_and_not_by_name() {
        let ip = |text: &str| BTreeSet::from([text.parse::<IpAddr>().unwrap()]);
        let theirs = GroupCluster {
            name: ClusterName::new("theirs"),
            nodes: vec![
                (NodeAddr::new("10.0.0.1", 6379), BTreeSet::new()),
                (NodeAddr::new("redis-2", 6379), ip("10.0.0.2")),
            ],
            primary: Some(NodeAddr::new("redis-2", 6379)),
            paused: false,
        };
        let first = (NodeAddr::new("a", 6379), ip("10.0.0.1"));
        let second = (NodeAddr::new("b", 6379), ip("10.0.0.2"));
        assert!(theirs.has(&first.0, &first.1));
        assert!(!theirs.has(&NodeAddr::new("a", 6380), &first.1));
        assert!(!theirs.has(&NodeAddr::new("redis-2", 6379), &ip("10.0.0.9")));
        let nodes = [first, second.clone()];
        let nodes = || nodes.iter().map(|(addr, ips)| (addr, ips));
        assert_eq!(theirs.primary_among(nodes()), Some(second.0));
        assert_eq!(theirs.primary_among(nodes().take(1)), theirs.primary);
    }
}
