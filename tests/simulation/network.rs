//! Links between hosts: latency with jitter, slowness, cuts. What is sent over a silent cut arrives when it heals, as
//! TCP has it, unless its connection is closed by then; what is sent over a cut that resets is lost.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::world::{Event, World};

/// Where something runs.
pub(crate) type Host = u8;

/// One way of a connection: what is sent on it arrives in order.
#[derive(Default)]
pub(crate) struct Lane(Cell<u64>);

impl Lane {
    /// Whether everything that was sent has arrived.
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        self.0.get() < world.now()
    }

    /// Nobody waits any more for what was sent.
    pub(crate) fn forget(&self) {
        self.0.set(0);
    }

    /// Has `event` happen `after` microseconds from now, or right after what was sent before.
    pub(crate) fn pass(&self, world: &World, after: u64, event: impl FnOnce() + 'static) {
        let arrives = (world.now() + after).max(self.0.get() + 1);
        self.0.set(arrives);
        world.at(arrives, event);
    }
}

/// How one way between two hosts is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing arrives until it heals.
    Silent,
    /// Whatever is sent is answered by a reset.
    Resets,
}

/// All links.
pub(crate) struct Network {
    world: Rc<World>,
    cuts: RefCell<BTreeMap<(Host, Host), Cut>>,
    held: RefCell<BTreeMap<(Host, Host), Vec<Event>>>,
    /// Added to the latency of all that a host sends or receives, at most so many microseconds.
    slow: RefCell<BTreeMap<Host, u64>>,
    /// When the flows with a host went mute last: nothing passes on those that were open by then, and none is closed.
    mute: RefCell<BTreeMap<Host, u64>>,
    /// Of every link, at most, in microseconds.
    latency: u64,
}

impl Network {
    pub(crate) fn new(world: Rc<World>, latency: u64) -> Rc<Self> {
        Rc::new(Self {
            world,
            cuts: RefCell::default(),
            held: RefCell::default(),
            slow: RefCell::default(),
            mute: RefCell::default(),
            latency,
        })
    }

    /// Has `event` happen when a message sent now arrives.
    pub(crate) fn send(
        self: &Rc<Self>,
        (from, to): (Host, Host),
        lane: &Lane,
        event: impl FnOnce() + 'static,
    ) {
        match self.cut((from, to)) {
            Some(Cut::Resets) => {}
            Some(Cut::Silent) => {
                let mut held = self.held.borrow_mut();
                held.entry((from, to)).or_default().push(Box::new(event));
            }
            None => {
                lane.pass(&self.world, self.latency(from, to), event);
            }
        }
    }

    fn latency(&self, from: Host, to: Host) -> u64 {
        if from == to {
            return 30;
        }
        let slow = self.slow.borrow();
        let slowness = slow.get(&from).max(slow.get(&to)).copied().unwrap_or(0);
        // Mostly quick, now and then several times as slow.
        let base = self.world.draw(self.latency / 4..=self.latency);
        let straggles = if self.world.happens(3) { 5 } else { 1 };
        base * straggles + self.world.draw(0..=slowness)
    }

    pub(crate) fn cut(&self, way: (Host, Host)) -> Option<Cut> {
        self.cuts.borrow().get(&way).copied()
    }

    /// Whether messages pass both ways.
    pub(crate) fn passes(&self, one: Host, other: Host) -> bool {
        self.cut((one, other)).is_none() && self.cut((other, one)).is_none()
    }

    /// Whether connections between the two are reset.
    pub(crate) fn resets(&self, one: Host, other: Host) -> bool {
        [(one, other), (other, one)]
            .iter()
            .any(|way| self.cut(*way) == Some(Cut::Resets))
    }

    /// Cuts one way.
    pub(crate) fn sever(&self, way: (Host, Host), cut: Cut) {
        if way.0 != way.1 {
            self.cuts.borrow_mut().insert(way, cut);
        }
    }

    /// Heals one way: what was held arrives now.
    pub(crate) fn heal(&self, way: (Host, Host)) {
        self.cuts.borrow_mut().remove(&way);
        let held = self.held.borrow_mut().remove(&way);
        for event in held.into_iter().flatten() {
            // In the order of sending, and before whatever is sent from now on.
            self.world.after(1, event);
        }
    }

    /// A host's links all take up to so many microseconds more.
    pub(crate) fn slow_down(&self, host: Host, most: u64) {
        if most == 0 {
            self.slow.borrow_mut().remove(&host);
        } else {
            self.slow.borrow_mut().insert(host, most);
        }
    }

    /// The flows that are open now between a host and any other are forgotten on the way; new ones work.
    pub(crate) fn mute(&self, host: Host) {
        self.mute.borrow_mut().insert(host, self.world.now());
    }

    /// Whether nothing passes between the two on a flow that was `opened` then.
    pub(crate) fn is_mute(&self, (one, other): (Host, Host), opened: u64) -> bool {
        let mute = self.mute.borrow();
        let last = mute.get(&one).max(mute.get(&other));
        last.is_some_and(|last| opened <= *last)
    }

    /// Heals everything.
    pub(crate) fn heal_all(&self) {
        let cut: Vec<(Host, Host)> = self.cuts.borrow().keys().copied().collect();
        for way in cut {
            self.heal(way);
        }
        self.slow.borrow_mut().clear();
    }
}
