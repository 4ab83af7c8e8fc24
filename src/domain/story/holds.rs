//! Which holds of a plan are logged, and when: each once, and again only if its words change.

use std::mem::discriminant;
use std::time::Duration;

use super::super::node::Moment;
use super::super::plan::Hold;

/// How long a hold lasts before it is logged. A hold that ends sooner is no news.
const SETTLES: Duration = Duration::from_secs(1);

/// How long a replica usually takes to link itself to another primary, or a silent node to be marked down.
const PASSES_WITHIN: Duration = Duration::from_secs(10);

/// The longest interval between two logs of a hold whose words change all the time, for example because of a time in
/// them. The interval doubles with each log.
const AT_LEAST_EVERY: Duration = Duration::from_mins(1);

/// How serious a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The hold ends by itself in the normal course of things.
    Normal,
    /// An operator should look at it.
    Lasting,
}

/// How a kind of hold is logged.
struct Manner {
    /// How long the hold lasts before it is logged.
    settles: Duration,
    weight: Weight,
}

#[derive(Debug)]
struct Entry {
    hold: Hold,
    since: Moment,
    /// When the hold was logged last, and whether in the present words.
    told: Option<(Moment, bool)>,
    /// Whether the hold was logged since it last began, in whatever words.
    logged: bool,
    /// How long the hold is not logged again after that, even in other words.
    rests: Duration,
    /// Since when the hold is over, and whether that was logged.
    over: Option<(Moment, bool)>,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldNews {
    /// A hold stands, of this weight.
    Stands(Weight, Hold),
    /// A hold that was logged, and that an operator should have looked at, is over.
    Over(Hold),
}

/// The state behind the logged holds.
#[derive(Debug, Default)]
pub struct HoldsTold {
    entries: Vec<Entry>,
    again: Option<Moment>,
}

impl HoldsTold {
    /// When to look again even if nothing happens meanwhile.
    pub fn again(&self) -> Option<Moment> {
        self.again
    }

    /// Forgets everything: this keeper does not lead, and what another leader holds is not known.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// What to log now. `held` has the present holds.
    pub fn look(&mut self, held: &[Hold], now: Moment) -> Vec<HoldNews> {
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
                    entry.logged = true;
                    news.push(HoldNews::Stands(weight, hold.clone()));
                }
            }
            self.entries.push(entry);
        }
        for entry in before {
            self.look_at_ended(entry, now, &mut news);
        }
        news
    }

    /// Logs the end of a hold once it is over for a moment. The entry is kept for a while, so that a hold that comes and
    /// goes is logged ever more rarely.
    fn look_at_ended(&mut self, mut entry: Entry, now: Moment, news: &mut Vec<HoldNews>) {
        if entry.told.is_none() {
            return;
        }
        let (since, told) = entry.over.unwrap_or((now, false));
        let settled = since.after(SETTLES);
        let lasting = manner(&entry.hold).is_some_and(|it| it.weight == Weight::Lasting);
        let forgotten = since.after(AT_LEAST_EVERY);
        entry.over = Some((since, told || now >= settled));
        if !told && now < settled {
            self.again = self.again.into_iter().chain([settled]).min();
        } else if !told && lasting && entry.logged {
            news.push(HoldNews::Over(entry.hold.clone()));
        }
        if now < forgotten {
            self.entries.push(entry);
        }
    }
}

impl Entry {
    /// The entry for `hold`: the same hold as before, or another of its kind in other words, or a new one. Takes a
    /// known entry out of `before`.
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
                logged: false,
                rests: SETTLES,
                over: None,
            };
        };
        let known = before.swap_remove(index);
        let was_over = known.over.is_some_and(|(_, told)| told);
        Self {
            hold: hold.clone(),
            since: known.since,
            told: known
                .told
                .map(|(at, told)| (at, told && same.is_some() && !was_over)),
            logged: known.logged && !was_over,
            rests: known.rests,
            over: None,
        }
    }
}

/// How the hold is logged; `None` if something else logs it.
fn manner(hold: &Hold) -> Option<Manner> {
    let (settles, weight) = match hold {
        // Every keeper logs these, not the leader alone.
        Hold::NotCommandable { .. } | Hold::Hindered { .. } => return None,
        Hold::NotLinked(_) | Hold::Undecided(_) => (PASSES_WITHIN, Weight::Lasting),
        Hold::Draining { .. } | Hold::Unacknowledged(_) | Hold::ReplicasWaiting(_) => {
            (SETTLES, Weight::Normal)
        }
        _ => (SETTLES, Weight::Lasting),
    };
    Some(Manner { settles, weight })
}
