//! Virtual time, chance and the trace.
//!
//! Everything in a run happens as an event, in one order that the seed alone decides.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use redis_keeper::domain::node::Moment;
use redis_keeper::ports::clock::LeaseClock;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How many lines of the trace a violation shows.
const STORY: usize = 120;

/// Something that will happen at an instant.
pub(crate) type Event = Box<dyn FnOnce()>;

/// The world of a run: its time, its events, its chance and its trace.
pub(crate) struct World {
    origin: Instant,
    events: RefCell<BTreeMap<(u64, u64), Event>>,
    numbers: Cell<u64>,
    /// The instant of the event that is running, in microseconds; between events, tokio's clock gives the time.
    instant: Cell<u64>,
    earlier: Notify,
    chance: RefCell<StdRng>,
    trace: RefCell<Trace>,
    violation: RefCell<Option<String>>,
}

#[derive(Default)]
struct Trace {
    story: VecDeque<String>,
    digest: u64,
    /// Whether every line is printed, too.
    loud: bool,
}

impl World {
    pub(crate) fn new(seed: u64, loud: bool) -> Rc<Self> {
        Rc::new(Self {
            origin: Instant::now(),
            events: RefCell::default(),
            numbers: Cell::new(0),
            instant: Cell::new(0),
            earlier: Notify::new(),
            chance: RefCell::new(StdRng::seed_from_u64(seed)),
            trace: RefCell::new(Trace {
                loud,
                ..Trace::default()
            }),
            violation: RefCell::default(),
        })
    }

    /// The time since the run began, in microseconds.
    pub(crate) fn now(&self) -> u64 {
        let elapsed = u64::try_from(self.origin.elapsed().as_micros()).expect("less than an age");
        // tokio's clock ticks in milliseconds: an event between two ticks runs at the later tick.
        let tick = elapsed.saturating_sub(999);
        self.instant.get().max(tick)
    }

    /// Runs `event` `after` microseconds from now.
    pub(crate) fn after(&self, after: u64, event: impl FnOnce() + 'static) {
        self.at(self.now() + after, event);
    }

    /// Runs `event` at the instant `at`, in microseconds.
    pub(crate) fn at(&self, at: u64, event: impl FnOnce() + 'static) {
        let mut events = self.events.borrow_mut();
        let first = events.keys().next().is_none_or(|(first, _)| at < *first);
        events.insert((at, self.number()), Box::new(event));
        if first {
            self.earlier.notify_one();
        }
    }

    /// A number that was never given before.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    /// A number drawn from `range`, its end included.
    pub(crate) fn draw(&self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.chance.borrow_mut().random_range(range)
    }

    /// True with a probability of `percent` in a hundred.
    pub(crate) fn happens(&self, percent: u64) -> bool {
        self.draw(0..=99) < percent
    }

    /// Runs events for ever. Before each event, all tasks that the last event woke have run.
    pub(crate) async fn go_on(self: Rc<Self>) {
        loop {
            let next = self.events.borrow().keys().next().copied();
            let Some(key) = next else {
                self.earlier.notified().await;
                continue;
            };
            let due = self.origin + Duration::from_micros(key.0);
            if due > Instant::now() {
                tokio::select! {
                    biased;
                    () = self.earlier.notified() => {}
                    () = sleep_until(due) => {}
                }
                continue;
            }
            let event = self.events.borrow_mut().remove(&key);
            self.instant.set(self.instant.get().max(key.0));
            if let Some(event) = event {
                event();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes a line to the trace.
    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        let now = self.now();
        let line = format!("{:>4}.{:06} {line}", now / 1_000_000, now % 1_000_000);
        let mut trace = self.trace.borrow_mut();
        if trace.loud {
            eprintln!("{line}");
        }
        // FNV-1a.
        trace.digest = line
            .bytes()
            .fold(trace.digest ^ 0xcbf2_9ce4_8422_2325, |digest, byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        trace.story.push_back(line);
        if trace.story.len() > STORY {
            trace.story.pop_front();
        }
    }

    /// A digest of the trace: two runs that differ have different digests.
    pub(crate) fn digest(&self) -> u64 {
        self.trace.borrow().digest
    }

    /// Notes that a rule is broken. The first violation counts.
    pub(crate) fn violated(&self, what: fmt::Arguments<'_>) {
        if self.violation.borrow().is_none() {
            self.note(format_args!("VIOLATION {what}"));
            let story: Vec<String> = self.trace.borrow().story.iter().cloned().collect();
            let text = format!("{what}\n{}", story.join("\n"));
            *self.violation.borrow_mut() = Some(text);
        }
    }

    /// The first broken rule, with the lines of the trace before it.
    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.borrow().clone()
    }

    /// Drops all events. Events hold parts of the world, and the world holds the events.
    pub(crate) fn end(&self) {
        let events = std::mem::take(&mut *self.events.borrow_mut());
        drop(events);
    }
}

/// Writes a line of the trace of a world.
macro_rules! note {
    ($world:expr, $($line:tt)*) => { $world.note(format_args!($($line)*)) };
}
pub(crate) use note;

/// A keeper's lease clock, with an origin and a drift of its own.
pub(crate) struct DriftingClock {
    began: Instant,
    reads: Duration,
    /// How much too fast the clock goes, in millionths.
    drift: i64,
    stops: Mutex<Stops>,
}

/// The spans in which the clock stood still, as the clock of a suspended virtual machine does.
#[derive(Default)]
struct Stops {
    /// Since when the clock stands still, if it does.
    since: Option<Instant>,
    /// For each span that is over: the reading of the clock, and how long it stood still.
    lost: Vec<(Moment, Duration)>,
}

impl DriftingClock {
    pub(crate) fn new(reads: Duration, drift: i64) -> Self {
        Self {
            began: Instant::now(),
            reads,
            drift,
            stops: Mutex::default(),
        }
    }

    /// Stops the clock.
    pub(crate) fn stop(&self) {
        let mut stops = self.stops.lock().expect("nothing panics with it");
        stops.since.get_or_insert_with(Instant::now);
    }

    /// Lets the clock go on from where it stood. Returns whether it stood still.
    pub(crate) fn go_on(&self) -> bool {
        let reads = self.now();
        let mut stops = self.stops.lock().expect("nothing panics with it");
        let since = stops.since.take();
        stops
            .lost
            .extend(since.map(|since| (reads, since.elapsed())));
        since.is_some()
    }

    fn reading(&self, elapsed: Duration) -> Moment {
        let elapsed = i128::try_from(elapsed.as_nanos()).expect("less than an age");
        let drifted = elapsed + elapsed * i128::from(self.drift) / 1_000_000;
        let nanos = u64::try_from(drifted).expect("less than an age");
        Moment(self.reads + Duration::from_nanos(nanos))
    }

    /// How long ago, in microseconds, the clock read `span` microseconds less than `moment`.
    pub(crate) fn since(&self, moment: Moment, span: u64) -> u64 {
        let micros =
            |moment: Moment| i128::try_from(moment.0.as_micros()).expect("less than an age");
        let passed = micros(self.now()) - micros(moment) + i128::from(span);
        let passed = passed * 1_000_000 / i128::from(1_000_000 + self.drift);
        let passed = u64::try_from(passed).unwrap_or_default();
        let begun = Moment(moment.0.saturating_sub(Duration::from_micros(span)));
        let stops = self.stops.lock().expect("nothing panics with it");
        let lost = stops.lost.iter().filter(|(read, _)| *read >= begun);
        let lost: Duration = lost.map(|(_, lost)| *lost).sum();
        passed + u64::try_from(lost.as_micros()).expect("less than an age")
    }
}

impl LeaseClock for DriftingClock {
    fn now(&self) -> Moment {
        let stops = self.stops.lock().expect("nothing panics with it");
        let lost: Duration = stops.lost.iter().map(|(_, lost)| *lost).sum();
        let now = stops.since.unwrap_or_else(Instant::now);
        self.reading(now.duration_since(self.began).saturating_sub(lost))
    }
}
