//! The words of holds that end by time alone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::super::Hold;
use super::advice;
use crate::domain::listed::listed;
use crate::domain::node::{KeeperId, Moment, NodeAddr};

impl Hold {
    pub(super) fn cooling_down(&self, f: &mut fmt::Formatter<'_>, now: Moment) -> fmt::Result {
        let Self::CoolingDown {
            node,
            replaced,
            generation,
            until,
            cooldown,
        } = self
        else {
            return Ok(());
        };
        let left = until.since(now);
        let ago = cooldown.saturating_sub(left);
        let [left, ago, cooldown] = [left, ago, *cooldown].map(|it| it.as_secs_f64());
        write!(
            f,
            "{node} is not replaced for another {left:.1} s, should it be down (failover-cooldown-seconds {cooldown}): \
             it became the primary {ago:.1} s ago, in generation {generation}"
        )?;
        replaced
            .as_ref()
            .map_or(Ok(()), |old| write!(f, ", in place of {old}"))
    }
}

pub(super) fn silent_keepers(
    f: &mut fmt::Formatter<'_>,
    until: &BTreeMap<KeeperId, Moment>,
    withdrawn: bool,
    now: Moment,
) -> fmt::Result {
    let (waits, nobody) = if withdrawn {
        ("waiting", "has acknowledged the withdrawal")
    } else {
        ("a failover now would wait", "is online")
    };
    let keepers = until.iter().map(|(keeper, until)| {
        let left = until.since(now).as_secs_f64();
        format!("{keeper} for another {left:.1} s")
    });
    write!(
        f,
        "{waits} for {}: it is silent, may go on without ZooKeeper for so long (failsafe-max-seconds), and asks no \
         keeper that {nobody}; {TAKE_OFF}",
        listed(keepers),
        TAKE_OFF = advice::TAKE_OFF
    )
}

pub(super) fn draining(node: &NodeAddr, left: Duration, drain: Duration) -> String {
    let [left, drain] = [left, drain].map(|it| it.as_secs_f64());
    format!(
        "{node} may still have clients that write: waiting for another {left:.1} s (drain-seconds {drain})"
    )
}
