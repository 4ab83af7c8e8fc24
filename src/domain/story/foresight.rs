//! Whether a failover would follow if the primary died now. The leader logs an impossible failover before it is
//! needed.

use std::time::Duration;

use super::super::node::Moment;

/// How often the leader looks.
const EVERY: Duration = Duration::from_secs(10);

/// How long no failover is possible before the leader logs it. A failover itself, its cool-down and a replica in
/// synchronisation are over sooner, or have events of their own.
const LASTS: Duration = Duration::from_mins(1);

/// A change that the leader logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreseen {
    /// No failover would follow; the reason in words.
    Impossible(String),
    /// A failover would follow again.
    Possible,
}

/// The state behind these changes: when the leader looked, and what it has logged.
#[derive(Debug, Default)]
pub struct Foresight {
    looked: Option<Moment>,
    impossible_since: Option<Moment>,
    told: bool,
}

impl Foresight {
    /// When to look again even if nothing happens meanwhile.
    pub fn again(&self) -> Option<Moment> {
        self.looked.map(|at| at.after(EVERY))
    }

    /// Calls `ask` every ten seconds at most, and returns a change to log. `ask` returns `Err` with the reason if no
    /// failover would follow.
    pub fn look(
        &mut self,
        now: Moment,
        ask: impl FnOnce() -> Result<(), String>,
    ) -> Option<Foreseen> {
        if self.again().is_some_and(|again| now < again) {
            return None;
        }
        self.looked = Some(now);
        let Err(why) = ask() else {
            self.impossible_since = None;
            return std::mem::take(&mut self.told).then_some(Foreseen::Possible);
        };
        let since = *self.impossible_since.get_or_insert(now);
        if self.told || now < since.after(LASTS) {
            return None;
        }
        self.told = true;
        Some(Foreseen::Impossible(why))
    }

    /// Forgets everything, because this keeper does not lead.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn impossible() -> Result<(), String> {
        Err("no replica may take over".to_owned())
    }

    #[test]
    fn what_no_failover_would_follow_is_told_once_it_lasts_for_a_minute() {
        let mut foresight = Foresight::default();
        let told: Vec<_> = (0..200)
            .filter_map(|second| Some((second, foresight.look(at(second), impossible)?)))
            .collect();
        let why = "no replica may take over".to_owned();
        assert_eq!(told, [(60, Foreseen::Impossible(why))]);
        let back = (200..220).find_map(|second| foresight.look(at(second), || Ok(())));
        assert_eq!(back, Some(Foreseen::Possible));
    }

    #[test]
    fn what_is_over_within_a_minute_is_not_told() {
        let mut foresight = Foresight::default();
        for second in 0..600 {
            let ask = || {
                if second % 60 < 50 {
                    impossible()
                } else {
                    Ok(())
                }
            };
            assert_eq!(foresight.look(at(second), ask), None, "{second}");
        }
    }

    #[test]
    fn it_is_asked_every_ten_seconds() {
        let mut foresight = Foresight::default();
        let mut asked = 0;
        for second in 0..100 {
            foresight.look(at(second), || {
                asked += 1;
                Ok(())
            });
        }
        assert_eq!(asked, 10);
    }
}
