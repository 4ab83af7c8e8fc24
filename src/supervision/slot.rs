//! References to children that outlive their incarnations.

use actix::dev::ToEnvelope;
use actix::prelude::*;
use tokio::sync::watch;

/// Where the current incarnation of a child is published.
///
/// A slot is made before the child and outside of its supervisor. So references stay valid when either is restarted,
/// and two children can refer to each other.
pub struct Slot<A: Actor>(watch::Sender<Option<Addr<A>>>);

impl<A: Actor> Slot<A> {
    /// A slot with no incarnation in it yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// A reference that follows this slot.
    pub fn reference(&self) -> ChildRef<A> {
        ChildRef(self.0.subscribe())
    }

    pub(super) fn publish(&self, addr: Addr<A>) {
        self.0.send_replace(Some(addr));
    }

    pub(super) fn withdraw(&self) {
        self.0.send_replace(None);
    }

    pub(super) fn current(&self) -> Option<Addr<A>> {
        self.0.borrow().clone()
    }
}

impl<A: Actor> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> Default for Slot<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// A restart-proof reference to a child, for any thread: the address is resolved at every send.
///
/// A message is never sent twice. A message that was queued or in work when the child died is lost, and its sender is
/// told [`MailboxError::Closed`].
pub struct ChildRef<A: Actor>(watch::Receiver<Option<Addr<A>>>);

impl<A: Actor> ChildRef<A> {
    /// Sends to the current incarnation and waits for the answer.
    ///
    /// # Errors
    /// [`MailboxError::Closed`] while the child is down, or if it dies before it answers.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, MailboxError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.current()
            .ok_or(MailboxError::Closed)?
            .send(message)
            .await
    }

    /// Sends to the current incarnation without waiting and past the mailbox's bound; `false` if the child is down.
    pub fn do_send<M>(&self, message: M) -> bool
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let up = self.current().filter(Addr::connected);
        up.is_some_and(|addr| {
            addr.do_send(message);
            true
        })
    }

    /// Sends to the current incarnation without waiting.
    ///
    /// # Errors
    /// [`SendError`] with the message: `Closed` while the child is down, `Full` if its mailbox is.
    pub fn try_send<M>(&self, message: M) -> Result<(), SendError<M>>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        match self.current() {
            Some(addr) => addr.try_send(message),
            None => Err(SendError::Closed(message)),
        }
    }

    /// Resolves once an incarnation is up.
    ///
    /// # Errors
    /// [`MailboxError::Closed`] if no incarnation can come any more: the child was removed, and its slot dropped.
    pub async fn up(&self) -> Result<(), MailboxError> {
        let mut slot = self.0.clone();
        let up = slot
            .wait_for(|addr| addr.as_ref().is_some_and(Addr::connected))
            .await;
        up.map(drop).map_err(|_| MailboxError::Closed)
    }

    fn current(&self) -> Option<Addr<A>> {
        self.0.borrow().clone()
    }
}

impl<A: Actor> Clone for ChildRef<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
