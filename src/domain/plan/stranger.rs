//! Another process answers at the published address, and cannot show that its data are the cluster's (RK-7): a server from
//! elsewhere, or the old one, started again without its history.
//!
//! Its offset says nothing. It counts as failed if somebody who holds the cluster's newest data may take over. If nobody
//! does, it is accepted: after a power cut, servers with append-only files have no history in common with anything.

use super::super::election::{Refusal, elect};
use super::super::facts::NodeFacts;
use super::super::lineage::{generation_of, held};
use super::super::node::NodeAddr;
use super::super::published::Published;
use super::{Case, Change, Hold, Plan, publishing};

/// What becomes of the stranger at the address of `primary`.
pub(super) enum Stranger {
    /// It is replaced: this node holds the cluster's newest data and may take over.
    Fails(NodeAddr),
    /// It is accepted, or not judged yet.
    Stays(Box<Plan>),
}

pub(super) fn judge(case: &Case<'_>, published: &Published, primary: &NodeAddr) -> Stranger {
    let observed = case.observed;
    let lineage = &published.lineage;
    let election = elect(observed, case.policy, lineage, Some(primary), case.now);
    // What the primary was last read to have is as good: nobody else may have had its newest history yet.
    let whole = |facts: &NodeFacts| {
        let read = observed.last_read();
        held(facts, lineage).is_some_and(|(_, extent)| read.is_some_and(|read| extent >= read))
    };
    let newest = |addr: &&NodeAddr| {
        let facts = observed.online(addr);
        facts.is_some_and(|facts| generation_of(facts, lineage) == Some(0) || whole(facts))
    };
    if let Some(heir) = election.ranking.iter().find(newest) {
        return Stranger::Fails(heir.clone());
    }
    // One of those that do not answer, or fail what they are told, at the moment may hold them.
    let passes = |it: &Refusal| it.may_pass() || matches!(it, Refusal::FailedLately(_));
    let waits = election.refusals.values().any(passes);
    let mut plan = if waits {
        let node = primary.clone();
        Plan::hold(Hold::Stranger { node })
    } else {
        Plan::write(Change::Accept, publishing(case, published, primary))
    };
    plan.holds.push(Hold::NoneEligible {
        replaced: Some(primary.clone()),
        refusals: election.refusals,
    });
    Stranger::Stays(Box::new(plan))
}
