//! Nodes that form a cluster: who belongs to it, how they are connected, and how they ask each other.
//!
//! What comes in is a folder of certificates, an address to listen on and addresses of others. What goes out is one
//! authenticated connection a peer and protocol, and calls between nodes that end: with an answer, a typed refusal or a
//! timeout.
//!
//! - **Identity.** A node is the one DNS name of its certificate ([`certificates`]); one life of it is name and
//!   incarnation ([`NodeIdentity`]).
//! - **Sockets are ours.** [`transport`] accepts and dials: TLS 1.3 with certificates on both sides, deadlines and caps
//!   before anything is believed. What a connection carries is told by ALPN.
//! - **Links** ([`links`]) are ractor_cluster's sessions over these connections, dialled again until they stand.
//! - **Calls** ([`control`]) go over links: small, versioned, bounded in number, size and time.
//! - **Membership is a hint.** [`membership`] tells who is there, which drives redialling and placement, never safety.
//!
//! A node composes them as children of one supervisor, in this order:
//!
//! ```text
//! let links = Links::new(LinkSettings::new(identity, credentials.clone(), clock, seed));
//! let plane = ControlPlane::new(links.clone(), handler);
//! SupervisorSpec::new("cluster", Strategy::OneForOne, intensity)
//!     .child(plane.child())
//!     .child(links.child())
//!     .child(acceptor(address, credentials, limits, route))   // route: Control to links.offer, Flight to the server
//! links.want(peers_with_addresses);
//! plane.call(&peer, Request::new("tree", body), timeout).await
//! ```

pub mod certificates;
pub mod transport;
pub mod links;
pub mod control;
pub mod role;
pub mod membership;
pub mod lease;
pub mod placement;

mod denied;
mod name;

pub use denied::DeniedNames;
pub use name::{ClusterName, NameError, NodeIdentity, NodeName};
