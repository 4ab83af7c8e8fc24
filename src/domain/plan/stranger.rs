//! Another process answers at the published address, and cannot show that its data are the cluster's (RK-7). The
//! process is a server of another deployment, or the old server, started again without its history.
//!
//! The offset of this process says nothing.
//! - The process is replaced if another node holds the cluster's newest data and may take over.
//! - The process is accepted if no such node exists. After a power cut, servers with append-only files share no
//!   history with anything.

use super::super::election::Ineligibility;
use super::super::facts::NodeFacts;
use super::super::lineage::{held, promotions_back};
use super::super::node::NodeAddr;
use super::super::published::Published;
use super::{Hold, Plan, Situation, StateChange, publishing};

/// The decision about the process at the address of `primary`.
pub(super) enum Stranger {
    /// The process is replaced: this node holds the cluster's newest data, and may take over.
    Fails(NodeAddr),
    /// The process is accepted, or the decision is still open.
    Stays(Box<Plan>),
}

pub(super) fn judge(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
) -> Stranger {
    let observed = situation.observed;
    let lineage = &published.lineage;
    let election = situation.elect(lineage, Some(primary));
    // Data up to the primary's last offset that was read count as the newest: perhaps no other node had its newest
    // history yet.
    let whole = |facts: &NodeFacts| {
        let read = observed.last_read();
        held(facts, lineage).is_some_and(|(_, extent)| read.is_some_and(|read| extent >= read))
    };
    let newest = |addr: &&NodeAddr| {
        let facts = observed.online(addr);
        facts.is_some_and(|facts| promotions_back(facts, lineage) == Some(0) || whole(facts))
    };
    if let Some(heir) = election.ranking.iter().find(newest) {
        return Stranger::Fails(heir.clone());
    }
    // A node that does not answer at the moment, or has just failed a command, may hold the newest data.
    let passes = |it: &Ineligibility| it.may_pass() || matches!(it, Ineligibility::FailedLately(_));
    let waits = election.refusals.values().any(passes);
    let mut plan = if waits {
        let node = primary.clone();
        Plan::hold(Hold::Stranger { node })
    } else {
        Plan::write(
            StateChange::Accept,
            publishing(situation, published, primary),
        )
    };
    plan.holds.push(Hold::NoneEligible {
        replaced: Some(primary.clone()),
        refusals: election.refusals,
    });
    Stranger::Stays(Box::new(plan))
}
