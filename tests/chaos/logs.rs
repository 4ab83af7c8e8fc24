//! Reads the logs of Redis servers and keepers after a run.

use std::time::Duration;

/// Promotions of nodes that were not eligible, with the reasons, from the log of the promoted server.
///
/// The server knows more than the keepers: whether its process had data, and whether it was replacing them.
pub(crate) fn ineligible(log: &str, is_barred: bool) -> Vec<String> {
    #[derive(Clone, Copy, PartialEq)]
    enum Data {
        /// The process started, and has neither loaded nor received data.
        Never,
        /// The process dropped its data, and has not yet received the primary's.
        Replacing,
        Some,
    }
    let mut data = Data::Never;
    let mut found = Vec::new();
    for line in log.lines() {
        if line.contains("Redis is starting") {
            data = Data::Never;
        } else if line.contains("REPLICA sync: Flushing old data") {
            data = Data::Replacing;
        } else if line.contains("DB loaded from")
            || line.contains("REPLICA sync: Finished with success")
            // The process began empty, as a primary, and holds what clients have written since.
            || line.contains("REPLICA sync: Master accepted a Partial Resynchronization")
        {
            data = Data::Some;
        } else if line.contains("MASTER MODE enabled") && line.contains("name=keeper-") {
            let why = match data {
                Data::Some if is_barred => "has priority 0",
                Data::Some => continue,
                Data::Never => "never had any data since its start",
                Data::Replacing => "was in the middle of a full synchronisation",
            };
            found.push(format!("{why}: {line}"));
        }
    }
    found
}

/// How many promotions by keepers the log has.
pub(crate) fn promotions(log: &str) -> usize {
    let is_promotion =
        |line: &&str| line.contains("MASTER MODE enabled") && line.contains("name=keeper-");
    log.lines().filter(is_promotion).count()
}

/// The words of a keeper's log that report a panic, a give-up or an abort.
pub(crate) const SIGNS: [&str; 4] = [
    "panicked",
    "gives up",
    "child exited",
    "the event loop has been blocked",
];

/// Lines of a keeper's log that report a panic, a give-up or an abort.
pub(crate) fn collapses(log: &str) -> impl Iterator<Item = &str> {
    log.lines()
        .filter(|line| SIGNS.iter().any(|sign| line.contains(sign)))
}

/// The time of a line of a keeper's log, since 1970; a time stamp is like `2026-11-23T01:02:03.456789Z`.
pub(crate) fn time(stamp: &str) -> Option<Duration> {
    let number = |range: std::ops::Range<usize>| stamp.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hours, minutes) = (number(11..13)?, number(14..16)?);
    let seconds: f64 = stamp.get(17..)?.strip_suffix('Z')?.parse().ok()?;
    // Years begin with March, so that the leap day comes last. 719 468 days lie before 1970.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = (365 * year + leap_days + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)?;
    let whole = ((days * 24 + hours) * 60 + minutes) * 60;
    Some(Duration::from_secs(whole) + Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "1:C # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo\n";
    const FLUSH: &str = "1:S * MASTER <-> REPLICA sync: Flushing old data\n";
    const DONE: &str = "1:S * MASTER <-> REPLICA sync: Finished with success\n";
    const CONTINUED: &str =
        "1:S * MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.\n";
    const PROMOTED: &str =
        "1:M * MASTER MODE enabled (user request from 'id=7 name=keeper-42 db=0')\n";

    #[test]
    fn a_node_that_had_no_data_or_was_receiving_it_must_not_be_promoted() {
        let fine = [START, FLUSH, DONE, PROMOTED].concat();
        assert_eq!(ineligible(&fine, false), Vec::<String>::new());
        assert_eq!(promotions(&fine), 1);
        assert_eq!(ineligible(&fine, true).len(), 1, "priority 0");
        let loaded = [
            START,
            "1:M * DB loaded from disk: 0.000 seconds\n",
            PROMOTED,
        ]
        .concat();
        assert_eq!(ineligible(&loaded, false), Vec::<String>::new());
        let was_primary = [START, CONTINUED, PROMOTED].concat();
        assert_eq!(ineligible(&was_primary, false), Vec::<String>::new());
        for bad in [
            [START, PROMOTED].concat(),
            [START, FLUSH, PROMOTED].concat(),
            [START, FLUSH, DONE, FLUSH, PROMOTED].concat(),
            [START, FLUSH, DONE, START, PROMOTED].concat(),
        ] {
            assert_eq!(ineligible(&bad, false).len(), 1, "{bad}");
        }
        let by_hand = [START, &PROMOTED.replace("keeper-42", "me")].concat();
        assert_eq!(ineligible(&by_hand, false), Vec::<String>::new());
    }

    #[test]
    fn the_times_of_logs_are_read() {
        let seconds = |stamp| time(stamp).map(|time| time.as_secs());
        assert_eq!(seconds("1970-01-01T00:00:01.000000Z"), Some(1));
        assert_eq!(seconds("2000-02-29T12:00:00.500000Z"), Some(951_825_600));
        assert_eq!(seconds("2026-11-23T01:02:03.456789Z"), Some(1_795_395_723));
        assert_eq!(time("no time"), None);
    }

    #[test]
    fn panics_and_aborts_are_noticed() {
        let log = "a\nthread 'main' panicked at src/x.rs\nb";
        assert_eq!(collapses(log).count(), 1);
        let log = "a\nthe event loop has been blocked for 5.1s: aborting\n";
        assert_eq!(collapses(log).count(), 1);
    }
}
