//! What is known about an actor from outside: how many messages wait, and whether it gets on.
//!
//! Ractor's mailboxes are unbounded and tell no length. Here the sender's [`Handle`] counts what it sends, and
//! `Probed` around the actor counts what was handled. Messages sent past the handle (timers of ractor, bare references)
//! are noticed only when their turn comes, so the depth is a lower bound; it is never 0 while a handler works.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ractor::message::SerializedMessage;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, Message, MessagingErr, SupervisionEvent};

use crate::exit::ExitError;

tokio::task_local! {
    /// Of the actor whose message is in work here.
    static AT_WORK: Arc<Probe>;
}

/// Tells that the message in work here gets on: what takes long, as waiting for a store that is away, is told by this from an
/// actor that hangs. Wherever no message is in work it does nothing.
pub fn progressed() {
    // No actor, and nobody who watches it.
    let _ = AT_WORK.try_with(|probe| probe.progressed());
}

/// Counters of one life of an actor. Senders and the actor write; its supervisor reads.
#[derive(Debug, Default)]
pub struct Probe {
    sent: AtomicU64,
    handled: AtomicU64,
    progress: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Messages that wait, the one in work included.
    pub(crate) queued: u64,
    /// Changes whenever the actor gets on.
    pub(crate) progress: u64,
}

impl Probe {
    /// Tells that a long handler gets on: a watchdog sees no stall. Handling a message tells it by itself.
    pub fn progressed(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that is sure to come, past the handle: from a thread that works for the actor. If it hangs, the actor
    /// does not get on with a message that waits.
    pub fn expects(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages that wait, the one in work included.
    pub fn mailbox_depth(&self) -> u64 {
        // Handled first: a message handled in between must not make the difference larger than it ever was.
        let handled = self.handled.load(Ordering::Relaxed);
        self.sent.load(Ordering::Relaxed).saturating_sub(handled)
    }

    pub(crate) fn read(&self) -> Reading {
        let progress = self.progress.load(Ordering::Relaxed);
        Reading { queued: self.mailbox_depth(), progress }
    }

    /// A message that no handle sent is noticed here at the latest, so that a handler at work always shows.
    fn taken(&self) {
        let handled = self.handled.load(Ordering::Relaxed);
        self.sent.fetch_max(handled.saturating_add(1), Ordering::Relaxed);
    }

    fn handled(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        self.progressed();
    }
}

/// A reference to an actor that counts what it sends.
pub struct Handle<M> {
    actor: ActorRef<M>,
    probe: Arc<Probe>,
}

impl<M: Message> Handle<M> {
    /// A handle for `actor`, whose probe this is.
    pub fn new(actor: ActorRef<M>, probe: Arc<Probe>) -> Self {
        Self { actor, probe }
    }

    /// Sends a message. It never waits: whoever sends without limit needs credits.
    ///
    /// # Errors
    ///
    /// The actor no longer takes messages; the message comes back in the error.
    pub fn send(&self, message: M) -> Result<(), MessagingErr<M>> {
        // Counted before: else a quick actor could count it as handled first, and a reader between sees no message.
        self.probe.sent.fetch_add(1, Ordering::Relaxed);
        self.actor.send_message(message).inspect_err(|_| {
            self.probe.sent.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// The reference itself; what is sent through it is not counted.
    pub const fn actor(&self) -> &ActorRef<M> {
        &self.actor
    }

    /// The counters.
    pub const fn probe(&self) -> &Arc<Probe> {
        &self.probe
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), probe: Arc::clone(&self.probe) }
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").field("actor", &self.actor).field("probe", &self.probe).finish()
    }
}

/// An actor whose handled messages are counted, and whose errors all leave as [`ExitError`]: what ractor then reports as
/// failed with another type is a panic.
pub(crate) struct Probed<A> {
    actor: A,
    probe: Arc<Probe>,
}

impl<A: Actor> Probed<A> {
    pub(crate) const fn new(actor: A, probe: Arc<Probe>) -> Self {
        Self { actor, probe }
    }
}

/// As the actor itself does it, with typed errors.
fn typed<T>(result: Result<T, ActorProcessingErr>) -> Result<T, ActorProcessingErr> {
    result.map_err(|error| ExitError::of_box(error).into())
}

impl<A: Actor> Actor for Probed<A> {
    type Msg = A::Msg;
    type State = A::State;
    type Arguments = A::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<A::Msg>,
        arguments: A::Arguments,
    ) -> Result<A::State, ActorProcessingErr> {
        typed(self.actor.pre_start(myself, arguments).await)
    }

    async fn post_start(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        typed(self.actor.post_start(myself, state).await)
    }

    async fn post_stop(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        typed(self.actor.post_stop(myself, state).await)
    }

    async fn handle(
        &self,
        myself: ActorRef<A::Msg>,
        message: A::Msg,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        self.probe.taken();
        let handled = self.actor.handle(myself, message, state);
        let result = typed(AT_WORK.scope(self.probe.clone(), handled).await);
        self.probe.handled();
        result
    }

    async fn handle_serialized(
        &self,
        myself: ActorRef<A::Msg>,
        message: SerializedMessage,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        self.probe.taken();
        let handled = self.actor.handle_serialized(myself, message, state);
        let result = typed(AT_WORK.scope(self.probe.clone(), handled).await);
        self.probe.handled();
        result
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        typed(self.actor.handle_supervisor_evt(myself, event, state).await)
    }
}

/// A child that started: what its supervisor keeps of it.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) cell: ActorCell,
    pub(crate) probe: Arc<Probe>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_is_sent_and_not_handled() {
        let probe = Probe::default();
        probe.sent.fetch_add(3, Ordering::Relaxed);
        assert_eq!(probe.read(), Reading { queued: 3, progress: 0 });
        probe.taken();
        assert_eq!(probe.mailbox_depth(), 3, "the one in work waits for its end too");
        probe.handled();
        assert_eq!(probe.read(), Reading { queued: 2, progress: 1 });
        probe.progressed();
        assert_eq!(probe.read(), Reading { queued: 2, progress: 2 });
    }

    #[test]
    fn message_past_the_handle_shows_while_it_is_handled_and_leaves_no_debt() {
        let probe = Probe::default();
        for _ in 0..3 {
            probe.taken();
            assert_eq!(probe.mailbox_depth(), 1);
            probe.handled();
            assert_eq!(probe.mailbox_depth(), 0);
        }
        probe.sent.fetch_add(1, Ordering::Relaxed);
        assert_eq!(probe.mailbox_depth(), 1);
    }
}
