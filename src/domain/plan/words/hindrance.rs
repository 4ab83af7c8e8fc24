//! The words of holds for servers that live and do not serve, or would not serve as the primary.

use std::fmt;

use super::super::Hold;
use super::super::hindrance::HindranceAction;
use crate::domain::hindrance::HindranceKind;
use crate::domain::node::Moment;

impl Hold {
    /// A server answers with errors instead of serving.
    pub(super) fn hindered(&self, f: &mut fmt::Formatter<'_>, now: Moment) -> fmt::Result {
        let Self::Hindered {
            node,
            kind,
            said,
            then,
        } = self
        else {
            return Ok(());
        };
        match (kind, then) {
            (HindranceKind::Busy, _) => write!(
                f,
                "{node} is busy with a script and serves nobody ({said}): SCRIPT KILL or FUNCTION KILL ends it. If it \
                 has written, only SHUTDOWN NOSAVE ends it, with the process"
            )?,
            (HindranceKind::Misconf, HindranceAction::Nothing) => write!(
                f,
                "{node} cannot write its disk ({said}): as the primary it would refuse every write. Free its disk, then \
                 BGSAVE"
            )?,
            (HindranceKind::Misconf, _) => write!(
                f,
                "{node} refuses every write, for it cannot write its disk ({said}): it lives, and is not voted down. Free \
                 its disk, then BGSAVE"
            )?,
        }
        match then {
            HindranceAction::Nothing => Ok(()),
            HindranceAction::Switchover(to, until) => write!(
                f,
                "; a switchover to {to} is begun in {:.1} s if that lasts",
                until.since(now).as_secs_f64()
            ),
            HindranceAction::NoSwitchover(why) => {
                write!(f, "; no switchover to another node: {why}")
            }
            HindranceAction::Replaced(Some(span)) => write!(
                f,
                "; it is replaced once that has lasted for busy-seconds {}",
                span.as_secs_f64()
            ),
            HindranceAction::Replaced(None) => {
                f.write_str("; it is not replaced for that: busy-seconds is not set")
            }
        }
    }

    /// A primary, or its successor, has too few replicas for the operator's own `min-replicas-to-write`.
    pub(super) fn of_min_replicas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefusesForReplicas {
                node,
                to_write,
                in_touch,
            } => write!(
                f,
                "{node} refuses every write (NOREPLICAS): its min-replicas-to-write is {to_write}, and {in_touch} replicas \
                 are in touch with it. Bring one back, or lower the setting"
            ),
            Self::WouldRefuseForReplicas {
                primary,
                node,
                to_write,
                replicas,
            } => write!(
                f,
                "if {primary} died, {node} would have {replicas} replicas and its min-replicas-to-write is {to_write}: it \
                 would refuse every write. Lower the setting, or add a replica"
            ),
            _ => Ok(()),
        }
    }
}
