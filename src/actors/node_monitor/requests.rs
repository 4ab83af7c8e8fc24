//! What other actors ask of a monitor.

use std::rc::Rc;

use futures::FutureExt as _;
use tokio::sync::{Notify, oneshot};

use crate::domain::observation::NodeObservation;

/// The open requests. Each new request ends a rest of the monitor.
#[derive(Debug, Default)]
pub(super) struct Requests {
    wake: Rc<Notify>,
    /// The actors that asked before the next probe is sent.
    waiting: Vec<oneshot::Sender<NodeObservation>>,
    /// Whether one of them needs the settings, too.
    settings: bool,
    /// The actors that get the outcome of the probe under way.
    served: Vec<oneshot::Sender<NodeObservation>>,
    /// Whether the next probe uses a new connection, because a new one leads to another server than the present one.
    pub(super) reconnect: bool,
}

impl Requests {
    /// Asks for a probe. The answer comes once the probe has ended.
    pub(super) fn probe(&mut self, settings: bool) -> oneshot::Receiver<NodeObservation> {
        let (asker, answer) = oneshot::channel();
        self.settings |= settings;
        self.waiting.push(asker);
        self.wake();
        answer
    }

    /// Ends the rest, or the next one.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Resolves when the rest is to end.
    pub(super) fn woken(&self) -> impl Future<Output = ()> + use<> {
        let wake = Rc::clone(&self.wake);
        async move { wake.notified().await }
    }

    /// Forgets a former wake-up whose purpose is done already.
    pub(super) fn forget_wake_up(&self) {
        let _ = self.wake.notified().now_or_never();
    }

    /// Whether nobody waits for a probe.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether somebody waits for the outcome of the probe under way.
    pub(super) fn is_serving(&self) -> bool {
        !self.served.is_empty()
    }

    /// Has the probe that is sent now serve all that wait.
    pub(super) fn serve(&mut self) {
        self.served.append(&mut self.waiting);
    }

    /// Has those that were to be served wait for another probe.
    pub(super) fn serve_later(&mut self) {
        self.waiting.append(&mut self.served);
    }

    /// Whether the settings are wanted. Forgets the wish.
    pub(super) fn take_settings(&mut self) -> bool {
        std::mem::take(&mut self.settings)
    }

    /// Answers those that the ended probe serves.
    pub(super) fn answer(&mut self, observation: &NodeObservation) {
        for asker in self.served.drain(..) {
            // The actor that asked may have stopped waiting.
            let _ = asker.send(observation.clone());
        }
    }

    /// Answers those that wait for the next probe, too.
    pub(super) fn answer_waiting(&mut self, observation: &NodeObservation) {
        for asker in self.waiting.drain(..) {
            let _ = asker.send(observation.clone());
        }
    }
}
