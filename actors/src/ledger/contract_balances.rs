//! Balances that asset contracts keep for contracts: `ContractData` entries in the layout of CAP-46-6.

use super::changes::{BeforeAfter, CONTRACT_DATA, ChangeKind, Compacted, for_each_change};
use super::cursor::{Cursor, WalkError};
use super::grammar;
use super::grammar::take_value;

/// (asset contract, holding contract).
pub(crate) type BalanceKey = ([u8; 32], [u8; 32]);

/// Balances of contracts that `changes` touch. Entries of any other layout are passed over.
pub(crate) fn contract_balances(changes: &[u8]) -> Result<Compacted<BalanceKey, i128>, WalkError> {
    let mut compacted = Compacted::new();
    for_each_change(changes, |change| {
        if change.entry_type != CONTRACT_DATA {
            return Ok(());
        }
        let mut cursor = Cursor::new(change.body);
        if change.kind != ChangeKind::Removed {
            cursor.u32()?; // ContractDataEntry: ExtensionPoint, which has one arm
        }
        let Some(key) = balance_key(&mut cursor)? else { return Ok(()) };
        cursor.i32()?; // durability
        let value = match change.kind {
            ChangeKind::Removed => None,
            _ => balance(take_value(&mut cursor)?),
        };
        let existed = matches!(change.kind, ChangeKind::State | ChangeKind::Restored);
        let before = value.filter(|_| existed);
        compacted.entry(key).or_insert(BeforeAfter { before, after: None }).after = value;
        Ok(())
    })?;
    Ok(compacted)
}

/// Reads contract and key; `Some` if the key is `[Symbol("Balance"), Address(contract)]`.
fn balance_key(cursor: &mut Cursor<'_>) -> Result<Option<BalanceKey>, WalkError> {
    const CONTRACT_ADDRESS: i32 = 1;
    /// A vector (16) that is there (1), of two: the symbol (15) `Balance` in 7 bytes and one of padding, an address (18).
    const PREFIX: &[u8] = b"\0\0\0\x10\0\0\0\x01\0\0\0\x02\0\0\0\x0f\0\0\0\x07Balance\0\0\0\0\x12";
    let kind = cursor.i32()?;
    if kind != CONTRACT_ADDRESS {
        return Ok(None); // other addresses keep no contract data of this layout
    }
    let contract = cursor.take_32()?;
    let key = take_value(cursor)?;
    let mut holder = Cursor::new(key.strip_prefix(PREFIX).unwrap_or(&[0xff; 4]));
    if holder.i32()? != CONTRACT_ADDRESS {
        return Ok(None);
    }
    Ok(Some((contract, holder.take_32()?)))
}

/// The `amount` of a map `{amount: i128, authorized: bool, clawback: bool}`.
fn balance(value: &[u8]) -> Option<i128> {
    const SCV_MAP: i32 = 17;
    const AMOUNT: &[u8] = b"\0\0\0\x0f\0\0\0\x06amount\0\0";
    const I128: i32 = 10;
    let mut cursor = Cursor::new(value);
    if cursor.i32().ok()? != SCV_MAP || !cursor.bool().ok()? || cursor.length(grammar::ANY).ok()? != 3 {
        return None;
    }
    if take_value(&mut cursor).ok()? != AMOUNT || cursor.i32().ok()? != I128 {
        return None;
    }
    cursor.take_array().ok().map(i128::from_be_bytes)
}
