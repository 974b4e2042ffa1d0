//! A reader of the feed: what `orrery tail` does. Keeps its place over every break: the server's, the network's, its own.
//!
//! In: messages of `/v1/feed` and the ends of connections. Out: each event once, in order, and what to do next. What it
//! decides is [`core`], purely, and where it goes on if it has several servers [`endpoints`]; [`socket`] and [`standing`]
//! carry it out.

mod core;
mod endpoints;
mod line;
mod socket;
mod standing;

pub(crate) use core::{Begin, Core, End, Next};
pub(crate) use endpoints::Endpoints;
pub(crate) use line::human;
pub(crate) use socket::{Closed, Heard, Server, Socket};
pub(crate) use standing::{better, standings};
