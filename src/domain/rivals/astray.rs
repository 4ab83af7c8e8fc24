//! Names of other groups' keepers that lead to another process, or nowhere.

use std::collections::BTreeSet;
use std::fmt;

use super::super::group::{GroupAnswer, GroupToken, ProbeName};
use super::super::node::{KeeperId, NodeAddr};

/// A name that was met at servers, and that leads elsewhere or nowhere. The name holds nothing, since any client can
/// take a name. Keepers report it, since the group behind it and this one do not know of each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Astray {
    /// The result of asking at the address in the name.
    pub leads_to: LeadsTo,
    /// The name.
    pub name: ProbeName,
    /// The nodes that have a connection with it.
    pub nodes: BTreeSet<NodeAddr>,
}

/// The process at the address in a name, if it is not the keeper with that name. Proven cases come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeadsTo {
    /// The asker itself.
    Myself,
    /// Another keeper of its group.
    OwnGroup(KeeperId),
    /// A keeper of a third group, or another keeper of the group in the name.
    Another(KeeperId, GroupToken),
    /// No process, or none that answers as a keeper does: why.
    Nobody(String),
}

impl LeadsTo {
    /// Classifies an `answer` to keeper `me` of group `own` that is not from the keeper with that name.
    pub fn of(answer: &GroupAnswer, own: Option<&GroupToken>, me: Option<&KeeperId>) -> Self {
        let keeper = answer.keeper.clone();
        if own != Some(&answer.group) {
            return Self::Another(keeper, answer.group.clone());
        }
        if me == Some(&keeper) {
            return Self::Myself;
        }
        Self::OwnGroup(keeper)
    }
}

impl fmt::Display for LeadsTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Myself => f.write_str("this keeper itself answers there"),
            Self::OwnGroup(keeper) => write!(f, "keeper {keeper} of this group answers there"),
            Self::Another(keeper, group) => {
                write!(f, "keeper {keeper} of group {group} answers there")
            }
            Self::Nobody(why) => write!(f, "nobody answers there: {why}"),
        }
    }
}

impl fmt::Display for Astray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            leads_to,
            name: ProbeName { keeper, rest, .. },
            nodes,
        } = self;
        let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
        write!(
            f,
            "a connection at {} bears the name of keeper {keeper} of another group at {rest}, and {leads_to}. The name holds \
             nothing, and the two groups may undo each other's changes: correct that keeper's rest-advertise, or stop it",
            nodes.join(", ")
        )
    }
}
