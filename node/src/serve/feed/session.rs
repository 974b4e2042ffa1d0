//! What one reader is owed, and what it is told. Pure: knows no socket, no clock and no ledger's content.
//!
//! Every subscription has a place, and is given the ledger at it. When the place is where nothing is yet, the subscription
//! is live. All that a reader needs to go on after a break is in what it was sent: the cursor of the last frame of events,
//! or the tip of the last heartbeat.

use std::sync::Arc;

use orrery_actors::feed::{Tips, Wanted};
use orrery_schemas::{Cursor, EventFilter, LedgerSequence};

use super::message::{Ask, From, Refusal, gap, heartbeat, subscribed, unsubscribed};

/// A reader is closed that says so much nonsense.
const REFUSALS_MAX: u32 = 16;

/// What a reader may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionLimits {
    /// Subscriptions at once.
    pub(super) subscriptions_max: usize,
    /// Messages between two ticks.
    pub(super) messages_per_tick_max: u32,
}

/// What happens to it.
pub(super) enum Event<'a> {
    /// The reader said something.
    Said { text: &'a str, tips: &'a Tips, wanted: &'a dyn Fn(EventFilter) -> Arc<Wanted> },
    /// The feed reaches further.
    Reached { tips: &'a Tips },
    /// A frame for a subscription is on its way.
    Sent { key: u32, cursor: Cursor },
    /// There is nothing yet for a subscription.
    Waits { key: u32 },
    /// What a subscription is owed left memory before it was taken.
    Left { key: u32 },
    /// What a subscription is owed is gone; this ledger is next.
    Lost { key: u32, next: LedgerSequence },
    /// The other end did not take a frame in time.
    Stalled,
    /// Some time has passed.
    Ticked,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Tell the reader.
    Say(String),
    /// Close with this code and reason, after what was said.
    Close { code: u16, reason: String },
}

/// What a subscription is owed next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) key: u32,
    pub(super) ledger: LedgerSequence,
    /// The first event of it that was not sent.
    pub(super) from_event: u32,
}

struct Subscription {
    key: u32,
    id: String,
    wanted: Arc<Wanted>,
    place: Place,
    /// Whether it was once at the end: from then on it has to keep up.
    is_live: bool,
    /// Whether nothing is there for it, as far as the feed reaches now.
    waits: bool,
}

#[derive(Clone, Copy)]
enum Place {
    /// Where it begins is not known yet.
    Unknown(From),
    At(Cursor),
}

/// One reader.
pub(super) struct Session {
    limits: SessionLimits,
    subscriptions: Vec<Subscription>,
    next_key: u32,
    /// Position in the list of the one that is served next.
    turn: usize,
    /// The tip that the reader was told last, and whether something was still behind it.
    told: Option<(Cursor, bool)>,
    refusals: u32,
    messages: u32,
}

impl Session {
    pub(super) fn new(limits: SessionLimits) -> Self {
        Self { limits, subscriptions: Vec::new(), next_key: 0, turn: 0, told: None, refusals: 0, messages: 0 }
    }

    pub(super) fn step(&mut self, event: Event<'_>) -> Vec<Action> {
        match event {
            Event::Said { text, tips, wanted } => {
                let mut actions = self.said(text, wanted);
                actions.extend(self.settle(tips));
                actions
            }
            Event::Reached { tips } if tips.is_over => {
                let cursor =
                    self.resume().map_or_else(|| "the node ends".to_owned(), |cursor| cursor.to_string());
                vec![Action::Close { code: 1001, reason: cursor }]
            }
            Event::Reached { tips } => {
                self.subscriptions.iter_mut().for_each(|subscription| subscription.waits = false);
                self.settle(tips)
            }
            Event::Sent { key, cursor } => {
                self.with(key, |subscription| subscription.place = Place::At(cursor));
                Vec::new()
            }
            Event::Waits { key } => {
                self.with(key, |subscription| (subscription.waits, subscription.is_live) = (true, true));
                Vec::new()
            }
            Event::Left { key } => match self.find(key) {
                Some(subscription) if subscription.is_live => vec![self.too_slow()],
                _ => Vec::new(),
            },
            Event::Lost { key, next } => self.lost(key, next).into_iter().collect(),
            Event::Stalled => vec![self.too_slow()],
            Event::Ticked => {
                self.messages = 0;
                Vec::new()
            }
        }
    }

    fn said(&mut self, text: &str, wanted: &dyn Fn(EventFilter) -> Arc<Wanted>) -> Vec<Action> {
        self.messages += 1;
        if self.messages > self.limits.messages_per_tick_max {
            let refusal = Refusal::new("rate_limited", "too many messages: wait a little between them");
            let close = Action::Close { code: 1008, reason: "too many messages".to_owned() };
            return vec![Action::Say(refusal.to_json()), close];
        }
        let done = Ask::parse(text).and_then(|ask| match ask {
            Ask::Subscribe { id, from, filter } => self.subscribe(id, from, filter, wanted),
            Ask::Unsubscribe { id } => self.unsubscribe(&id),
        });
        match done {
            Ok(actions) => actions,
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn refused(&mut self, refusal: &Refusal) -> Vec<Action> {
        self.refusals += 1;
        let mut actions = vec![Action::Say(refusal.to_json())];
        if self.refusals >= REFUSALS_MAX {
            actions.push(Action::Close {
                code: 1008,
                reason: "too many requests that make no sense".to_owned(),
            });
        }
        actions
    }

    fn subscribe(
        &mut self,
        id: String,
        from: From,
        filter: EventFilter,
        wanted: &dyn Fn(EventFilter) -> Arc<Wanted>,
    ) -> Result<Vec<Action>, Refusal> {
        if self.subscriptions.iter().any(|subscription| subscription.id == id) {
            let problem = format!("subscription {id:?} is there: unsubscribe it first, or take another id");
            return Err(Refusal::new("bad_request", problem).of(&id));
        }
        let most = self.limits.subscriptions_max;
        if self.subscriptions.len() >= most {
            let problem = format!("a connection has {most} subscriptions: unsubscribe one, or open another");
            return Err(Refusal::new("rate_limited", problem).of(&id));
        }
        self.next_key += 1;
        let (key, wanted) = (self.next_key, wanted(filter));
        let place = Place::Unknown(from);
        self.subscriptions.push(Subscription { key, id, wanted, place, is_live: false, waits: false });
        Ok(Vec::new())
    }

    fn unsubscribe(&mut self, id: &str) -> Result<Vec<Action>, Refusal> {
        match self.subscriptions.iter().position(|subscription| subscription.id == id) {
            Some(at) => {
                self.subscriptions.remove(at);
                Ok(vec![Action::Say(unsubscribed(id))])
            }
            None => Err(Refusal::new("bad_request", format!("there is no subscription {id:?}")).of(id)),
        }
    }

    /// Begins what waits for the feed to know its own reach.
    fn settle(&mut self, tips: &Tips) -> Vec<Action> {
        if !tips.is_known || tips.next().is_none() {
            return Vec::new();
        }
        let (mut actions, mut refusals) = (Vec::new(), Vec::new());
        self.subscriptions.retain_mut(|subscription| {
            let Place::Unknown(from) = subscription.place else { return true };
            match from.place(tips) {
                Ok(cursor) => {
                    subscription.place = Place::At(cursor);
                    actions.push(Action::Say(subscribed(&subscription.id, cursor, tips)));
                    true
                }
                Err(refusal) => {
                    refusals.push(refusal.of(&subscription.id));
                    false
                }
            }
        });
        actions.extend(refusals.iter().flat_map(|refusal| self.refused(refusal)));
        actions
    }

    fn lost(&mut self, key: u32, next: LedgerSequence) -> Option<Action> {
        let subscription = self.subscriptions.iter_mut().find(|subscription| subscription.key == key)?;
        let Place::At(at) = subscription.place else { return None };
        let (from, _) = at.next()?;
        let last = Cursor::behind(LedgerSequence(next.0.checked_sub(1)?));
        subscription.place = Place::At(last);
        Some(Action::Say(gap(&subscription.id, Cursor::behind(from), last)))
    }

    fn too_slow(&self) -> Action {
        Action::Close { code: 4008, reason: self.resume().map_or(String::new(), |cursor| cursor.to_string()) }
    }

    /// Where a reader goes on that lost its connection: nothing behind it was sent to any of its subscriptions for sure.
    fn resume(&self) -> Option<Cursor> {
        self.subscriptions.iter().filter_map(Subscription::cursor).min()
    }

    /// What is to be sent next: subscriptions take turns, a ledger each.
    pub(super) fn owed(&mut self) -> Option<Owed> {
        let count = self.subscriptions.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let Some(owed) = self.subscriptions[at].owed() else { continue };
            self.turn = at + 1;
            return Some(owed);
        }
        None
    }

    /// A heartbeat, if the reader is owed one before anything else: the tip has moved, and whatever is live has all of it.
    pub(super) fn heartbeat_if_due(&mut self, tips: &Tips, now_ms: u64) -> Option<String> {
        let tip = tips.tip_cursor();
        let is_behind = self.subscriptions.iter().any(|subscription| subscription.cursor() < Some(tip));
        // Also when what was behind has come there: a reader whose filter matches little moves on by heartbeats alone.
        let is_due = self.told != Some((tip, is_behind));
        let is_served = |subscription: &Subscription| !subscription.is_live || subscription.waits;
        (is_due && self.subscriptions.iter().all(is_served)).then(|| self.heartbeat(tips, now_ms)).flatten()
    }

    /// A heartbeat; none while it would be about nothing, or before a subscription that does not stand yet.
    pub(super) fn heartbeat(&mut self, tips: &Tips, now_ms: u64) -> Option<String> {
        let tip = tips.tip_cursor();
        let stand = self.subscriptions.iter().all(|subscription| subscription.cursor().is_some());
        if self.subscriptions.is_empty() || !stand {
            return None;
        }
        let behind: Vec<_> = self
            .subscriptions
            .iter()
            .filter_map(|subscription| {
                let cursor = subscription.cursor().filter(|cursor| *cursor < tip)?;
                Some((subscription.id.as_str(), cursor))
            })
            .collect();
        self.told = Some((tip, !behind.is_empty()));
        Some(heartbeat(tips, now_ms, behind.into_iter()))
    }

    /// The name of a subscription, if it is still there.
    pub(super) fn id(&self, key: u32) -> Option<&str> {
        self.find(key).map(|subscription| subscription.id.as_str())
    }

    /// What a subscription wants. Borrowed: that only one holds it is what tells that its frames need not be kept.
    pub(super) fn wanted(&self, key: u32) -> Option<&Arc<Wanted>> {
        self.find(key).map(|subscription| &subscription.wanted)
    }

    /// Its subscriptions.
    pub(super) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    fn find(&self, key: u32) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.key == key)
    }

    fn with(&mut self, key: u32, change: impl FnOnce(&mut Subscription)) {
        self.subscriptions.iter_mut().find(|subscription| subscription.key == key).map(change);
    }
}

impl Subscription {
    fn cursor(&self) -> Option<Cursor> {
        match self.place {
            Place::At(cursor) => Some(cursor),
            Place::Unknown(_) => None,
        }
    }

    fn owed(&self) -> Option<Owed> {
        let (ledger, from_event) = self.cursor().filter(|_| !self.waits)?.next()?;
        Some(Owed { key: self.key, ledger, from_event })
    }
}

#[cfg(test)]
mod tests;
