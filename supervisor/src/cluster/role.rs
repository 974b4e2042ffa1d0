//! What a node may be asked to do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One thing that a node does for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads ledgers from the stores.
    Fetcher,
    /// Turns ledgers into events, and owns the pipelines.
    Processor,
    /// Makes events durable.
    Sink,
    /// May become the one that assigns work.
    Coordinator,
    /// Answers readers.
    Gateway,
}

impl Role {
    /// Every role, in the order of the data.
    pub const ALL: [Self; 5] = [Self::Fetcher, Self::Processor, Self::Sink, Self::Coordinator, Self::Gateway];

    /// As written in settings and sent to other nodes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetcher => "fetcher",
            Self::Processor => "processor",
            Self::Sink => "sink",
            Self::Coordinator => "coordinator",
            Self::Gateway => "gateway",
        }
    }
}

/// The roles of one node: at least one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Roles(BTreeSet<Role>);

/// A list of roles that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RolesError {
    /// No role is called so.
    #[error("`{role}` is no role; valid are {}", valid())]
    Unknown {
        /// As given; shortened if it is very long.
        role: String,
    },
    /// A node without a role would never do anything.
    #[error("the list of roles is empty; give some of {}, or leave it out for all", valid())]
    None,
}

fn valid() -> String {
    Role::ALL.map(Role::as_str).join(", ")
}

/// The longest text of an unknown role that a message repeats.
const SHOWN_MAX: usize = 32;

impl Roles {
    /// All of them, which is what a node has that is not told otherwise.
    pub fn all() -> Self {
        Self(Role::ALL.into())
    }

    /// Exactly these.
    ///
    /// # Errors
    ///
    /// There must be one.
    pub fn new(roles: impl IntoIterator<Item = Role>) -> Result<Self, RolesError> {
        let roles: BTreeSet<_> = roles.into_iter().collect();
        if roles.is_empty() { Err(RolesError::None) } else { Ok(Self(roles)) }
    }

    /// Whether it is among them.
    pub fn contains(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// In the order of the data.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self::all()
    }
}

impl FromStr for Role {
    type Err = RolesError;

    fn from_str(text: &str) -> Result<Self, RolesError> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| RolesError::Unknown {
            role: text.chars().take(SHOWN_MAX).flat_map(char::escape_default).collect(),
        })
    }
}

/// Names with commas between them, as after `--roles`.
impl FromStr for Roles {
    type Err = RolesError;

    fn from_str(text: &str) -> Result<Self, RolesError> {
        if text.trim().is_empty() {
            return Err(RolesError::None);
        }
        let roles: Result<BTreeSet<_>, _> = text.split(',').map(|role| role.trim().parse()).collect();
        Self::new(roles?)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, role) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{role}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_from_a_list() {
        let check = |text: &str, expect: &str| {
            let read =
                text.parse::<Roles>().map_or_else(|error| error.to_string(), |roles| roles.to_string());
            assert_eq!(read, expect, "{text:?}");
        };
        check("fetcher", "fetcher");
        check("sink,fetcher", "fetcher,sink");
        check(" sink , sink ", "sink");
        check(&Roles::all().to_string(), "fetcher,processor,sink,coordinator,gateway");
        let valid = "fetcher, processor, sink, coordinator, gateway";
        check("", &format!("the list of roles is empty; give some of {valid}, or leave it out for all"));
        check("sinks", &format!("`sinks` is no role; valid are {valid}"));
        check("sink,", &format!("`` is no role; valid are {valid}"));
        check("Sink", &format!("`Sink` is no role; valid are {valid}"));
        check("\u{1b}[2J", &format!("`\\u{{1b}}[2J` is no role; valid are {valid}"));
        let long = "x".repeat(1000);
        check(&long, &format!("`{}` is no role; valid are {valid}", &long[..SHOWN_MAX]));
    }
}
