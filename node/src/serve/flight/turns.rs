//! How many streams there may be: in all, and of one reader, so that nobody has all of them. Of those that read the dataset
//! few are at work at once, since each holds the pages of a row group; further ones wait, so that a reader may ask for all
//! endpoints of a range.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tonic::Status;

/// Most streams; those of one are from one address, and of one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnLimits {
    /// That are at work.
    pub(super) turns_max: usize,
    pub(super) turns_of_one_max: usize,
    /// With those that wait.
    pub(super) asked_max: usize,
    pub(super) asked_of_one_max: usize,
}

impl TurnLimits {
    /// Of reads of the dataset: a few tens of MB each, and a MiB or two that wait to be taken.
    pub(super) const STORED: Self =
        Self { turns_max: 8, turns_of_one_max: 4, asked_max: 512, asked_of_one_max: 64 };

    /// Of the live feed: of one that is not taken wait a message, a few hundred KB, and two that others share.
    pub(super) const LIVE: Self =
        Self { turns_max: 512, turns_of_one_max: 64, asked_max: 512, asked_of_one_max: 64 };
}

/// Who reads and who waits.
pub(super) struct Turns {
    limits: TurnLimits,
    held: Mutex<Held>,
    /// Somebody has ended.
    freed: Notify,
}

#[derive(Default)]
struct Held {
    turns: usize,
    asked: usize,
    /// Turns and questions of each name.
    names: HashMap<String, (usize, usize)>,
}

/// That somebody asks, until it is dropped.
pub(super) struct Asked {
    turns: Arc<Turns>,
    names: Vec<String>,
}

/// That somebody reads, until it is dropped.
pub(super) struct Turn {
    asked: Arc<Asked>,
}

impl Turns {
    pub(super) fn new(limits: TurnLimits) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default(), freed: Notify::new() })
    }

    /// Asks for somebody of these names.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED` if one of them asks for too much, or all do.
    pub(super) fn ask(self: &Arc<Self>, names: Vec<String>) -> Result<Arc<Asked>, Status> {
        let TurnLimits { asked_max, asked_of_one_max: most, .. } = self.limits;
        self.with(|held| {
            let asked = |name: &String| held.names.get(name).map_or(0, |(_, asked)| *asked);
            if let Some(name) = names.iter().find(|name| asked(name) >= most) {
                let detail = format!("{name} has {most} streams: go on when one has ended");
                return Err(Status::resource_exhausted(detail));
            }
            if held.asked >= asked_max {
                let detail = format!("this node has {asked_max} streams: try another node, or later");
                return Err(Status::resource_exhausted(detail));
            }
            held.asked += 1;
            names.iter().for_each(|name| held.names.entry(name.clone()).or_default().1 += 1);
            Ok(())
        })?;
        Ok(Arc::new(Asked { turns: self.clone(), names }))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Asked {
    /// Waits for a turn.
    pub(super) async fn turn(self: Arc<Self>) -> Turn {
        loop {
            // Before looking, so that nobody who ends meanwhile is missed.
            let freed = self.turns.freed.notified();
            if self.take() {
                return Turn { asked: self.clone() };
            }
            freed.await;
        }
    }

    fn take(&self) -> bool {
        let TurnLimits { turns_max, turns_of_one_max: most, .. } = self.turns.limits;
        self.turns.with(|held| {
            let has_room = |name: &String| held.names.get(name).is_none_or(|(turns, _)| *turns < most);
            if held.turns >= turns_max || !self.names.iter().all(has_room) {
                return false;
            }
            held.turns += 1;
            self.names.iter().for_each(|name| held.names.entry(name.clone()).or_default().0 += 1);
            true
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.turns.with(|held| {
            held.asked -= 1;
            for name in &self.names {
                if let Some((_, asked)) = held.names.get_mut(name) {
                    *asked -= 1;
                    if *asked == 0 {
                        held.names.remove(name);
                    }
                }
            }
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let turns = &self.asked.turns;
        turns.with(|held| {
            held.turns -= 1;
            for name in &self.asked.names {
                if let Some((turns, _)) = held.names.get_mut(name) {
                    *turns -= 1;
                }
            }
        });
        turns.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn turns_are_waited_for_and_come_back() {
        let turns =
            Turns::new(TurnLimits { turns_max: 3, turns_of_one_max: 2, asked_max: 5, asked_of_one_max: 3 });
        let ask = |name: &str| turns.ask(vec![name.to_owned()]);
        let first = ask("a").unwrap().turn().await;
        let second = ask("a").unwrap().turn().await;
        let mut third = Box::pin(ask("a").unwrap().turn());
        assert!(third.as_mut().now_or_never().is_none(), "a has all that one may have");
        let refused = ask("a").err().unwrap();
        assert!(refused.message().starts_with("a has 3 streams"), "{refused}");
        let other = ask("b").unwrap().turn().await;
        let mut last = Box::pin(ask("c").unwrap().turn());
        assert!(last.as_mut().now_or_never().is_none(), "there is no further turn");
        assert!(ask("d").err().unwrap().message().starts_with("this node has 5 streams"));
        drop(first);
        let _third = third.await;
        assert!(last.as_mut().now_or_never().is_none());
        drop(other);
        drop(last.await);
        drop((second, _third));
        turns.with(|held| assert!(held.turns + held.asked == 0 && held.names.is_empty()));
    }
}
