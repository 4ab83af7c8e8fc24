//! Changes of primary from outside, and when they are too many (RK-12): another manager is at work.

use std::collections::BTreeMap;

use super::facts::NodeFacts;
use super::node::{Moment, NodeAddr};
use super::published::Published;
use super::timing::managers::BREAKER_WITHIN;

/// How many changes from outside trip the breaker.
pub const TOO_MANY: usize = 3;

/// The changes of role that the leader saw and had not commanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsideChanges {
    /// The last role of each process: its run id, and whether it is a primary.
    roles: BTreeMap<NodeAddr, (String, bool)>,
    /// When a replica had become a primary that was neither published nor chosen.
    promotions: Vec<Moment>,
    /// When the published primary had become a replica.
    demotions: Vec<Moment>,
}

impl OutsideChanges {
    /// Records a node's role. Only a leader (`leads`) knows which changes were commanded, so only a leader counts.
    /// Returns whether the role was changed from outside.
    pub fn seen(
        &mut self,
        node: &NodeAddr,
        facts: &NodeFacts,
        published: Option<&Published>,
        leads: bool,
        at: Moment,
    ) -> bool {
        let role = (facts.run_id.clone(), facts.is_primary());
        let before = self.roles.insert(node.clone(), role.clone());
        let turned = before.is_some_and(|before| before.0 == role.0 && before.1 != role.1);
        let (Some(published), true) = (published, turned && leads) else {
            return false;
        };
        let ours = published.primary.as_ref() == Some(node);
        let chosen = published
            .intent
            .as_ref()
            .and_then(|it| it.candidate.as_ref());
        let changes = match role.1 {
            true if !ours && chosen != Some(node) => &mut self.promotions,
            false if ours => &mut self.demotions,
            _ => return false,
        };
        changes.retain(|change| at.since(*change) < BREAKER_WITHIN);
        changes.push(at);
        true
    }

    /// How many changes of primary there were within the last minute. One change shows as a promotion, a demotion, or
    /// both.
    pub fn lately(&self, now: Moment) -> usize {
        let lately = |changes: &[Moment]| {
            let recent = changes.iter().filter(|at| now.since(**at) < BREAKER_WITHIN);
            recent.count()
        };
        lately(&self.promotions).max(lately(&self.demotions))
    }

    /// When the last change was seen.
    pub fn last(&self) -> Option<Moment> {
        self.promotions.iter().chain(&self.demotions).max().copied()
    }

    /// Forgets all changes: another leadership has begun, or an operator has acknowledged them.
    pub fn forget(&mut self) {
        self.promotions.clear();
        self.demotions.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::plan::tests::builder::{addr, cluster};
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(1_000 + seconds))
    }

    /// The facts of `name`, as a primary or as a replica.
    fn facts(name: &str, primary: bool) -> NodeFacts {
        let cluster = if primary {
            cluster().primary(name)
        } else {
            cluster().replica(name, "other")
        };
        let node = &cluster.observed.nodes[&addr(name)];
        node.observation.facts.clone().expect("added with facts")
    }

    fn published(primary: Option<&str>) -> Published {
        Published {
            primary: primary.map(addr),
            ..Published::default()
        }
    }

    #[test]
    fn a_change_from_outside_is_counted_once_whether_seen_at_the_old_primary_or_the_new() {
        let (mut changes, state) = (OutsideChanges::default(), published(Some("a")));
        let mut see = |name, primary, second| {
            let seen = facts(name, primary);
            changes.seen(&addr(name), &seen, Some(&state), true, at(second))
        };
        assert!(!see("a", true, 0) && !see("b", false, 0));
        assert!(see("b", true, 1) && see("a", false, 1));
        assert!(!see("b", true, 2) && !see("a", false, 2));
        assert_eq!((changes.lately(at(2)), changes.last()), (1, Some(at(1))));
        assert_eq!(changes.lately(at(61)), 0);
    }

    #[test]
    fn what_this_group_commands_is_no_change_from_outside() {
        use super::super::published::{Intent, Step};
        let mut changes = OutsideChanges::default();
        let intent = Intent {
            old: Some(addr("a")),
            candidate: Some(addr("b")),
            step: Step::Promoting,
            ..Intent::begun()
        };
        let choosing = Published {
            intent: Some(intent),
            ..published(None)
        };
        let story = [
            ("a", true, published(Some("a"))),
            ("b", false, published(Some("a"))),
            ("b", true, choosing),
            ("a", false, published(Some("b"))),
        ];
        for (name, primary, state) in story {
            let seen = facts(name, primary);
            assert!(!changes.seen(&addr(name), &seen, Some(&state), true, at(1)));
        }
    }

    #[test]
    fn a_process_that_was_restarted_and_a_keeper_that_does_not_lead_tell_nothing() {
        let (mut changes, state) = (OutsideChanges::default(), published(Some("a")));
        let mut see =
            |seen: &NodeFacts, leads| changes.seen(&addr("b"), seen, Some(&state), leads, at(1));
        see(&facts("b", false), true);
        let mut reborn = facts("b", true);
        reborn.run_id = "another process".to_owned();
        assert!(!see(&reborn, true));
        reborn.role = facts("b", false).role;
        assert!(!see(&reborn, false));
        changes.promotions = vec![at(1); 3];
        changes.forget();
        assert_eq!(changes.lately(at(1)), 0);
    }
}
