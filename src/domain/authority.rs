//! The leadership as one keeper knows it. Only the leader acts, so the plan of another keeper is an opinion.

use std::fmt;
use std::time::Duration;

use super::explain::Explanation;
use super::node::{Epoch, KeeperId};

/// The leadership as one keeper knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// This keeper leads, with this epoch.
    Leads(Epoch),
    /// Another keeper leads.
    Follows {
        /// The leader's id.
        leader: KeeperId,
        /// Where the leader's HTTP interface listens (`host:port`), if known.
        rest: Option<String>,
    },
    /// No keeper leads, or none yet.
    Nobody(Vacancy),
    /// ZooKeeper does not answer this keeper.
    Away(Absence),
}

/// Why no keeper leads although ZooKeeper answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vacancy {
    /// This keeper has not read everything yet.
    Reading,
    /// This keeper is first in the latch, and has not begun to lead.
    Beginning,
    /// The latch is empty.
    Empty,
    /// This keeper has ended its session for good.
    Ended,
    /// The session actor of this keeper did not answer the question.
    Unheard,
}

/// ZooKeeper does not answer this keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// The coordination that this keeper does not reach, in words: `zookeeper 10.0.0.1:2181,…/prefix`.
    pub place: String,
    /// The last contact.
    pub contact: LastContact,
    /// All keepers consent to going on without ZooKeeper (RK-8).
    pub failsafe: bool,
    /// The other keepers that were online then, each with its address.
    pub others: Vec<(KeeperId, String)>,
}

/// The last contact of a keeper that ZooKeeper does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastContact {
    /// ZooKeeper confirmed a heartbeat this long ago, and none since.
    Lost(Duration),
    /// ZooKeeper never confirmed a heartbeat of this keeper, which started this long ago.
    Never(Duration),
}

/// The leadership, and why this keeper stopped leading, if it did so recently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoLeads {
    /// The leadership.
    pub authority: Authority,
    /// Why this keeper stopped, and how long ago.
    pub stopped: Option<(&'static str, Duration)>,
}

impl WhoLeads {
    /// The leadership is unknown, because the session actor did not answer.
    pub fn unheard() -> Self {
        Self {
            authority: Authority::Nobody(Vacancy::Unheard),
            stopped: None,
        }
    }

    /// Whether this keeper leads.
    pub fn leads(&self) -> bool {
        matches!(self.authority, Authority::Leads(_))
    }

    /// This keeper's own plan in words. Another leader is named before it; without any leader the reason stands in
    /// its place.
    pub fn plan(&self, plan: &str) -> String {
        match &self.authority {
            Authority::Leads(_) => plan.to_owned(),
            Authority::Follows { .. } => format!("{self}. As this keeper sees it: {plan}"),
            Authority::Nobody(_) | Authority::Away(_) => format!("none: {self}"),
        }
    }

    /// This keeper's own explanation, marked as its opinion unless this keeper leads. `unasked` says why the leader's
    /// explanation is missing.
    #[must_use]
    pub fn explanation(&self, own: Explanation, unasked: Option<&str>) -> Explanation {
        match &self.authority {
            Authority::Leads(_) => own,
            Authority::Follows { .. } => {
                let why = unasked.map_or(String::new(), |why| format!(" (it was asked: {why})"));
                Explanation {
                    sentence: format!("{self}{why}. As this keeper sees it: {}", own.sentence),
                    now: self.plan(&own.now),
                    ..own
                }
            }
            Authority::Nobody(_) | Authority::Away(_) => {
                let now = self.plan(&own.now);
                Explanation {
                    now,
                    ..own.held_back(self.to_string())
                }
            }
        }
    }
}

impl fmt::Display for WhoLeads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authority, stopped } = self;
        authority.fmt(f)?;
        match (authority, stopped) {
            (Authority::Leads(_), _) | (_, None) => Ok(()),
            (_, Some((why, ago))) => write!(
                f,
                "; this keeper stopped leading {:.1} s ago: {why}",
                ago.as_secs_f64()
            ),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leads(epoch) => write!(f, "this keeper leads, with epoch {epoch}"),
            Self::Follows {
                leader,
                rest: Some(rest),
            } => write!(f, "{leader} leads: ask it at http://{rest}"),
            Self::Follows { leader, rest: None } => {
                write!(f, "{leader} leads, and its address is not known yet")
            }
            Self::Nobody(vacancy) => vacancy.fmt(f),
            Self::Away(absence) => absence.fmt(f),
        }
    }
}

impl fmt::Display for Vacancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => {
                "no keeper leads, as far as this one knows: it is still reading what ZooKeeper has"
            }
            Self::Beginning => "no keeper leads yet: this one is the next, and is about to begin",
            Self::Empty => "no keeper leads: none has taken the lead yet",
            Self::Unheard => "not known who leads: this keeper's own session did not answer",
            Self::Ended => {
                "no keeper leads, as far as this one knows: it has left ZooKeeper, and is ending"
            }
        })
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            contact,
            failsafe,
            others,
        } = self;
        match contact {
            LastContact::Lost(since) => write!(
                f,
                "no keeper leads: ZooKeeper has been away for {:.1} s, as this keeper sees it ({place})",
                since.as_secs_f64()
            )?,
            LastContact::Never(running) => write!(
                f,
                "no keeper leads: ZooKeeper is away: this keeper started {:.1} s ago and has never reached it ({place})",
                running.as_secs_f64()
            )?,
        }
        f.write_str(if *failsafe {
            ". Failsafe: all keepers consent, so the published primary stays writable. Nobody fails over, switches over or \
             repoints a replica before ZooKeeper is back"
        } else {
            ". Nobody fails over or switches over without ZooKeeper; a keeper that reaches it may lead"
        })?;
        let mut others = others.iter();
        if let Some((keeper, rest)) = others.next() {
            write!(f, ": ask {keeper} at http://{rest}")?;
            for (keeper, rest) in others {
                write!(f, ", {keeper} at http://{rest}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::domain::node::NodeAddr;

    const LOST: LastContact = LastContact::Lost(Duration::from_secs(12));
    const NEVER: LastContact = LastContact::Never(Duration::from_secs(90));

    fn by(authority: Authority) -> WhoLeads {
        WhoLeads {
            authority,
            stopped: None,
        }
    }

    fn away(contact: LastContact, failsafe: bool) -> WhoLeads {
        by(Authority::Away(Absence {
            place: "ZooKeeper at 10.0.0.9:2181".to_owned(),
            contact,
            failsafe,
            others: vec![(KeeperId::new("keeper-2"), "10.0.0.12:46379".to_owned())],
        }))
    }

    fn follows() -> WhoLeads {
        by(Authority::Follows {
            leader: KeeperId::new("keeper-2"),
            rest: Some("10.0.0.12:46379".to_owned()),
        })
    }

    fn b_would() -> Explanation {
        Explanation {
            primary: Some(NodeAddr::new("a", 1)),
            sentence: "b:1 would take over".to_owned(),
            not_considered: BTreeSet::new(),
            next: Some(NodeAddr::new("b", 1)),
            ranking: Vec::new(),
            refused: BTreeMap::new(),
            left_behind: BTreeMap::new(),
            troubles: BTreeMap::new(),
            held_by: Vec::new(),
            now: "nothing to do".to_owned(),
        }
    }

    #[test]
    fn a_leader_tells_its_own_plan_and_nothing_else() {
        let leads = by(Authority::Leads(Epoch(7)));
        assert_eq!(leads.plan("nothing to do"), "nothing to do");
        assert_eq!(leads.explanation(b_would(), None), b_would());
    }

    #[test]
    fn without_zookeeper_there_is_no_plan_and_nobody_would_take_over_for_that_reason_first() {
        for who_leads in [away(LOST, false), away(NEVER, false), away(LOST, true)] {
            let told = who_leads.explanation(b_would(), None);
            assert!(
                told.held_by[0].starts_with("no keeper leads: ZooKeeper "),
                "{told:?}"
            );
            assert!(
                told.sentence.starts_with(
                    "b:1 would be the one to take over, but it is held back: no keeper leads"
                ),
                "{told:?}"
            );
            assert!(told.now.starts_with("none: no keeper leads"), "{told:?}");
            assert!(!who_leads.plan("nothing to do").contains("nothing to do"));
            assert!(told.now.contains("ask keeper-2 at http://10.0.0.12:46379"));
        }
        assert!(away(NEVER, false).to_string().contains("never reached it"));
        assert!(
            away(LOST, true)
                .to_string()
                .contains("the published primary stays writable. Nobody fails over")
        );
    }

    #[test]
    fn a_keeper_that_does_not_lead_says_who_does_and_labels_what_it_sees_itself() {
        let told = follows().explanation(b_would(), Some("no answer within 1s"));
        assert_eq!(
            told.sentence,
            "keeper-2 leads: ask it at http://10.0.0.12:46379 (it was asked: no answer within 1s). As this keeper sees it: \
             b:1 would take over"
        );
        assert_eq!(
            told.now,
            "keeper-2 leads: ask it at http://10.0.0.12:46379. As this keeper sees it: nothing to do"
        );
    }

    #[test]
    fn a_keeper_that_stopped_leading_says_why() {
        let stopped = WhoLeads {
            stopped: Some(("another keeper sees more", Duration::from_secs(2))),
            ..by(Authority::Nobody(Vacancy::Empty))
        };
        assert_eq!(
            stopped.plan("promote b:1"),
            "none: no keeper leads: none has taken the lead yet; this keeper stopped leading 2.0 s ago: another keeper sees more"
        );
    }
}
