//! One TCP port a node, TLS 1.3 with certificates on both sides, and what a connection carries told by ALPN.
//!
//! What comes in are sockets of anybody who can reach the port. What goes out are [`Connection`]s whose peer proved its
//! name with a certificate of the cluster's authority, and a counted refusal for everything else. A peer that says
//! nothing, or the wrong thing, delays nobody: handshakes run side by side, each within a deadline, few from one address,
//! and when there are too many the oldest gives way.
//!
//! | held for peers that proved nothing | at most |
//! |---|---|
//! | handshakes at once | [`Limits::handshakes_max`] |
//! | of these from one address | [`Limits::handshakes_per_address_max`] |
//! | time of each | [`Limits::handshake_deadline`] |
//! | bytes of each | a TLS record and a handshake message: about 80 KiB |
//!
//! A proven peer is bounded too: one name has few connections, operators leave places for nodes, and who does not speak
//! HTTP/2 within [`Limits::speaks_within`] gives its place back.

mod acceptor;
mod connection;
mod dial;
mod gate;
mod listener;
mod places;
mod prompt;
mod socket;

pub use acceptor::Acceptor;
pub use connection::{Connection, Stream};
pub use dial::{DialError, dial, dial_region};
pub use listener::{Counters, Limits, ListenError, Listener};
