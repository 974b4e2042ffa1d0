//! How many proven connections there are, and whose: what one peer does leaves places for the others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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
    connections: BTreeMap<Number, (NodeName, Purpose)>,
    next: Number,
}

/// One connection's; given back when it is dropped.
pub(super) struct Place {
    number: Number,
    places: Places,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    Full { max: usize },
    /// Those of operators are; the rest is kept for nodes.
    FullOfOperators { max: usize },
    /// This name has as many as it may.
    OfName { name: NodeName, purpose: Purpose, max: usize },
}

impl fmt::Display for NoPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { max } => write!(formatter, "all {max} connections are taken"),
            Self::FullOfOperators { max } => {
                write!(formatter, "all {max} connections of operators are taken")
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
        let of_purpose = || held.connections.values().filter(|(_, other)| *other == purpose);
        let of_name_max = match purpose {
            Purpose::Node => limits.connections_per_node_max,
            Purpose::Operator => limits.connections_per_operator_max,
        };
        if of_purpose().filter(|(other, _)| other == name).count() >= of_name_max {
            return Err(NoPlace::OfName { name: name.clone(), purpose, max: of_name_max });
        }
        if purpose == Purpose::Operator && of_purpose().count() >= limits.operators_max {
            return Err(NoPlace::FullOfOperators { max: limits.operators_max });
        }
        if held.connections.len() >= limits.connections_max {
            return Err(NoPlace::Full { max: limits.connections_max });
        }
        let number = held.next;
        held.next += 1;
        held.connections.insert(number, (name.clone(), purpose));
        Ok(Place { number, places: self.clone() })
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
    fn a_place_comes_back_when_its_connection_ends() {
        let places = places();
        let first = take(&places, "anna", Purpose::Operator).unwrap();
        let _second = take(&places, "anna", Purpose::Operator).unwrap();
        assert!(take(&places, "anna", Purpose::Operator).is_err());
        drop(first);
        assert!(take(&places, "anna", Purpose::Operator).is_ok());
    }
}
