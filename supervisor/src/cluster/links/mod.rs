//! Links between nodes: ractor_cluster over sockets of ours, one a peer, dialled again until they stand.
//!
//! What comes in are proven control connections that others opened, and the peers that are wanted, with their addresses.
//! What goes out is who is linked ([`Links::status`]), and remote actors in ractor's process groups. ractor_cluster alone
//! would queue without end, never notice a silent peer and never dial again; here:
//!
//! - the name that a peer claims to ractor_cluster must be that of its certificate (`claim.rs`), before ractor_cluster
//!   hears of it;
//! - a link that is silent for [`LinkSettings::idle_limit`], or takes no bytes for as long, ends (`guard.rs`);
//!   ractor_cluster's pings every 1 to 5 s make that a failure detector;
//! - a wanted peer that is not linked is dialled, judged by what is and not by events (`redial.rs`);
//! - why one is missing is said when it is for longer, not while two give way to one or a peer leaves (`failures.rs`);
//! - of two lives of one node the later one counts (`sessions.rs`);
//! - its own listener is bound to loopback and completes no handshake, so that nobody reaches it past the certificates.
//!
//! The cookie is the cluster's name: it tells clusters apart and proves nothing.

mod claim;
mod failures;
mod guard;
mod keeper;
mod node_server;
mod redial;
mod sessions;

pub use keeper::{LinkSettings, LinkStatus, Links};
pub use node_server::FRAME_BYTES_MAX;
