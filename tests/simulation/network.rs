//! Links between hosts: latency with jitter, slowness, cuts.
//!
//! - A message that is sent over a silent cut arrives when the cut heals, as TCP has it. If its connection is closed
//!   by then, the message is dropped.
//! - A message that is sent over a cut that resets is lost.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::world::{Event, World};

/// The number of a host.
pub(crate) type Host = u8;

/// One direction of a connection: messages arrive in the order in which they were sent.
#[derive(Default)]
pub(crate) struct Lane(Cell<u64>);

impl Lane {
    /// Whether everything that was sent has arrived.
    pub(crate) fn is_idle(&self, world: &World) -> bool {
        self.0.get() < world.now()
    }

    /// Forgets what is on its way, so that the next message need not arrive behind it.
    pub(crate) fn forget(&self) {
        self.0.set(0);
    }

    /// Runs `event` `after` microseconds from now, or right after the message that was sent before.
    pub(crate) fn pass(&self, world: &World, after: u64, event: impl FnOnce() + 'static) {
        let arrives = (world.now() + after).max(self.0.get() + 1);
        self.0.set(arrives);
        world.at(arrives, event);
    }
}

/// How one way between two hosts is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Messages are held until the cut heals.
    Silent,
    /// Every message is answered by a reset.
    Resets,
}

/// The links between all hosts.
pub(crate) struct Network {
    world: Rc<World>,
    cuts: RefCell<BTreeMap<(Host, Host), Cut>>,
    held: RefCell<BTreeMap<(Host, Host), Vec<Event>>>,
    /// For each slow host: the most that is added to the latency of its messages, in microseconds.
    slow: RefCell<BTreeMap<Host, u64>>,
    /// When the flows with a host went mute last. Nothing passes on flows that were open by then, and none of them is
    /// closed.
    mute: RefCell<BTreeMap<Host, u64>>,
    /// The most that a message takes on any link, in microseconds.
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

    /// Runs `event` when a message that is sent now arrives.
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
        // Most messages are quick; 3 of 100 take five times as long.
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

    /// Cuts one direction between two hosts.
    pub(crate) fn sever(&self, way: (Host, Host), cut: Cut) {
        if way.0 != way.1 {
            self.cuts.borrow_mut().insert(way, cut);
        }
    }

    /// Heals one direction: the messages that were held arrive now.
    pub(crate) fn heal(&self, way: (Host, Host)) {
        self.cuts.borrow_mut().remove(&way);
        let held = self.held.borrow_mut().remove(&way);
        for event in held.into_iter().flatten() {
            // In the order of sending, and before any message that is sent later.
            self.world.after(1, event);
        }
    }

    /// Adds up to `most` microseconds to every message of a host; 0 ends that.
    pub(crate) fn slow_down(&self, host: Host, most: u64) {
        if most == 0 {
            self.slow.borrow_mut().remove(&host);
        } else {
            self.slow.borrow_mut().insert(host, most);
        }
    }

    /// Makes the flows mute that are open now between a host and any other, as a firewall that forgot them. New flows
    /// work.
    pub(crate) fn mute(&self, host: Host) {
        self.mute.borrow_mut().insert(host, self.world.now());
    }

    /// Whether a flow between the two hosts that was opened at `opened` is mute.
    pub(crate) fn is_mute(&self, (one, other): (Host, Host), opened: u64) -> bool {
        let mute = self.mute.borrow();
        let last = mute.get(&one).max(mute.get(&other));
        last.is_some_and(|last| opened <= *last)
    }

    /// Heals all cuts, and ends all slowness.
    pub(crate) fn heal_all(&self) {
        let cut: Vec<(Host, Host)> = self.cuts.borrow().keys().copied().collect();
        for way in cut {
            self.heal(way);
        }
        self.slow.borrow_mut().clear();
    }
}
