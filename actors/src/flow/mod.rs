//! How work moves between actors without piling up: credits bound what is on its way, and what was worked on in
//! parallel comes out in order.
//!
//! Mailboxes have no bound of their own, so demand is explicit: the receiver grants credits, the sender sends only
//! against one, and nobody ever waits for room. What a pipeline can hold at once is therefore a sum that is written
//! down: see [`crate::pipeline::supervised::PipelineLimits`].

mod credit;
mod order;

pub use credit::{Credits, NoCredit};
pub use order::InOrder;
