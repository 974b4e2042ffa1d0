//! What is counted that is of no one pipeline: the feed, streams between nodes, stores, sources.

/// What the feed counts, told now and then.
pub(crate) mod feed {
    use std::sync::atomic::Ordering;

    use super::super::contract::{
        CONNECTIONS, CONTRADICTIONS, EVICTED, FRAMES, RELAYED, SUBSCRIPTIONS, TIP, TIP_CLOSED_AT,
    };
    use crate::feed::{HubCounts, Tips};
    use metrics::{counter, gauge};

    /// Tells the counts of now.
    pub(crate) fn tell(counts: &HubCounts, tips: &Tips) {
        gauge!(CONNECTIONS).set(counts.connections.load(Ordering::Relaxed) as f64);
        gauge!(SUBSCRIPTIONS).set(counts.subscriptions.load(Ordering::Relaxed) as f64);
        counter!(EVICTED).absolute(counts.evicted.load(Ordering::Relaxed));
        counter!(CONTRADICTIONS).absolute(counts.contradictions.load(Ordering::Relaxed));
        counter!(RELAYED).absolute(counts.relayed.load(Ordering::Relaxed));
        counter!(FRAMES).absolute(counts.frames.load(Ordering::Relaxed));
        gauge!(TIP).set(f64::from(tips.tip_cursor().ledger.0));
        if let Some(closed_at) = tips.closed_at {
            gauge!(TIP_CLOSED_AT).set(closed_at.unix_seconds() as f64);
        }
    }
}

/// What the streams between nodes count, which are of no one pipeline.
pub(crate) mod exchange {
    use super::super::contract::{EXCHANGED_BYTES, IN_FLIGHT_BYTES, SENT_BYTES, STREAMS};
    use metrics::{counter, gauge};

    /// So many streams are open.
    pub(crate) fn streams(count: usize) {
        gauge!(STREAMS).set(count as f64);
    }

    /// A batch was sent.
    pub(crate) fn sent(bytes: usize) {
        counter!(SENT_BYTES).increment(bytes as u64);
    }

    /// A batch came.
    pub(crate) fn received(bytes: usize) {
        counter!(EXCHANGED_BYTES).increment(bytes as u64);
    }

    /// So many bytes are on their way.
    pub(crate) fn in_flight(bytes: usize) {
        gauge!(IN_FLIGHT_BYTES).set(bytes as f64);
    }
}

/// What stores of datasets are asked, and what comes of it.
pub(crate) mod store {
    use super::super::contract::{STORE_ERRORS, STORE_REQUESTS};
    use crate::dataset::StoreError;
    use metrics::counter;

    /// It is asked once.
    pub(crate) fn requested(action: &'static str) {
        counter!(STORE_REQUESTS, "action" => action).increment(1);
    }

    /// That failed, and may work if it is tried again.
    pub(crate) fn failed(action: &'static str) {
        counter!(STORE_ERRORS, "action" => action, "kind" => "passing").increment(1);
    }

    /// That failed, and is not tried again.
    pub(crate) fn gave_up(action: &'static str, error: &StoreError) {
        let kind = match error {
            StoreError::Unavailable { .. } => "unavailable",
            StoreError::Refused { .. } => "refused",
            StoreError::Full { .. } => "full",
            _ => "other",
        };
        counter!(STORE_ERRORS, "action" => action, "kind" => kind).increment(1);
    }
}

/// What sources fail at.
pub(crate) mod source {
    use super::super::contract::SOURCE_ERRORS;
    use metrics::counter;

    /// A fetch from a source failed; `source` counts from 0 in the order of the configuration.
    pub(crate) fn failed(source: usize, kind: &'static str) {
        counter!(SOURCE_ERRORS, "source" => source.to_string(), "kind" => kind).increment(1);
    }
}
