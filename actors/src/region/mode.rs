//! What a region does about another one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a region becomes, and stays, equal to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationMode {
    /// It derives everything itself, and compares.
    Recompute,
    /// It derives nothing, and takes what the other one has.
    Copy,
    /// It derives, and takes what it has not made itself when it is behind.
    Both,
}

impl ReplicationMode {
    const ALL: [Self; 3] = [Self::Recompute, Self::Copy, Self::Both];

    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recompute => "recompute",
            Self::Copy => "copy",
            Self::Both => "both",
        }
    }
}

impl fmt::Display for ReplicationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ReplicationMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| "give recompute, copy or both".to_owned())
    }
}
