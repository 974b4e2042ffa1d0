//! The feed's memory: recent ledgers with their events, for readers that want them at once, joined with the dataset for
//! readers that are further behind.
//!
//! In: every proven batch of a pipeline, offered where the processor hands it to the sinks; the dataset, looked at now and
//! then. Out: ledger after ledger for each reader, in order, none twice and none left out. A reader asks for the ledger at
//! its own position and gets it from memory, from the dataset, or is told to wait: there is no seam to go wrong at.
//! Nobody who offers ever waits, and what is held is bounded by [`HubLimits`].

mod ring;
mod ledger;
mod tips;
mod history;
mod stored;
mod pages;
mod frames;
mod messages;
mod frame_store;
mod awaited;
mod hub;
mod outlet;

pub use frames::{FRAME_EVENTS_MAX, Format, Frame, FrameError, arrow_head};
pub use history::{History, HistoryError, Page};
pub use hub::{Hub, HubCounts, HubLimits, Look, Wanted};
pub use ledger::FeedLedger;
pub use messages::{RowEncoder, RowMessage, RowMessageError};
pub use outlet::{OUTLET_BYTES, Outlet};
pub use ring::{Link, Offered, Ring};
pub use stored::StoredHistory;
pub use tips::{Extent, Tips};
