//! The last failover that a keeper saw: when it was, and whether it is complete.

use super::node::{Generation, Moment, NodeAddr};
use super::published::Published;

/// A change of primary that this keeper saw, and that was no switchover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailover {
    /// The new primary.
    pub primary: NodeAddr,
    /// The primary that was replaced, if one was published before.
    pub replaced: Option<NodeAddr>,
    /// The generation of the publication.
    pub generation: Generation,
    /// When this keeper first saw it published, by its own clock.
    pub at: Moment,
    /// A replica was published as linked to the new primary since: the change is complete.
    pub followed: bool,
}

impl LastFailover {
    /// The last failover, once the published state has turned from `before` into `after`. `known` is the last one
    /// until then. These are no failovers:
    /// - a primary is published again after its own withdrawal;
    /// - a primary was published already when this keeper began to look;
    /// - a switchover.
    pub fn seen(
        known: Option<Self>,
        before: Option<&Published>,
        after: Option<&Published>,
        now: Moment,
    ) -> Option<Self> {
        let Some((after, primary)) = after.and_then(|after| Some((after, after.primary.as_ref()?)))
        else {
            return known;
        };
        let followed = !after.replicas.is_empty();
        if let Some(mut known) = known.filter(|known| known.primary == *primary) {
            known.followed |= followed;
            return Some(known);
        }
        let before = before?;
        if before
            .intent
            .as_ref()
            .is_some_and(|intent| intent.switchover.is_some())
        {
            // A switchover was planned: it says nothing of the next fault.
            return None;
        }
        let replaced = before.primary.as_ref().or_else(|| {
            let intent = before.intent.as_ref()?;
            intent.old.as_ref()
        });
        let changing = before.intent.is_some() || replaced.is_some();
        (changing && replaced != Some(primary)).then(|| Self {
            primary: primary.clone(),
            replaced: replaced.cloned(),
            generation: after.generation,
            at: now,
            followed,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::published::Intent;

    const THEN: Moment = Moment(Duration::from_secs(5));
    const NOW: Moment = Moment(Duration::from_secs(9));

    fn addr(name: &str) -> NodeAddr {
        NodeAddr::new(name, 1)
    }

    fn published(primary: &str, replicas: &[&str]) -> Published {
        Published {
            primary: Some(addr(primary)),
            replicas: replicas.iter().map(|name| addr(name)).collect(),
            generation: Generation(4),
            ..Published::default()
        }
    }

    fn withdrawn(old: Option<&str>) -> Published {
        let intent = Intent {
            old: old.map(addr),
            ..Intent::begun()
        };
        Published {
            intent: Some(intent),
            ..Published::default()
        }
    }

    fn seen(before: Option<&Published>, after: &Published) -> Option<LastFailover> {
        LastFailover::seen(None, before, Some(after), THEN)
    }

    #[test]
    fn a_primary_published_in_place_of_another_is_a_succession_with_or_without_the_step_between() {
        let expected = LastFailover {
            primary: addr("b"),
            replaced: Some(addr("a")),
            generation: Generation(4),
            at: THEN,
            followed: false,
        };
        let after = published("b", &[]);
        for before in [withdrawn(Some("a")), published("a", &["b"])] {
            assert_eq!(seen(Some(&before), &after), Some(expected.clone()));
        }
        let of_nobody = seen(Some(&withdrawn(None)), &after).unwrap();
        assert_eq!(of_nobody.replaced, None);
    }

    #[test]
    fn a_primary_that_was_there_already_was_first_found_or_is_published_again_is_none() {
        let primary = published("a", &["b"]);
        assert_eq!(seen(None, &primary), None);
        assert_eq!(seen(Some(&Published::default()), &primary), None);
        assert_eq!(seen(Some(&published("a", &[])), &primary), None);
        assert_eq!(seen(Some(&withdrawn(Some("a"))), &primary), None);
    }

    #[test]
    fn it_counts_from_the_first_sight_and_is_complete_once_a_replica_has_followed() {
        let begun = seen(Some(&withdrawn(Some("a"))), &published("b", &[]));
        let followed = published("b", &["c"]);
        let known = LastFailover::seen(begun, None, Some(&followed), NOW);
        let lost = LastFailover::seen(known, Some(&followed), Some(&published("b", &[])), NOW);
        let lost = lost.unwrap();
        assert_eq!((lost.at, lost.followed), (THEN, true));
    }

    #[test]
    fn it_is_remembered_through_a_withdrawal_and_gives_way_to_the_next() {
        let known = seen(Some(&withdrawn(Some("a"))), &published("b", &["c"]));
        let away = withdrawn(Some("b"));
        let still = LastFailover::seen(known.clone(), None, Some(&away), NOW);
        assert_eq!(still, known);
        let again = LastFailover::seen(still.clone(), Some(&away), Some(&published("b", &[])), NOW);
        assert_eq!(again, known);
        let next = LastFailover::seen(still, Some(&away), Some(&published("c", &[])), NOW).unwrap();
        let told = (next.primary, next.replaced, next.at, next.followed);
        assert_eq!(told, (addr("c"), Some(addr("b")), NOW, false));
    }
}
