//! A signed transaction as the rules need it: its hash, who pays, its memo and where its operations lie.

use sha2::{Digest, Sha256};

use super::cursor::{Cursor, WalkError};
use super::grammar::{self, Grammar, take};
use super::network::Network;

/// One `TransactionEnvelope`, of a plain transaction or of a fee bump around one.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    /// Hash under the network id; of the fee bump, if it is one.
    pub(crate) hash: [u8; 32],
    /// Hash of the transaction inside a fee bump.
    pub(crate) inner_hash: Option<[u8; 32]>,
    /// The account that pays the fee.
    pub(crate) fee_source: [u8; 32],
    /// What is applied; inside a fee bump, the inner transaction.
    pub(crate) transaction: TransactionParts<'a>,
}

/// The parts of a transaction that rules read.
#[derive(Debug)]
pub(crate) struct TransactionParts<'a> {
    /// The account that the transaction runs for.
    pub(crate) source: MuxedAccount,
    /// Its sequence number.
    pub(crate) sequence_number: i64,
    /// What the sender attached.
    pub(crate) memo: Memo<'a>,
    /// `Operation<>`: read where they are needed, one transaction at a time.
    operations: &'a [u8],
    /// Whether it declares contract resources: its fee has a refundable part.
    pub(crate) is_soroban: bool,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationParts<'a> {
    /// Its own source account.
    pub(crate) source: Option<MuxedAccount>,
    /// Discriminant of the body: an `OperationType`.
    pub(crate) kind: i32,
    /// `OperationBody`.
    pub(crate) body: &'a [u8],
}

/// An account, with a number if it is multiplexed (CAP-27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MuxedAccount {
    pub(crate) account: [u8; 32],
    pub(crate) id: Option<u64>,
}

/// A memo. Hash and return memos are alike to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memo<'a> {
    None,
    Text(&'a [u8]),
    Id(u64),
    Hash([u8; 32]),
}

const ENVELOPE_TYPE_TX_V0: i32 = 0;
const ENVELOPE_TYPE_TX: i32 = 2;
const ENVELOPE_TYPE_TX_FEE_BUMP: i32 = 5;

impl<'a> Envelope<'a> {
    /// Reads an envelope that the walker has accepted.
    pub(crate) fn read(network: &Network, bytes: &'a [u8]) -> Result<Self, WalkError> {
        let mut cursor = Cursor::new(bytes);
        match cursor.i32()? {
            ENVELOPE_TYPE_TX_V0 => {
                let tx = take::<grammar::TransactionV0>(&mut cursor)?;
                // A V0 transaction is signed as the V1 transaction that has the same fields.
                let hash = transaction_hash(network, ENVELOPE_TYPE_TX, &[&[0; 4], tx]);
                let transaction = TransactionParts::read_v0(tx)?;
                Ok(Self { hash, inner_hash: None, fee_source: transaction.source.account, transaction })
            }
            ENVELOPE_TYPE_TX => {
                let tx = take::<grammar::Transaction>(&mut cursor)?;
                let hash = transaction_hash(network, ENVELOPE_TYPE_TX, &[tx]);
                let transaction = TransactionParts::read(tx)?;
                Ok(Self { hash, inner_hash: None, fee_source: transaction.source.account, transaction })
            }
            ENVELOPE_TYPE_TX_FEE_BUMP => {
                let fee_bump = take::<grammar::FeeBumpTransaction>(&mut cursor)?;
                let hash = transaction_hash(network, ENVELOPE_TYPE_TX_FEE_BUMP, &[fee_bump]);
                let mut cursor = Cursor::new(fee_bump);
                let fee_source = muxed_account(&mut cursor)?.account;
                cursor.take(8 + 4)?; // fee; the inner envelope's type, which has one arm
                let tx = take::<grammar::Transaction>(&mut cursor)?;
                let inner_hash = Some(transaction_hash(network, ENVELOPE_TYPE_TX, &[tx]));
                Ok(Self { hash, inner_hash, fee_source, transaction: TransactionParts::read(tx)? })
            }
            other => Err(cursor.unknown("TransactionEnvelope", other)),
        }
    }
}

/// SHA-256 of `TransactionSignaturePayload`: network id, envelope type, transaction.
fn transaction_hash(network: &Network, envelope_type: i32, transaction: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(network.id()).chain_update(envelope_type.to_be_bytes());
    transaction.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

impl<'a> TransactionParts<'a> {
    /// The operations, in order.
    pub(crate) fn operations(&self) -> Result<Vec<OperationParts<'a>>, WalkError> {
        let mut cursor = Cursor::new(self.operations);
        let length = cursor.length(100)?;
        let mut operations = Vec::with_capacity(length);
        for _ in 0..length {
            let source = if cursor.bool()? { Some(muxed_account(&mut cursor)?) } else { None };
            let body = take::<grammar::OperationBody>(&mut cursor)?;
            let kind = Cursor::new(body).i32()?;
            operations.push(OperationParts { source, kind, body });
        }
        Ok(operations)
    }

    fn read(bytes: &'a [u8]) -> Result<Self, WalkError> {
        let mut cursor = Cursor::new(bytes);
        let source = muxed_account(&mut cursor)?;
        cursor.u32()?; // fee
        let sequence_number = cursor.i64()?;
        grammar::Preconditions::skip(&mut cursor)?;
        let memo = memo(&mut cursor)?;
        let operations = take::<grammar::Vector<grammar::Operation, 100>>(&mut cursor)?;
        let is_soroban = cursor.i32()? == 1;
        Ok(Self { source, sequence_number, memo, operations, is_soroban })
    }

    fn read_v0(bytes: &'a [u8]) -> Result<Self, WalkError> {
        let mut cursor = Cursor::new(bytes);
        let source = MuxedAccount { account: cursor.take_32()?, id: None };
        cursor.u32()?; // fee
        let sequence_number = cursor.i64()?;
        grammar::Optional::<grammar::TimeBounds>::skip(&mut cursor)?;
        let memo = memo(&mut cursor)?;
        let operations = take::<grammar::Vector<grammar::Operation, 100>>(&mut cursor)?;
        Ok(Self { source, sequence_number, memo, operations, is_soroban: false })
    }
}

fn muxed_account(cursor: &mut Cursor<'_>) -> Result<MuxedAccount, WalkError> {
    let id = match cursor.i32()? {
        0 => None,
        256 => Some(cursor.u64()?),
        other => return Err(cursor.unknown("MuxedAccount", other)),
    };
    Ok(MuxedAccount { account: cursor.take_32()?, id })
}

fn memo<'a>(cursor: &mut Cursor<'a>) -> Result<Memo<'a>, WalkError> {
    Ok(match cursor.i32()? {
        0 => Memo::None,
        1 => Memo::Text(cursor.var_opaque(28)?),
        2 => Memo::Id(cursor.u64()?),
        3 | 4 => Memo::Hash(cursor.take_32()?),
        other => return Err(cursor.unknown("Memo", other)),
    })
}
