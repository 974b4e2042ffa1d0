//! A node that shares its work with others.
mod assignee;
mod message;
mod settings;

pub(crate) use settings::ClusterSettings;
