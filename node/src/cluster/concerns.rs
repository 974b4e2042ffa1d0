//! What the active coordinator wants a person to know: why ledgers wait though nothing has failed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use orrery_supervisor::MonotonicTime;
use orrery_supervisor::cluster::NodeName;
use orrery_supervisor::cluster::role::Role;

/// Before the log has the same again: it lasts until somebody acts, and is decided several times a second.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Concern {
    /// Roles that nobody who is ready has.
    Missing {
        /// Which.
        roles: Vec<Role>,
        /// Ledgers that are there and are not durable.
        ledgers: u32,
    },
    /// A node does not begin what it is given.
    Idle(NodeName),
    /// A node does nothing, for a reason that it tells.
    Parked(NodeName, String),
}

impl Concern {
    /// What stays the same while it lasts.
    fn about(&self) -> String {
        match self {
            Self::Missing { roles, .. } => listed(roles),
            Self::Idle(node) => format!("{node} is idle"),
            Self::Parked(node, why) => format!("{node} {why}"),
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { roles, ledgers } => write!(
                f,
                "no node that is ready has the role {}: {ledgers} ledgers wait; start one with --roles that has it, or see why \
                 those that have it are not ready",
                listed(roles)
            ),
            Self::Idle(node) => {
                write!(
                    f,
                    "{node} does not begin what it is given, others get it: see orrery logs --node {node}"
                )
            }
            Self::Parked(node, why) => write!(f, "{node} does nothing: {why}"),
        }
    }
}

fn listed(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

/// When each was said last.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeMap<String, MonotonicTime>);

impl Said {
    /// Those of `concerns` that the log is to have now.
    pub(super) fn due<'a>(&mut self, concerns: &'a [Concern], now: MonotonicTime) -> Vec<&'a Concern> {
        // What comes and goes is not said each time it comes.
        self.0.retain(|_, at| now.since(*at) < SAY_EVERY);
        let is_new = |concern: &&Concern| match self.0.entry(concern.about()) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(now);
                true
            }
        };
        concerns.iter().filter(is_new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_once_in_a_while() {
        let missing = |ledgers| Concern::Missing { roles: vec![Role::Fetcher, Role::Sink], ledgers };
        let idle = Concern::Idle("b".parse().unwrap());
        let mut said = Said::default();
        let mut check = |seconds, concerns: &[Concern], expect: &[&str]| {
            let now = MonotonicTime::ORIGIN.after(Duration::from_secs(seconds));
            let due: Vec<String> = said.due(concerns, now).into_iter().map(Concern::to_string).collect();
            assert_eq!(due.len(), expect.len(), "{seconds} {due:?}");
            assert!(due.iter().zip(expect).all(|(due, expect)| due.starts_with(expect)), "{due:?}");
        };
        check(0, &[missing(7)], &["no node that is ready has the role fetcher, sink: 7 ledgers wait"]);
        check(1, &[missing(8)], &[]);
        check(2, &[missing(8), idle.clone()], &["b does not begin"]);
        check(29, &[missing(9), idle.clone()], &[]);
        check(30, &[missing(9), idle], &["no node that is ready has the role fetcher, sink: 9 ledgers wait"]);
    }
}
