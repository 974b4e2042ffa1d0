//! Where ledgers are fetched from, by number: the contract between stores and [`ledger_stream`](super::ledger_stream).

use std::ops::RangeInclusive;

use futures::future::BoxFuture;
use orrery_schemas::LedgerSequence;

use super::range::non_empty;
use super::{FetchedObject, LedgerBound, LedgerRange, SourceError, SourceErrorKind};

/// A place that gives ledgers by their numbers. One request each; who retries, waits and falls back is the stream.
///
/// What is synchronous here does no I/O and answers at once.
pub trait LedgerStore: Send + Sync {
    /// As the operator gave it, without secrets.
    fn name(&self) -> &str;

    /// Network of its ledgers, if it says so.
    fn network_passphrase(&self) -> Option<&str>;

    /// The ledgers around `sequence` that one fetch may bring: it contains `sequence`, and a fetch must not ask for more.
    fn unit(&self, sequence: LedgerSequence) -> RangeInclusive<LedgerSequence>;

    /// Bytes that fetching `range` is likely to need, from what was seen so far.
    fn bytes_estimate(&self, range: &RangeInclusive<LedgerSequence>) -> usize;

    /// Fetches that may run at once.
    fn fetches_max(&self) -> usize {
        usize::MAX
    }

    /// Fetches ledgers of one unit, holding at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// [`SourceErrorKind::is_transient`](super::SourceErrorKind::is_transient) tells which are worth another try.
    fn fetch(
        &self,
        range: RangeInclusive<LedgerSequence>,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Fetched, SourceError>>;

    /// The oldest ledger that it has. Expensive for some stores.
    fn oldest(&self) -> BoxFuture<'_, Result<LedgerSequence, SourceError>>;

    /// The newest ledger that it has. Expensive for some stores. `known` is a ledger believed to be there: a store that
    /// cannot list begins its search at it. Afterwards a fetch of an older ledger that is not there is an error.
    fn tip(&self, known: Option<LedgerSequence>) -> BoxFuture<'_, Result<LedgerSequence, SourceError>>;

    /// The error that `sequence` is not there, for who does not wait until it is.
    fn missing(&self, sequence: LedgerSequence) -> SourceError;
}

/// What a fetch brought.
#[derive(Debug)]
pub enum Fetched {
    /// At least one object: together they hold the wanted ledgers from the first one on, ascending and without gaps, though
    /// perhaps not up to the last.
    Objects(Vec<FetchedObject>),
    /// The first wanted ledger is not there, and the store knows of no newer one.
    NotYet,
    /// It would need this many bytes, which is more than was allowed.
    TooLarge {
        /// What to allow.
        bytes: usize,
    },
}

/// The ledgers that `range` names: what it leaves open is the store's own end. Looks for the ends only if it must.
pub async fn resolve_range(
    store: &dyn LedgerStore,
    range: LedgerRange,
) -> Result<RangeInclusive<LedgerSequence>, SourceError> {
    let from = match range.from {
        None => store.oldest().await?,
        Some(LedgerBound::Number(sequence)) => sequence,
        Some(LedgerBound::Genesis) => LedgerBound::FIRST_CLOSED,
        Some(LedgerBound::Latest) => store.tip(None).await?,
    };
    let to = match range.to {
        Some(LedgerBound::Number(sequence)) => sequence,
        Some(LedgerBound::Genesis) => LedgerBound::FIRST_CLOSED,
        None | Some(LedgerBound::Latest) => store.tip(Some(from)).await?,
    };
    if non_empty(from, to).is_err() {
        let holds = match (store.oldest().await, store.tip(Some(to)).await) {
            (Ok(oldest), Ok(tip)) => format!(": the source holds {oldest} to {tip}"),
            (_, Ok(tip)) => format!(": the source holds ledgers to {tip}"),
            _ => String::new(),
        };
        let kind = SourceErrorKind::BadRange(format!("no ledger from {from} to {to}{holds}"));
        return Err(SourceError::new(store.name(), kind));
    }
    Ok(from..=to)
}
