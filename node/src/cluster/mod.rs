//! A node that shares its work with others: who they are, what each does, and how they ask each other.
//!
//! ```text
//! coordinator (one active) --assignment--> assignee of every node --> pipelines/<name>/<task>
//!                          <---report-----
//! ```

mod settings;
mod message;
mod orders;
mod peers;
mod assignee;
mod same_dataset;
mod completion;
mod hearing;
mod concerns;
mod newer;
mod lease;
mod coordinator;
mod flight;
mod relay;
mod inspection;
mod member;

pub(crate) use assignee::Assignee;
pub(crate) use flight::{channel, region_channel};
pub(crate) use hearing::Readers;
pub(crate) use member::{ClusterNode, Served};
pub(crate) use message::Ask;
pub(crate) use peers::Peers;
pub(crate) use settings::{ClusterSettings, denied_names};
