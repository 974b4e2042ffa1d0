//! Nodes that form a cluster: who they are, who is there, what each has to do, and how they reach each other.

pub mod name;
pub mod role;
pub mod membership;
pub mod placement;
pub mod lease;
