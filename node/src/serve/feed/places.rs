//! How many readers there may be: in all, and from one place, so that one cannot take all.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use orrery_actors::feed::Hub;
use warp::http::StatusCode;

use crate::serve::problem::Problem;

/// Seconds after which somebody may try again who found no place.
const AGAIN_AFTER_SECONDS: u32 = 5;

/// Most readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaceLimits {
    /// Of this node.
    pub(crate) readers_max: usize,
    /// From one address, and of one token.
    pub(crate) per_reader_max: usize,
}

/// Who reads.
pub(super) struct Places {
    limits: PlaceLimits,
    hub: Arc<Hub>,
    held: Mutex<HashMap<String, usize>>,
}

/// One reader's place, until it is dropped.
pub(in crate::serve) struct Place {
    places: Arc<Places>,
    names: Vec<String>,
}

impl Places {
    pub(super) fn new(limits: PlaceLimits, hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { limits, hub, held: Mutex::default() })
    }

    /// Takes a place for somebody of these names.
    ///
    /// # Errors
    ///
    /// 429 if one of the names has too many, 503 if there is none for anybody.
    pub(super) fn take(self: &Arc<Self>, names: Vec<String>) -> Result<Place, Problem> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if self.hub.counts.connections.load(Ordering::Relaxed) >= self.limits.readers_max {
            let detail = "this node has as many readers as it takes: try another, or later";
            return Err(Problem::unavailable(detail, AGAIN_AFTER_SECONDS));
        }
        if let Some(name) =
            names.iter().find(|name| held.get(*name).copied().unwrap_or(0) >= self.limits.per_reader_max)
        {
            let detail =
                format!("{name} has {} connections to the feed: close one", self.limits.per_reader_max);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail));
        }
        for name in &names {
            *held.entry(name.clone()).or_default() += 1;
        }
        self.hub.counts.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Place { places: self.clone(), names })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &self.names {
            if let Some(count) = held.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    held.remove(name);
                }
            }
        }
        self.places.hub.counts.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use orrery_actors::feed::HubLimits;

    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let hub = Arc::new(Hub::new(HubLimits::default()));
        let places = Places::new(PlaceLimits { readers_max: 3, per_reader_max: 2 }, hub.clone());
        let take = |name: &str| places.take(vec![name.to_owned()]);
        let status = |found: Result<Place, Problem>| found.err().map(|problem| problem.status.as_u16());
        let first = take("a").unwrap();
        let _second = take("a").unwrap();
        assert_eq!(status(take("a")), Some(429));
        let third = take("b").unwrap();
        assert_eq!(status(take("c")), Some(503));
        drop(third);
        assert_eq!(status(take("a")), Some(429));
        drop(first);
        assert_eq!(status(take("a")), None);
        assert_eq!(hub.counts.connections.load(Ordering::Relaxed), 1);
        drop(_second);
        assert!(places.held.lock().unwrap().is_empty());
    }
}
