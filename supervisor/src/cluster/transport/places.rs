//! How many proven connections there are, and whose: what one peer does leaves places for the others.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, Pending, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::{AbortHandle, Abortable};

use super::listener::Limits;
use crate::cluster::NodeName;
use crate::cluster::certificates::Purpose;

/// The places of one listener; clones are the same.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    limits: Limits,
    held: Mutex<Held>,
}

/// Number of one place.
type Number = u64;

#[derive(Default)]
struct Held {
    /// As many as connections: few enough to count them each time.
    connections: BTreeMap<Number, Holder>,
    next: Number,
}

struct Holder {
    name: NodeName,
    purpose: Purpose,
    close: AbortHandle,
}

/// One connection's; given back when it is dropped.
pub(super) struct Place {
    number: Number,
    places: Places,
    closed: Abortable<Pending<()>>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The name is locked out.
    Denied { name: NodeName },
    /// All are taken.
    Full { max: usize },
    /// Those of operators are; the rest is kept for nodes.
    FullOfOperators { max: usize },
    /// Those of peer regions are.
    FullOfRegions { max: usize },
    /// This name has as many as it may.
    OfName { name: NodeName, purpose: Purpose, max: usize },
}

impl fmt::Display for NoPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { name } => write!(formatter, "the name `{name}` is denied"),
            Self::Full { max } => write!(formatter, "all {max} connections are taken"),
            Self::FullOfOperators { max } => {
                write!(formatter, "all {max} connections of operators are taken")
            }
            Self::FullOfRegions { max } => {
                write!(formatter, "all {max} connections of peer regions are taken")
            }
            Self::OfName { name, purpose, max } => {
                write!(formatter, "{} `{name}` has {max} connections already", purpose.as_str())
            }
        }
    }
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, held: Mutex::default() }))
    }

    /// A place for a connection of `name`, if it may have one more. A node and an operator of one name are two.
    pub(super) fn take(&self, name: &NodeName, purpose: Purpose) -> Result<Place, NoPlace> {
        let limits = &self.0.limits;
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: whoever is let in before a name is denied is found by `close_denied`.
        if limits.denied.contains(name) {
            return Err(NoPlace::Denied { name: name.clone() });
        }
        let of_purpose = || held.connections.values().filter(|holder| holder.purpose == purpose);
        let of_name_max = match purpose {
            Purpose::Node => limits.connections_per_node_max,
            Purpose::Operator => limits.connections_per_operator_max,
            Purpose::Region => limits.connections_per_region_node_max,
        };
        if of_purpose().filter(|holder| holder.name == *name).count() >= of_name_max {
            return Err(NoPlace::OfName { name: name.clone(), purpose, max: of_name_max });
        }
        if purpose == Purpose::Operator && of_purpose().count() >= limits.operators_max {
            return Err(NoPlace::FullOfOperators { max: limits.operators_max });
        }
        if purpose == Purpose::Region && of_purpose().count() >= limits.regions_max {
            return Err(NoPlace::FullOfRegions { max: limits.regions_max });
        }
        if held.connections.len() >= limits.connections_max {
            return Err(NoPlace::Full { max: limits.connections_max });
        }
        let number = held.next;
        held.next += 1;
        let (close, registration) = AbortHandle::new_pair();
        held.connections.insert(number, Holder { name: name.clone(), purpose, close });
        Ok(Place { number, places: self.clone(), closed: Abortable::new(pending(), registration) })
    }

    /// Ends the connections of names that are denied by now.
    pub(super) fn close_denied(&self) {
        let held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        for holder in held.connections.values().filter(|holder| self.0.limits.denied.contains(&holder.name)) {
            tracing::warn!(peer = %holder.name, "a connection is ended: its name is denied");
            holder.close.abort();
        }
    }
}

impl Place {
    /// Ready when the connection is to end.
    pub(super) fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.closed).poll(context).map(drop)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new(Limits {
            connections_max: 8,
            operators_max: 3,
            connections_per_operator_max: 2,
            connections_per_node_max: 4,
            regions_max: 2,
            connections_per_region_node_max: 1,
            ..Limits::default()
        })
    }

    fn take(places: &Places, name: &str, purpose: Purpose) -> Result<Place, String> {
        places.take(&name.parse().unwrap(), purpose).map_err(|error| error.to_string())
    }

    #[test]
    fn operators_leave_places_for_nodes_however_many_they_are() {
        let places = places();
        let check = |name, purpose, expect: Result<(), &str>| {
            let taken = take(&places, name, purpose);
            assert_eq!(taken.as_ref().map(|_| ()).map_err(String::as_str), expect, "{name}");
            taken.ok()
        };
        let (anna, node) = (Purpose::Operator, Purpose::Node);
        let _held = [
            check("anna", anna, Ok(())),
            check("anna", anna, Ok(())),
            check("anna", anna, Err("operator `anna` has 2 connections already")),
            check("bert", anna, Ok(())),
            check("carl", anna, Err("all 3 connections of operators are taken")),
            // The name of an operator is nothing to a node.
            check("anna", node, Ok(())),
            check("b", node, Ok(())),
            check("b", node, Ok(())),
            check("b", node, Ok(())),
            check("b", node, Ok(())),
            check("b", node, Err("node `b` has 4 connections already")),
            check("c", node, Err("all 8 connections are taken")),
        ];
    }

    #[test]
    fn peer_regions_leave_places_for_nodes() {
        let places = places();
        let first = take(&places, "gw-1", Purpose::Region).unwrap();
        let check = |name, expect: &str| {
            assert_eq!(take(&places, name, Purpose::Region).err().as_deref(), Some(expect));
        };
        check("gw-1", "region `gw-1` has 1 connections already");
        let second = take(&places, "gw-2", Purpose::Region).unwrap();
        check("gw-3", "all 2 connections of peer regions are taken");
        assert!(take(&places, "gw-1", Purpose::Node).is_ok());
        drop((first, second));
    }

    #[tokio::test]
    async fn a_name_that_is_denied_loses_its_places_and_no_other_does() {
        let places = places();
        let mut held: Vec<_> =
            ["eve", "good", "eve"].iter().map(|name| take(&places, name, Purpose::Node).unwrap()).collect();
        let mut closed = || {
            let mut context = Context::from_waker(std::task::Waker::noop());
            held.iter_mut().map(|place| place.poll_closed(&mut context).is_ready()).collect::<Vec<_>>()
        };
        places.close_denied();
        assert_eq!(closed(), [false, false, false]);
        assert!(places.0.limits.denied.set(["eve".parse().unwrap()].into()));
        places.close_denied();
        assert_eq!(closed(), [true, false, true]);
        assert_eq!(take(&places, "eve", Purpose::Node).err().as_deref(), Some("the name `eve` is denied"));
        assert!(take(&places, "eve", Purpose::Operator).is_err());
        places.0.limits.denied.set([].into());
        assert!(take(&places, "eve", Purpose::Node).is_ok());
    }

    #[test]
    fn a_place_comes_back_when_its_connection_ends() {
        let places = places();
        let first = take(&places, "anna", Purpose::Operator).unwrap();
        let _second = take(&places, "anna", Purpose::Operator).unwrap();
        assert!(take(&places, "anna", Purpose::Operator).is_err());
        drop(first);
        assert!(take(&places, "anna", Purpose::Operator).is_ok());
    }
}
