//! Why a node cannot take part, or no longer does.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use super::settings::SEEDS_MAX;
use crate::cluster::{NodeIdentity, NodeName};

/// Why a node cannot take part in the gossip, or no longer does.
#[derive(Debug, Error)]
pub enum MembershipError {
    /// Nothing was started.
    #[error(
        "datagrams cannot be received at {address} (UDP): {error}; give another address, or end who uses it"
    )]
    Bind {
        /// As given.
        address: SocketAddr,
        /// Of the system.
        error: io::Error,
    },
    /// Nothing was started.
    #[error("others cannot send to {address}; advertise the address of an interface")]
    Advertise {
        /// As given.
        address: SocketAddr,
    },
    /// Nothing was started.
    #[error("{first} must not be longer than {then}; set the membership's times in this order")]
    Timings {
        /// The one that should be shorter.
        first: &'static str,
        /// The one that should be longer.
        then: &'static str,
    },
    /// Nothing was started.
    #[error("{count} seeds are above the limit of {SEEDS_MAX}; a few that are always there are enough")]
    Seeds {
        /// As given.
        count: usize,
    },
    /// Nothing was started.
    #[error("the gossip cannot start: {0}")]
    Start(String),
    /// Two processes must not have one name: a newcomer that finds its name in use does not take part.
    #[error(
        "a node named `{name}` is already in the cluster at {address}: stop it, or give this one another name (its \
         certificate's, if it has one)"
    )]
    NameTaken {
        /// Of both.
        name: NodeName,
        /// Where the other one gossips.
        address: SocketAddr,
    },
    /// The later of two lives stays, if the former did not answer when it came.
    #[error(
        "{me} did not answer for a while and was replaced by {by} at {address}, which has its name; leave this process \
         ended, or give one of them another name"
    )]
    Replaced {
        /// This life.
        me: NodeIdentity,
        /// A later one.
        by: NodeIdentity,
        /// Where that listens.
        address: SocketAddr,
    },
    /// It no longer runs: this node hears of nobody, and nobody of it. Start it again.
    #[error("the gossip ended: {0}; it has to be started again")]
    Ended(String),
}

impl MembershipError {
    /// Whether somebody else has this node's name: starting it again would not help.
    pub const fn is_of_name(&self) -> bool {
        matches!(self, Self::NameTaken { .. } | Self::Replaced { .. })
    }
}
