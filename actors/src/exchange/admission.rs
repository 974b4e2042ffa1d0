//! Which streams a node serves when more are wanted than it may serve: those of the earliest ledgers.
//!
//! Whoever works on later ledgers waits for whoever works on the first that are due. If those held all places, nobody would
//! ever go on: so an earlier stream takes the place of the latest one, which is ended, begins anew, and waits for its turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use orrery_supervisor::{ErrorClass, ExitError};
use tokio::sync::oneshot;

/// Order of a stream: its first ledger, and then its number.
type Rank = (u32, u64);

/// The streams that are served, and what tells each that another one takes its place.
#[derive(Debug)]
struct Streams {
    max: usize,
    next: u64,
    served: BTreeMap<Rank, oneshot::Sender<()>>,
}

impl Streams {
    /// A stream from this ledger on: `None` if as many are served as may be, and none of later ledgers.
    fn enter(&mut self, from: u32) -> Option<(Rank, oneshot::Receiver<()>)> {
        if self.served.len() >= self.max {
            let last = self.served.last_entry().filter(|last| last.key().0 > from)?;
            // It may be about to end anyway.
            let _ = last.remove().send(());
        }
        let rank = (from, self.next);
        self.next += 1;
        let (gives_way, given) = oneshot::channel();
        self.served.insert(rank, gives_way);
        Some((rank, given))
    }
}

/// Admits streams, so many at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Admission(Arc<Mutex<Streams>>);

impl Admission {
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(Streams { max, next: 0, served: BTreeMap::new() })))
    }

    /// A place for a stream of the ledgers from `from` on; `None` is all of them.
    ///
    /// # Errors
    ///
    /// As many streams are served as may be, and none of later ledgers.
    pub(super) fn enter(&self, from: Option<u32>) -> Result<Place, ExitError> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let max = streams.max;
        let Some((rank, given)) = streams.enter(from.unwrap_or(0)) else {
            let reason =
                format!("{max} streams are served, which is all that may be, and none of later ledgers");
            return Err(ExitError::new(ErrorClass::Unavailable, reason));
        };
        Ok(Place { admission: self.clone(), rank, given })
    }
}

/// A stream's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Admission,
    rank: Rank,
    given: oneshot::Receiver<()>,
}

impl Place {
    /// Waits until an earlier stream takes it.
    pub(super) async fn taken(&mut self) -> ExitError {
        match (&mut self.given).await {
            Ok(()) => {
                let reason = "a stream of earlier ledgers took the place of this one";
                ExitError::new(ErrorClass::Unavailable, reason)
            }
            // Only this place itself drops the other end.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.served.remove(&self.rank);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn is_taken(place: &mut Place) -> bool {
        place.taken().now_or_never().is_some()
    }

    #[test]
    fn an_earlier_stream_takes_the_place_of_the_latest_and_no_other() {
        let admission = Admission::new(3);
        let mut places: Vec<_> =
            [Some(20), Some(40), Some(30)].map(|from| admission.enter(from).unwrap()).into();
        let refused = admission.enter(Some(40)).unwrap_err();
        assert_eq!(refused.class, ErrorClass::Unavailable);
        assert!(refused.message.starts_with("3 streams are served"), "{refused}");
        assert!(!places.iter_mut().any(is_taken));
        places.push(admission.enter(Some(10)).unwrap());
        assert_eq!(places.iter_mut().map(is_taken).collect::<Vec<_>>(), [false, true, false, false]);
        // What was taken gives no place when it goes.
        drop(places.remove(1));
        assert!(admission.enter(Some(30)).is_err());
        places.remove(0);
        assert!(admission.enter(Some(50)).is_ok());
        // All ledgers begin before any.
        places.push(admission.enter(None).unwrap());
        places.push(admission.enter(None).unwrap());
        assert_eq!(places.iter_mut().map(is_taken).collect::<Vec<_>>(), [true, false, false, false]);
    }

    proptest! {
        /// Whoever has the first ledgers of all that are there gets in, and never more than may be are served.
        #[test]
        fn the_first_always_gets_in(wanted in proptest::collection::vec((0_u32..50, any::<bool>()), 1..100)) {
            let admission = Admission::new(4);
            let mut places: Vec<Place> = Vec::new();
            for (from, leaves) in wanted {
                let is_first = places.iter().all(|place| place.rank.0 > from);
                let entered = admission.enter(Some(from));
                prop_assert!(entered.is_ok() || !is_first);
                places.extend(entered.ok());
                places.retain_mut(|place| !is_taken(place));
                prop_assert!(places.len() <= 4);
                if leaves {
                    places.pop();
                }
            }
        }
    }
}
