//! Where the parts of one `LedgerCloseMeta` lie: spans over its bytes, alike for versions 0 to 2 of the ledger's
//! meta and 1 to 4 of a transaction's.
//!
//! A view exists only for bytes whose structure is valid from the first to the last.

use super::cursor::{Cursor, WalkError};
use super::grammar::{self, Grammar, take};

/// The parts of one ledger.
#[derive(Debug)]
pub(crate) struct LedgerView<'a> {
    /// The hash that the meta claims for the header.
    pub(crate) header_hash: [u8; 32],
    /// `LedgerHeader`.
    pub(crate) header: &'a [u8],
    /// The set that was agreed on.
    pub(crate) tx_set: TransactionSetView<'a>,
    /// In apply order.
    pub(crate) transactions: Vec<TransactionView<'a>>,
}

/// The agreed transactions, not in apply order.
#[derive(Debug)]
pub(crate) struct TransactionSetView<'a> {
    /// `GeneralizedTransactionSet` or `TransactionSet`.
    pub(crate) bytes: &'a [u8],
    /// Which of the two: they are hashed differently.
    pub(crate) kind: TransactionSetKind,
    /// The ledger that the set builds on.
    pub(crate) previous_ledger_hash: [u8; 32],
    /// `TransactionEnvelope` each, in the order of the bytes.
    pub(crate) envelopes: Vec<&'a [u8]>,
}

/// How a transaction set is written and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionSetKind {
    /// Before protocol 20: a list.
    Legacy,
    /// Phases of components (CAP-0042, CAP-0063).
    Generalized,
}

/// What applying one transaction did.
#[derive(Debug)]
pub(crate) struct TransactionView<'a> {
    /// `TransactionResultPair`.
    pub(crate) result_pair: &'a [u8],
    /// `LedgerEntryChanges` of taking the fee.
    pub(crate) fee_changes: &'a [u8],
    /// What it changed and emitted.
    pub(crate) meta: MetaView<'a>,
    /// `LedgerEntryChanges` of refunds after all transactions (protocol 23); empty before.
    pub(crate) post_fee_changes: &'a [u8],
}

impl TransactionView<'_> {
    /// Hash of the transaction, as the result names it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(&self.result_pair[..32]);
        hash
    }
}

/// A `TransactionMeta` of any version.
#[derive(Debug)]
pub(crate) struct MetaView<'a> {
    /// 0 to 4.
    pub(crate) version: i32,
    /// `LedgerEntryChanges` before the operations; version 1 has all of the transaction's own here.
    pub(crate) changes_before: &'a [u8],
    /// One for each operation of a successful transaction.
    pub(crate) operations: Vec<OperationView<'a>>,
    /// `LedgerEntryChanges` after the operations.
    pub(crate) changes_after: &'a [u8],
    /// What a contract call returned.
    pub(crate) soroban: Option<SorobanView<'a>>,
    /// `TransactionEvent<>`: fees (version 4).
    pub(crate) transaction_events: Option<&'a [u8]>,
}

/// What one operation changed and emitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationView<'a> {
    /// `LedgerEntryChanges`.
    pub(crate) changes: &'a [u8],
    /// `ContractEvent<>`; before version 4 none is kept here.
    pub(crate) events: Option<&'a [u8]>,
}

/// The outcome of a contract call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SorobanView<'a> {
    /// `ContractEvent<>` (version 3); version 4 keeps them with the operation.
    pub(crate) events: Option<&'a [u8]>,
    /// `SCVal`.
    pub(crate) return_value: Option<&'a [u8]>,
}

/// Most transactions of a ledger: the public network's have up to 1,000, load tests 6,000. More would let damaged bytes
/// take several times their size in memory.
const TRANSACTIONS_MAX: u32 = 32_768;

/// Most operations of a transaction, by the protocol.
const OPERATIONS_MAX: u32 = 100;

/// Most operations of a ledger, for the same reason: the smallest has 4 bytes, its view 32.
const LEDGER_OPERATIONS_MAX: usize = 250_000;

/// XDR of an empty array, for what a version does not have.
const EMPTY: &[u8] = &[0; 4];

impl<'a> LedgerView<'a> {
    /// Walks one `LedgerCloseMeta` from the cursor.
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, WalkError> {
        let version = cursor.i32()?;
        if !(0..=2).contains(&version) {
            return Err(cursor.unknown("LedgerCloseMeta", version));
        }
        if version > 0 {
            grammar::LedgerCloseMetaExt::skip(cursor)?;
        }
        let header_hash = cursor.take_32()?;
        let header = take::<grammar::LedgerHeader>(cursor)?;
        grammar::LedgerHeaderHistoryEntryExt::skip(cursor)?;
        let tx_set = if version == 0 { legacy_tx_set(cursor)? } else { generalized_tx_set(cursor)? };
        let mut operations = 0;
        let transactions = list(cursor, TRANSACTIONS_MAX, |cursor| {
            let transaction = transaction(cursor, version)?;
            operations += transaction.meta.operations.len();
            match operations <= LEDGER_OPERATIONS_MAX {
                true => Ok(transaction),
                false => Err(cursor.too_many(LEDGER_OPERATIONS_MAX as u32)),
            }
        })?;
        grammar::Vector::<grammar::UpgradeEntryMeta, { grammar::ANY }>::skip(cursor)?;
        grammar::Vector::<grammar::SCPHistoryEntry, { grammar::ANY }>::skip(cursor)?;
        if version > 0 {
            cursor.u64()?; // size of the live contract state
            grammar::Vector::<grammar::LedgerKey, { grammar::ANY }>::skip(cursor)?; // evicted
        }
        if version == 1 {
            grammar::Vector::<grammar::LedgerEntry, { grammar::ANY }>::skip(cursor)?; // unused
        }
        Ok(Self { header_hash, header, tx_set, transactions })
    }
}

/// Reads a counted list. The count is not trusted for an allocation: a list grows as its elements are found.
fn list<'a, T>(
    cursor: &mut Cursor<'a>,
    max: u32,
    mut element: impl FnMut(&mut Cursor<'a>) -> Result<T, WalkError>,
) -> Result<Vec<T>, WalkError> {
    let length = cursor.length(max)?;
    let mut elements = Vec::with_capacity(length.min(1_024));
    for _ in 0..length {
        elements.push(element(cursor)?);
    }
    Ok(elements)
}

fn legacy_tx_set<'a>(cursor: &mut Cursor<'a>) -> Result<TransactionSetView<'a>, WalkError> {
    let mut envelopes = Vec::new();
    let mut previous_ledger_hash = [0; 32];
    let bytes = cursor.span(|cursor| {
        previous_ledger_hash = cursor.take_32()?;
        envelopes = list(cursor, TRANSACTIONS_MAX, take::<grammar::TransactionEnvelope>)?;
        Ok(())
    })?;
    Ok(TransactionSetView { bytes, kind: TransactionSetKind::Legacy, previous_ledger_hash, envelopes })
}

fn generalized_tx_set<'a>(cursor: &mut Cursor<'a>) -> Result<TransactionSetView<'a>, WalkError> {
    let mut envelopes = Vec::new();
    let mut previous_ledger_hash = [0; 32];
    let bytes = cursor.span(|cursor| {
        let version = cursor.i32()?;
        if version != 1 {
            return Err(cursor.unknown("GeneralizedTransactionSet", version));
        }
        previous_ledger_hash = cursor.take_32()?;
        each(cursor, |cursor| phase(cursor, &mut envelopes))
    })?;
    Ok(TransactionSetView { bytes, kind: TransactionSetKind::Generalized, previous_ledger_hash, envelopes })
}

fn phase<'a>(cursor: &mut Cursor<'a>, envelopes: &mut Vec<&'a [u8]>) -> Result<(), WalkError> {
    match cursor.i32()? {
        0 => each(cursor, |cursor| match cursor.i32()? {
            0 => {
                grammar::Optional::<grammar::I64>::skip(cursor)?; // discounted base fee
                each(cursor, |cursor| push_envelope(cursor, envelopes))
            }
            other => Err(cursor.unknown("TxSetComponent", other)),
        }),
        1 => {
            grammar::Optional::<grammar::I64>::skip(cursor)?;
            // stages of clusters of transactions
            each(cursor, |cursor| {
                each(cursor, |cursor| each(cursor, |cursor| push_envelope(cursor, envelopes)))
            })
        }
        other => Err(cursor.unknown("TransactionPhase", other)),
    }
}

fn each<'a>(
    cursor: &mut Cursor<'a>,
    mut element: impl FnMut(&mut Cursor<'a>) -> Result<(), WalkError>,
) -> Result<(), WalkError> {
    let length = cursor.length(grammar::ANY)?;
    (0..length).try_for_each(|_| element(cursor))
}

fn push_envelope<'a>(cursor: &mut Cursor<'a>, envelopes: &mut Vec<&'a [u8]>) -> Result<(), WalkError> {
    if envelopes.len() == TRANSACTIONS_MAX as usize {
        return Err(cursor.too_many(TRANSACTIONS_MAX));
    }
    envelopes.push(take::<grammar::TransactionEnvelope>(cursor)?);
    Ok(())
}

fn transaction<'a>(cursor: &mut Cursor<'a>, version: i32) -> Result<TransactionView<'a>, WalkError> {
    if version == 2 {
        grammar::ExtensionPoint::skip(cursor)?;
    }
    let result_pair = take::<grammar::TransactionResultPair>(cursor)?;
    let fee_changes = take::<grammar::LedgerEntryChanges>(cursor)?;
    let meta = meta(cursor)?;
    let post_fee_changes = if version == 2 { take::<grammar::LedgerEntryChanges>(cursor)? } else { EMPTY };
    Ok(TransactionView { result_pair, fee_changes, meta, post_fee_changes })
}

fn meta<'a>(cursor: &mut Cursor<'a>) -> Result<MetaView<'a>, WalkError> {
    let version = cursor.i32()?;
    let mut view = MetaView {
        version,
        changes_before: EMPTY,
        operations: Vec::new(),
        changes_after: EMPTY,
        soroban: None,
        transaction_events: None,
    };
    if !(0..=4).contains(&version) {
        return Err(cursor.unknown("TransactionMeta", version));
    }
    if version >= 3 {
        grammar::ExtensionPoint::skip(cursor)?;
    }
    if version >= 1 {
        view.changes_before = take::<grammar::LedgerEntryChanges>(cursor)?;
    }
    view.operations = list(cursor, OPERATIONS_MAX, |cursor| operation(cursor, version))?;
    if version >= 2 {
        view.changes_after = take::<grammar::LedgerEntryChanges>(cursor)?;
    }
    if version >= 3 && cursor.bool()? {
        view.soroban = Some(soroban(cursor, version)?);
    }
    if version == 4 {
        view.transaction_events =
            Some(take::<grammar::Vector<grammar::TransactionEvent, { grammar::ANY }>>(cursor)?);
        grammar::Vector::<grammar::DiagnosticEvent, { grammar::ANY }>::skip(cursor)?;
    }
    Ok(view)
}

fn operation<'a>(cursor: &mut Cursor<'a>, version: i32) -> Result<OperationView<'a>, WalkError> {
    if version < 4 {
        return Ok(OperationView { changes: take::<grammar::LedgerEntryChanges>(cursor)?, events: None });
    }
    grammar::ExtensionPoint::skip(cursor)?;
    Ok(OperationView {
        changes: take::<grammar::LedgerEntryChanges>(cursor)?,
        events: Some(take::<grammar::Vector<grammar::ContractEvent, { grammar::ANY }>>(cursor)?),
    })
}

fn soroban<'a>(cursor: &mut Cursor<'a>, version: i32) -> Result<SorobanView<'a>, WalkError> {
    grammar::SorobanTransactionMetaExt::skip(cursor)?;
    if version == 4 {
        let return_value = if cursor.bool()? { Some(take::<grammar::SCVal>(cursor)?) } else { None };
        return Ok(SorobanView { events: None, return_value });
    }
    let events = take::<grammar::Vector<grammar::ContractEvent, { grammar::ANY }>>(cursor)?;
    let return_value = take::<grammar::SCVal>(cursor)?;
    grammar::Vector::<grammar::DiagnosticEvent, { grammar::ANY }>::skip(cursor)?;
    Ok(SorobanView { events: Some(events), return_value: Some(return_value) })
}
