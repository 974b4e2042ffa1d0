//! Contract events as spans: enough to recognise a token event without decoding the others.

use orrery_schemas::{Asset, ContractId};

use super::cursor::{Cursor, WalkError};
use super::grammar::{self, Grammar, take};
use super::network::Network;

/// One `ContractEvent`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventView<'a> {
    /// The emitting contract.
    pub(crate) contract_id: Option<[u8; 32]>,
    /// `ContractEventType`: 0 system, 1 contract, 2 diagnostic.
    pub(crate) kind: i32,
    /// How many topics there are.
    pub(crate) topic_count: usize,
    /// The first four topics, an `SCVal` each; no token event has more.
    topics: [&'a [u8]; TOPICS_MAX],
    /// `SCVal`.
    pub(crate) data: &'a [u8],
}

/// Most topics that a rule looks at.
const TOPICS_MAX: usize = 4;

impl<'a> EventView<'a> {
    /// The topics, at most four of them.
    pub(crate) fn topics(&self) -> &[&'a [u8]] {
        &self.topics[..self.topic_count.min(TOPICS_MAX)]
    }

    /// The classic asset that the last topic names, if this is the contract of that asset (CAP-46-6).
    pub(crate) fn proven_asset(&self, network: &Network) -> Option<Asset> {
        const CONTRACT: i32 = 1;
        let contract_id = ContractId(self.contract_id.filter(|_| self.kind == CONTRACT)?);
        let last = self.topics.get(self.topic_count.checked_sub(1)?)?;
        let asset = asset(string(last)?)?;
        (network.asset_contract(&asset) == contract_id).then_some(asset)
    }

    /// Whether the first topic is one of `names`, as a symbol.
    pub(crate) fn is_named(&self, names: &[&[u8]]) -> bool {
        const SCV_SYMBOL: i32 = 15;
        let Some(topic) = self.topics().first() else { return false };
        let mut cursor = Cursor::new(topic);
        cursor.i32() == Ok(SCV_SYMBOL) && cursor.var_opaque(32).is_ok_and(|name| names.contains(&name))
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, WalkError> {
        grammar::ExtensionPoint::skip(cursor)?;
        let contract_id = if cursor.bool()? { Some(cursor.take_32()?) } else { None };
        let kind = cursor.i32()?;
        match cursor.i32()? {
            0 => {}
            other => return Err(cursor.unknown("ContractEventBody", other)),
        }
        let topic_count = cursor.length(grammar::ANY)?;
        let mut topics: [&[u8]; TOPICS_MAX] = [&[]; TOPICS_MAX];
        for index in 0..topic_count {
            let topic = take::<grammar::SCVal>(cursor)?;
            if let Some(place) = topics.get_mut(index) {
                *place = topic;
            }
        }
        Ok(Self { contract_id, kind, topic_count, topics, data: take::<grammar::SCVal>(cursor)? })
    }
}

/// Calls `visit` for each event of a `ContractEvent<>`.
pub(crate) fn for_each_event<'a>(
    events: &'a [u8],
    mut visit: impl FnMut(EventView<'a>),
) -> Result<(), WalkError> {
    let mut cursor = Cursor::new(events);
    for _ in 0..cursor.length(grammar::ANY)? {
        visit(EventView::read(&mut cursor)?);
    }
    Ok(())
}

/// Calls `visit` with the stage of each event of a `TransactionEvent<>`: 0 before all transactions, 1 after its own,
/// 2 after all.
pub(crate) fn for_each_transaction_event<'a, E: From<WalkError>>(
    events: &'a [u8],
    mut visit: impl FnMut(i32, EventView<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut cursor = Cursor::new(events);
    for _ in 0..cursor.length(grammar::ANY)? {
        let stage = cursor.i32()?;
        visit(stage, EventView::read(&mut cursor)?)?;
    }
    Ok(())
}

fn string(value: &[u8]) -> Option<&[u8]> {
    const SCV_STRING: i32 = 14;
    let mut cursor = Cursor::new(value);
    (cursor.i32().ok()? == SCV_STRING).then(|| cursor.var_opaque(u32::MAX).ok()).flatten()
}

/// SEP-11: `native` in any case, or `CODE:ISSUER`.
fn asset(text: &[u8]) -> Option<Asset> {
    if text.eq_ignore_ascii_case(b"native") {
        return Some(Asset::Native);
    }
    let colon = text.iter().position(|&byte| byte == b':')?;
    let (code, issuer) = (&text[..colon], &text[colon + 1..]);
    let stellar_strkey::ed25519::PublicKey(issuer) =
        stellar_strkey::ed25519::PublicKey::from_slice(issuer).ok()?;
    if code.is_empty() || !code.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    match code.len() {
        length @ 1..=4 => {
            let mut padded = [0; 4];
            padded[..length].copy_from_slice(code);
            Some(Asset::Credit4 { code: padded, issuer })
        }
        length @ 5..=12 => {
            let mut padded = [0; 12];
            padded[..length].copy_from_slice(code);
            Some(Asset::Credit12 { code: padded, issuer })
        }
        _ => None,
    }
}
