//! What is asked of a peer region.

use bytes::Bytes;
use futures::future::BoxFuture;
use thiserror::Error;

use crate::dataset::{SlotObject, TableKind};
use crate::region::report::RegionReport;

/// Why a peer region gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerError {
    /// It cannot be reached, or is too slow: asked again later.
    #[error("{0}")]
    Away(String),
    /// It does not let this region ask, or has not what is asked for.
    #[error("{0}")]
    Refused(String),
    /// What came is not what it said.
    #[error("{0}")]
    Untrue(String),
}

/// A peer region, over a link with deadlines of its own.
pub trait PeerRegion: Send + Sync {
    /// What it says of itself.
    fn report(&self) -> BoxFuture<'_, Result<RegionReport, PeerError>>;

    /// Some slots from `from` on, at most `max`; fewer if they are large, none if there are no more.
    fn slots(&self, table: TableKind, from: u64, max: u32) -> BoxFuture<'_, Result<Vec<Bytes>, PeerError>>;

    /// A file that slot `slot` names, whole; its hash was not compared yet.
    fn object(
        &self,
        table: TableKind,
        slot: u64,
        object: SlotObject,
    ) -> BoxFuture<'_, Result<Bytes, PeerError>>;
}
