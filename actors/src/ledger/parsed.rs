//! One ledger, read: its parts, its header and its transactions by hash. What every later step starts from.

use std::collections::HashMap;

use stellar_xdr::{LedgerHeader, Limits, ReadXdr};
use thiserror::Error;

use super::cursor::{Cursor, WalkError};
use super::envelope::Envelope;
use super::network::Network;
use super::view::LedgerView;

/// A ledger whose structure is valid from its first byte to its last. Nothing is proven yet.
#[derive(Debug)]
pub struct ParsedLedger<'a> {
    pub(crate) network: &'a Network,
    pub(crate) xdr: &'a [u8],
    pub(crate) view: LedgerView<'a>,
    pub(crate) header: LedgerHeader,
    /// By hash under the network's id.
    pub(crate) envelopes: HashMap<[u8; 32], Envelope<'a>>,
}

/// Bytes that are not one `LedgerCloseMeta`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// They break the XDR definition.
    #[error(transparent)]
    Structure(#[from] WalkError),
    /// They go on behind it.
    #[error("{0} bytes follow the end of the ledger")]
    TrailingBytes(usize),
    /// The header cannot be decoded.
    #[error("cannot decode the ledger header: {0}")]
    Header(String),
}

impl<'a> ParsedLedger<'a> {
    /// Reads the bytes of exactly one `LedgerCloseMeta`.
    ///
    /// # Errors
    ///
    /// Says what is wrong and at which byte.
    pub fn read(network: &'a Network, xdr: &'a [u8]) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(xdr);
        let view = LedgerView::read(&mut cursor)?;
        if !cursor.is_at_end() {
            return Err(ParseError::TrailingBytes(xdr.len() - cursor.position()));
        }
        let limits = Limits { depth: 100, len: view.header.len() };
        let header = LedgerHeader::from_xdr(view.header, limits)
            .map_err(|error| ParseError::Header(error.to_string()))?;
        let mut envelopes = HashMap::with_capacity(view.tx_set.envelopes.len());
        for bytes in &view.tx_set.envelopes {
            let envelope = Envelope::read(network, bytes)?;
            envelopes.insert(envelope.hash, envelope);
        }
        Ok(Self { network, xdr, view, header, envelopes })
    }

    /// Number of the ledger.
    pub fn sequence(&self) -> u32 {
        self.header.ledger_seq
    }

    /// Protocol version that closed it.
    pub fn protocol_version(&self) -> u32 {
        self.header.ledger_version
    }
}
