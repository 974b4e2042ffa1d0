//! Stages of one pipeline on different nodes: ledgers and events cross over Arrow Flight, one `DoExchange` stream a stage.
//!
//! ```text
//! node with the processor                               node with the stage
//! RemoteFetcher  -- begin, grant, credit ------------>  ServedFetcher -- demands --> Fetcher
//!                <- ledgers, object, ended -----------                <- objects --
//! RemoteSink     -- events, rows, end --------------->  ServedSink    -- batches --> Sink
//!                <- ready, granted, credit, durable --                <- credits --
//! ```
//!
//! [`RemoteFetcher`] and [`RemoteSink`] take the place of a fetcher and a sink in a pipeline's tree; [`ExchangeService`] has
//! the real ones work at the other end, for as long as the stream lives.
//!
//! `live.rs` is beside it: what a node derives of the live tail, for the feeds of nodes that derive something else.
//!
//! - **Order.** Frames of each direction are numbered; a gap ends the stream. Ledgers and events come in the order of the
//!   chain, as between actors of one node, and batches carry the run that they were asked for in.
//! - **Credits.** A batch is sent against a credit of the receiver, as on one node, and its bytes against a window, which
//!   comes back when the batch has been handed on. What a stream holds is [`ExchangeLimits::receiver_bytes_max`] in the
//!   node that receives and [`ExchangeLimits::sender_bytes_max`] in the one that sends.
//! - **Delivery.** Nothing is sent twice on a stream. A stream that breaks ends the stage here as unavailable: the pipeline
//!   restarts from what is durable, waits for the node as for a source, and opens another. The epoch of a stream is the pipeline's incarnation.
//! - **Acknowledgement.** What a sink has made durable is told by a frame of its own, never by a credit.
//! - **Errors** keep their class on the way: what would park a pipeline on one node parks it here too. Only what would end a
//!   process parks as well (`error.rs`): the settings of one node do not end another.

mod error;
mod header_wire;
mod limits;
mod window;
mod part_credits;
mod ipc;
mod ledger_frames;
mod event_frames;
mod meter;
mod link;
mod node_link;
mod dial;
mod accept;
mod remote_fetcher;
mod remote_sink;
mod relay;
mod served_fetcher;
mod served_sink;
mod admission;
mod live;
mod service;

pub use accept::Accepted;
pub use dial::{Dial, channel_over, long_haul_channel_over};
pub use error::ExchangeError;
pub use header_wire::{AtTipWire, DatasetWire, Opening, TableWire, VERSION, Wanted};
pub use limits::{Compression, ExchangeLimits, FRAME_BYTES_MAX, FRAME_BYTES_TARGET, MESSAGE_BYTES_MAX};
pub use live::{LiveStream, LiveTicket, Orders, live, refusal};
pub use meter::{ExchangeCounts, ExchangeMeter};
pub use node_link::{Connect, Extract, Inject, Reach, RemoteNode, TraceContext};
pub use remote_fetcher::{RemoteFetcher, RemoteFetcherSettings, RemoteFetcherState};
pub use remote_sink::{RemoteSink, RemoteSinkSettings, RemoteSinkState};
pub use service::{
    Answer, DoAction, DoGet, ExchangeService, ExchangeSettings, FlightHandlers, ListActions, MakeStage,
    ServedStream, tuned_endpoint, tuned_server,
};

#[cfg(test)]
mod tests;
