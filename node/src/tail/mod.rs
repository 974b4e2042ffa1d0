//! A reader of the feed: what `orrery tail` does. Keeps its place over every break: the server's, the network's, its own.
//!
//! In: messages of `/v1/feed` and the ends of connections. Out: each event once, in order, and what to do next. What it
//! decides is [`core`], purely; [`socket`] carries it out.

mod core;
mod line;
mod socket;

pub(crate) use core::{Begin, Core, End, Next};
pub(crate) use line::human;
pub(crate) use socket::{Closed, Heard, Server};
