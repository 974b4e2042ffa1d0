//! Messages on their way: each arrives at its time, those of one moment in the order in which they were sent.

use std::collections::BTreeMap;

use super::world::{Micros, World};

/// A network without a wire.
pub(super) struct Mail<M> {
    world: World,
    on_its_way: BTreeMap<(Micros, u64), M>,
    sent: u64,
}

impl<M> Mail<M> {
    /// Nothing is on its way.
    pub(super) fn new(world: &World) -> Self {
        Self { world: world.clone(), on_its_way: BTreeMap::new(), sent: 0 }
    }

    /// Has a message arrive after so long.
    pub(super) fn send(&mut self, after: Micros, message: M) {
        self.on_its_way.insert((self.world.now() + after, self.sent), message);
        self.sent += 1;
    }

    /// The next that arrives before `end`; time passes until then.
    pub(super) fn next(&mut self, end: Micros) -> Option<M> {
        let first = self.on_its_way.first_entry().filter(|first| first.key().0 < end);
        match first {
            Some(first) => {
                self.world.pass_to(first.key().0);
                Some(first.remove())
            }
            None => {
                self.world.pass_to(end);
                None
            }
        }
    }

    /// Loses all that is on its way and is not wanted.
    pub(super) fn keep(&mut self, wanted: impl Fn(&M) -> bool) {
        self.on_its_way.retain(|_, message| wanted(message));
    }
}
