//! Token events of contracts (SEP-41, CAP-46-6, CAP-67): which events count, and what they say (rules 3.5).
//!
//! Any contract can emit anything: what does not follow the layout is no token event and is passed over. An event
//! whose asset is proven names it; without that, it is an unverified claim of its contract.

use orrery_schemas::{Address, Asset, ContractId, Hash32, Kind, ToMuxed};
use stellar_xdr::ScAddress;

use super::error::Fault;
use super::movement::{Classic, Movement, text_to_muxed};
use super::xdr;
use crate::ledger::cursor::Cursor;
use crate::ledger::{EventView, Network, for_each_event};

/// The layout of token events, by the version of the meta that holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Meta version 3, to protocol 22: mint and clawback name an admin; an asset contract's transfers to and from
    /// its issuer are mints and burns in all but name.
    V3,
    /// Meta version 4: no admin, mints and burns by name, the receiver's multiplexing in the data.
    V4,
}

/// The movements of a `ContractEvent<>`, in its order.
pub(super) fn movements(network: &Network, layout: Layout, events: &[u8]) -> Result<Vec<Movement>, Fault> {
    let mut movements = Vec::new();
    for_each_event(events, |event| movements.extend(movement(network, layout, &event)))?;
    Ok(movements)
}

/// `ContractEventType::Contract`.
const CONTRACT: i32 = 1;

fn movement(network: &Network, layout: Layout, event: &EventView<'_>) -> Option<Movement> {
    let contract_id = ContractId(event.contract_id.filter(|_| event.kind == CONTRACT)?);
    let topics = event.topics();
    let kind = match symbol(topics.first()?)? {
        b"transfer" => Kind::Transfer,
        b"mint" => Kind::Mint,
        b"burn" => Kind::Burn,
        b"clawback" => Kind::Clawback,
        _ => return None,
    };
    let holder = |index: usize| address(topics.get(index)?);
    let (from, to, asset_at) = match (kind, layout) {
        (Kind::Transfer, _) => (Some(holder(1)?), Some(holder(2)?), 3),
        (Kind::Mint, Layout::V4) => (None, Some(holder(1)?), 2),
        (Kind::Burn, _) | (Kind::Clawback, Layout::V4) => (Some(holder(1)?), None, 2),
        (Kind::Mint, Layout::V3) => holder(1).and(Some((None, Some(holder(2)?), 3)))?,
        (Kind::Clawback, Layout::V3) => holder(1).and(Some((Some(holder(2)?), None, 3)))?,
        (Kind::Fee, _) => return None,
    };
    let (amount, to_muxed) = data(layout, event.data)?;
    let asset = event.proven_asset(network).filter(|_| event.topic_count == asset_at + 1);
    match (layout, kind, asset, from, to) {
        (Layout::V3, Kind::Transfer, Some(asset), Some(from), Some(to)) => {
            let moved = Classic { network }.moved(asset, from, to, 0, None);
            Some(Movement { amount, ..moved })
        }
        _ => Some(Movement { kind, contract_id, asset, from, to, amount, to_muxed }),
    }
}

/// The amount, and what the data's map says of the receiver.
fn data(layout: Layout, data: &[u8]) -> Option<(i128, Option<ToMuxed>)> {
    const SCV_MAP: i32 = 17;
    if let Some(amount) = i128_value(data) {
        return Some((amount, None));
    }
    let mut cursor = Cursor::new(data);
    if layout == Layout::V3 || cursor.i32().ok()? != SCV_MAP || !cursor.bool().ok()? {
        return None;
    }
    let (mut amount, mut to_muxed) = (None, None);
    for _ in 0..cursor.length(u32::MAX).ok()? {
        let key = crate::ledger::take_value(&mut cursor).ok()?;
        let value = crate::ledger::take_value(&mut cursor).ok()?;
        match symbol(key)? {
            b"amount" => amount = Some(i128_value(value)?),
            b"to_muxed_id" => to_muxed = muxed(value)?,
            _ => {}
        }
    }
    Some((amount?, to_muxed))
}

/// A number, up to 32 bytes (shorter ones are padded with zeros, longer ones cut), or a text. The outer `None` is for
/// any other value, which makes the event no token event.
fn muxed(value: &[u8]) -> Option<Option<ToMuxed>> {
    const SCV_U64: i32 = 5;
    const SCV_BYTES: i32 = 13;
    const SCV_STRING: i32 = 14;
    let mut cursor = Cursor::new(value);
    match cursor.i32().ok()? {
        SCV_U64 => Some(Some(ToMuxed::Id(cursor.u64().ok()?))),
        SCV_BYTES => {
            let bytes = cursor.var_opaque(u32::MAX).ok()?;
            let mut hash = [0; 32];
            hash.iter_mut().zip(bytes).for_each(|(place, &byte)| *place = byte);
            Some(Some(ToMuxed::Hash(Hash32(hash))))
        }
        SCV_STRING => Some(text_to_muxed(cursor.var_opaque(u32::MAX).ok()?)),
        _ => None,
    }
}

/// The payer and the amount of a `fee` event of stellar-core (CAP-67); `None` for an event of another name.
pub(super) fn fee(network: &Network, event: &EventView<'_>) -> Result<Option<(Address, i128)>, Fault> {
    if event.topics().first().and_then(|topic| symbol(topic)) != Some(b"fee") {
        return Ok(None);
    }
    if event.topic_count != 2 {
        return Err(Fault::FeeEvent("it does not have two topics"));
    }
    if event.contract_id != Some(network.asset_contract(&Asset::Native).0) {
        return Err(Fault::FeeEvent(
            "the native asset's contract did not emit it: is the network passphrase the ledger's?",
        ));
    }
    let from = address(event.topics()[1]).ok_or(Fault::FeeEvent("its payer is not an address"))?;
    let amount = i128_value(event.data).ok_or(Fault::FeeEvent("its amount is not an i128"))?;
    Ok(Some((from, amount)))
}

fn symbol(value: &[u8]) -> Option<&[u8]> {
    const SCV_SYMBOL: i32 = 15;
    let mut cursor = Cursor::new(value);
    (cursor.i32().ok()? == SCV_SYMBOL).then(|| cursor.var_opaque(32).ok()).flatten()
}

fn i128_value(value: &[u8]) -> Option<i128> {
    const SCV_I128: i32 = 10;
    let mut cursor = Cursor::new(value);
    (cursor.i32().ok()? == SCV_I128).then(|| cursor.take_array().ok()).flatten().map(i128::from_be_bytes)
}

fn address(value: &[u8]) -> Option<Address> {
    const SCV_ADDRESS: i32 = 18;
    let (kind, body) = value.split_at_checked(4)?;
    if kind != SCV_ADDRESS.to_be_bytes() {
        return None;
    }
    let address: ScAddress = xdr::decode("SCAddress", body).ok()?;
    Some(xdr::address(&address))
}
