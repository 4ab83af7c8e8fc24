//! What is left undone, told once, and again only if it lasts for longer than is normal.

use std::mem::discriminant;
use std::time::Duration;

use super::super::node::Moment;
use super::super::plan::Hold;

/// How long what is left undone is given to settle before it is told: what is over by then is no news.
const SETTLES: Duration = Duration::from_secs(1);

/// How long a replica takes to link itself to another primary in the ordinary way of things, or a silent node to become a down one.
const PASSES_WITHIN: Duration = Duration::from_secs(10);

/// What changes its words all the time, as a text with a clock in it does, is told ever more rarely, down to once in this time.
const AT_LEAST_EVERY: Duration = Duration::from_mins(1);

/// Of what weight it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It passes by itself in the normal course of things.
    Normal,
    /// An operator should look at it.
    Lasting,
}

/// How the holds of a plan are told.
struct Manner {
    /// How long it stands before it is told.
    settles: Duration,
    weight: Weight,
}

#[derive(Debug)]
struct Entry {
    hold: Hold,
    since: Moment,
    /// When it was told last, and whether in these words.
    told: Option<(Moment, bool)>,
    /// How long it is left alone then, whatever its words.
    rests: Duration,
}

/// What was told of what is left undone.
#[derive(Debug, Default)]
pub struct HoldsTold {
    entries: Vec<Entry>,
    again: Option<Moment>,
}

impl HoldsTold {
    /// When there may be more to tell though nothing happens.
    pub fn again(&self) -> Option<Moment> {
        self.again
    }

    /// What of `held` is to be told now.
    pub fn look(&mut self, held: &[Hold], now: Moment) -> Vec<(Weight, Hold)> {
        let mut before = std::mem::take(&mut self.entries);
        self.again = None;
        let mut news = Vec::new();
        for hold in held {
            let Some(Manner { settles, weight }) = manner(hold) else {
                continue;
            };
            let mut entry = Entry::of(hold, &mut before, now);
            let ready = match entry.told {
                Some((at, _)) => at.after(entry.rests),
                None => entry.since.after(settles),
            };
            if entry.told.is_none_or(|(_, same)| !same) {
                if now < ready {
                    self.again = self.again.into_iter().chain([ready]).min();
                } else {
                    if entry.told.is_some() {
                        entry.rests = AT_LEAST_EVERY.min(entry.rests * 2);
                    }
                    entry.told = Some((now, true));
                    news.push((weight, hold.clone()));
                }
            }
            self.entries.push(entry);
        }
        news
    }
}

impl Entry {
    /// The same hold as before, or one of its kind in other words, or a new one.
    fn of(hold: &Hold, before: &mut Vec<Self>, now: Moment) -> Self {
        let same = before.iter().position(|it| it.hold.same_as(hold));
        let kin = || {
            let alike = |it: &Self| discriminant(&it.hold) == discriminant(hold);
            before.iter().position(alike)
        };
        let Some(index) = same.or_else(kin) else {
            return Self {
                hold: hold.clone(),
                since: now,
                told: None,
                rests: SETTLES,
            };
        };
        let known = before.swap_remove(index);
        Self {
            hold: hold.clone(),
            since: known.since,
            told: known.told.map(|(at, told)| (at, told && same.is_some())),
            rests: known.rests,
        }
    }
}

/// How it is told; `None` if something else tells it.
fn manner(hold: &Hold) -> Option<Manner> {
    let (settles, weight) = match hold {
        // Told by every keeper, not by the leader alone.
        Hold::NotCommandable { .. } | Hold::Hindered { .. } => return None,
        Hold::NotLinked(_) | Hold::Undecided(_) => (PASSES_WITHIN, Weight::Lasting),
        Hold::Draining { .. } | Hold::Unacknowledged(_) | Hold::ReplicasWaiting(_) => {
            (SETTLES, Weight::Normal)
        }
        _ => (SETTLES, Weight::Lasting),
    };
    Some(Manner { settles, weight })
}
