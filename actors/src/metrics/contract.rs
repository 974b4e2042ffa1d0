//! Names of the metrics of the data path, each declared once.

use orrery_supervisor::{Metric, Shown};

pub(crate) const RECEIVED_LEDGERS: &str = "orrery_source_received_ledgers_total";
pub(crate) const RECEIVED_BYTES: &str = "orrery_source_received_bytes_total";
pub(crate) const FETCH_WATERMARK: &str = "orrery_source_watermark_ledger";
pub(crate) const SOURCE_OUTAGE: &str = "orrery_source_outage";
pub(crate) const SOURCE_ERRORS: &str = "orrery_source_errors_total";
pub(crate) const CHANGED_OBJECTS: &str = "orrery_source_changed_objects_total";
pub(crate) const PROCESSED_LEDGERS: &str = "orrery_processor_sent_ledgers_total";
pub(crate) const SENT_EVENTS: &str = "orrery_processor_sent_events_total";
pub(crate) const EVENTS_BY_KIND: &str = "orrery_processor_events_by_kind_total";
pub(crate) const EVENTS_BY_ASSET: &str = "orrery_processor_events_by_asset_class_total";
pub(crate) const TRANSACTIONS: &str = "orrery_processor_transactions_total";
pub(crate) const IN_FLIGHT: &str = "orrery_processor_in_flight_batches";
pub(crate) const STALLED: &str = "orrery_processor_waits_for_credits";
pub(crate) const PROCESS_WATERMARK: &str = "orrery_processor_watermark_ledger";
pub(crate) const REFUSED_LEDGERS: &str = "orrery_processor_refused_ledgers_total";
pub(crate) const QUARANTINED_LEDGERS: &str = "orrery_processor_quarantined_ledgers_total";
pub(crate) const NEWEST: &str = "orrery_pipeline_newest_ledger";
pub(crate) const CHECKPOINT: &str = "orrery_sink_checkpoint_ledger";
pub(crate) const CHECKPOINT_CLOSED_AT: &str = "orrery_sink_checkpoint_closed_at_seconds";
pub(crate) const LOST_CHECKPOINTS: &str = "orrery_sink_lost_checkpoints_total";
pub(crate) const SINK_OUTAGE: &str = "orrery_sink_outage";
pub(crate) const COMMITS: &str = "orrery_sink_commits_total";
pub(crate) const COMMIT_SECONDS: &str = "orrery_sink_commit_seconds";
pub(crate) const STORE_REQUESTS: &str = "orrery_store_requests_total";
pub(crate) const STORE_ERRORS: &str = "orrery_store_errors_total";
pub(crate) const STREAMS: &str = "orrery_exchange_open_streams";
pub(crate) const SENT_BYTES: &str = "orrery_exchange_sent_bytes_total";
pub(crate) const EXCHANGED_BYTES: &str = "orrery_exchange_received_bytes_total";
pub(crate) const IN_FLIGHT_BYTES: &str = "orrery_exchange_in_flight_bytes";
pub(crate) const CONNECTIONS: &str = "orrery_feed_connections";
pub(crate) const SUBSCRIPTIONS: &str = "orrery_feed_subscriptions";
pub(crate) const EVICTED: &str = "orrery_feed_evicted_total";
pub(crate) const CONTRADICTIONS: &str = "orrery_feed_contradictions_total";
pub(crate) const RELAYED: &str = "orrery_feed_relayed_ledgers_total";
pub(crate) const FRAMES: &str = "orrery_feed_sent_frames_total";
pub(crate) const TIP: &str = "orrery_feed_tip_ledger";
pub(crate) const TIP_CLOSED_AT: &str = "orrery_feed_tip_closed_at_seconds";

const PIPELINE: &[&str] = &["pipeline"];
const OUTPUT: &[&str] = &["pipeline", "output"];

/// Every metric of the data path.
pub const METRICS: [Metric; 37] = [
    Metric::counter(RECEIVED_LEDGERS, "ledgers", "Ledgers that the fetcher sent to the processor.").of(PIPELINE),
    Metric::counter(RECEIVED_BYTES, "bytes", "Bytes of objects and answers that held those ledgers.").of(PIPELINE),
    Metric::gauge(FETCH_WATERMARK, "ledger", "Last ledger that the fetcher sent to the processor.").of(PIPELINE),
    Metric::gauge(SOURCE_OUTAGE, "1", "1 while no source gives the ledger that is due.").of(PIPELINE),
    Metric::counter(SOURCE_ERRORS, "attempts", "Fetches from a source that failed, by what failed.")
        .of(&["source", "kind"])
        .shown(Shown::Sometimes),
    Metric::counter(CHANGED_OBJECTS, "objects", "Objects whose bytes changed after they were processed.")
        .of(PIPELINE),
    Metric::counter(PROCESSED_LEDGERS, "ledgers", "Ledgers that the processor proved and sent to the sinks.")
        .of(PIPELINE),
    Metric::counter(SENT_EVENTS, "events", "Events that the processor sent to the sinks.").of(PIPELINE),
    Metric::counter(EVENTS_BY_KIND, "events", "The same by kind: transfer, mint, burn, clawback, fee.")
        .of(&["pipeline", "kind"]),
    Metric::counter(
        EVENTS_BY_ASSET,
        "events",
        "The same by what is moved: native, an issued asset, or a contract's token.",
    )
    .of(&["pipeline", "class"]),
    Metric::counter(TRANSACTIONS, "transactions", "Transactions of the ledgers that were sent, by outcome.")
        .of(&["pipeline", "outcome"]),
    Metric::gauge(IN_FLIGHT, "batches", "Batches that the fetcher sent and the processor has not sent on.")
        .of(PIPELINE),
    Metric::gauge(STALLED, "1", "1 while a batch is done and a sink has granted no credit for it.").of(PIPELINE),
    Metric::gauge(PROCESS_WATERMARK, "ledger", "Last ledger that the processor sent to the sinks.").of(PIPELINE),
    Metric::counter(REFUSED_LEDGERS, "ledgers", "Ledgers that failed a proof or could not be processed.")
        .of(PIPELINE),
    Metric::counter(QUARANTINED_LEDGERS, "ledgers", "Ledgers that failed for good and were kept as evidence.")
        .of(PIPELINE),
    Metric::gauge(NEWEST, "ledger", "The newest ledger that is wanted and is there, as far as the node knows.")
        .of(PIPELINE)
        .shown(Shown::Sometimes),
    Metric::gauge(CHECKPOINT, "ledger", "Last ledger that is durable in the output.").of(OUTPUT),
    Metric::gauge(CHECKPOINT_CLOSED_AT, "unix seconds", "Close time of that ledger, in seconds since 1970 (UTC).")
        .of(OUTPUT),
    Metric::counter(
        LOST_CHECKPOINTS,
        "openings",
        "Openings of an output that has fewer ledgers than were durable in it before (CKPT-1).",
    )
    .of(PIPELINE),
    Metric::gauge(SINK_OUTAGE, "1", "1 while the output cannot be read or written.").of(OUTPUT),
    Metric::counter(COMMITS, "commits", "Commits to the output.").of(OUTPUT),
    Metric::histogram(COMMIT_SECONDS, "seconds", "Time that a commit took.").of(OUTPUT),
    Metric::counter(STORE_REQUESTS, "requests", "Requests to the store of a dataset, by what is done.")
        .of(&["action"]),
    Metric::counter(
        STORE_ERRORS,
        "requests",
        "Requests to the store that failed: passing (tried again), unavailable (given up), refused, full or other.",
    )
    .of(&["action", "kind"])
    .shown(Shown::Sometimes),
    Metric::gauge(STREAMS, "streams", "Streams that are open to stages on other nodes, or from them.")
        .shown(Shown::Sometimes),
    Metric::counter(SENT_BYTES, "bytes", "Bytes of batches sent to other nodes.").shown(Shown::Sometimes),
    Metric::counter(EXCHANGED_BYTES, "bytes", "Bytes of batches received from other nodes.")
        .shown(Shown::Sometimes),
    Metric::gauge(IN_FLIGHT_BYTES, "bytes", "Bytes of batches on their way between this node and others.")
        .shown(Shown::Sometimes),
    Metric::gauge(CONNECTIONS, "readers", "Readers that are connected to the feed."),
    Metric::gauge(SUBSCRIPTIONS, "subscriptions", "Subscriptions of these."),
    Metric::counter(EVICTED, "readers", "Readers of the feed that were closed because they were too slow."),
    Metric::counter(
        CONTRADICTIONS,
        "ledgers",
        "Ledgers that came to the feed with another hash than one that it has (SRC-2).",
    ),
    Metric::counter(
        RELAYED,
        "ledgers",
        "Live ledgers that other nodes gave to this node's feed before they were durable.",
    ),
    Metric::counter(FRAMES, "frames", "Frames of events that readers of the feed were sent."),
    Metric::gauge(TIP, "ledger", "The newest ledger that a reader of the feed can have."),
    Metric::gauge(TIP_CLOSED_AT, "unix seconds", "When that ledger closed, if it is in memory.")
        .shown(Shown::Sometimes),
];
