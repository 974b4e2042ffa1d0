//! How a transaction ended, without decoding what each operation answered.

use super::cursor::{Cursor, WalkError};
use super::grammar::ANY;

/// The head of a `TransactionResultPair`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome<'a> {
    /// What the transaction paid in the end, in stroops.
    pub(crate) fee_charged: i64,
    /// How many operations a successful transaction had; `None` if it failed.
    pub(crate) operations: Option<usize>,
    /// Hash of the transaction inside a fee bump.
    pub(crate) inner_hash: Option<[u8; 32]>,
    /// Where the results of a successful transaction's operations begin, an `OperationResult` each.
    pub(crate) results: Cursor<'a>,
}

const TX_SUCCESS: i32 = 0;
const TX_FEE_BUMP_INNER_SUCCESS: i32 = 1;
const TX_FEE_BUMP_INNER_FAILED: i32 = -13;

impl<'a> Outcome<'a> {
    /// Reads a result that the walker has accepted.
    pub(crate) fn read(result_pair: &'a [u8]) -> Result<Self, WalkError> {
        let mut cursor = Cursor::new(result_pair);
        cursor.take(32)?; // hash of the transaction
        let fee_charged = cursor.i64()?;
        let mut code = cursor.i32()?;
        let mut inner_hash = None;
        if matches!(code, TX_FEE_BUMP_INNER_SUCCESS | TX_FEE_BUMP_INNER_FAILED) {
            inner_hash = Some(cursor.take_32()?);
            cursor.i64()?; // fee of the inner transaction
            let inner_code = cursor.i32()?;
            code = if code == TX_FEE_BUMP_INNER_SUCCESS { inner_code } else { code };
        }
        let operations = if code == TX_SUCCESS { Some(cursor.length(ANY)?) } else { None };
        Ok(Self { fee_charged, operations, inner_hash, results: cursor })
    }
}
