//! Contract events as spans: enough to recognise a token event without decoding the others.

use super::cursor::{Cursor, WalkError};
use super::grammar::{self, Grammar, take};

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

    /// Whether the first topic is the symbol `mint` or `burn`.
    pub(crate) fn is_mint_or_burn(&self) -> bool {
        const MINT: &[u8] = b"\0\0\0\x0f\0\0\0\x04mint";
        const BURN: &[u8] = b"\0\0\0\x0f\0\0\0\x04burn";
        self.topics().first().is_some_and(|topic| *topic == MINT || *topic == BURN)
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
