//! What regions ask each other for over Flight's `DoGet`, as tickets and heads of frames: JSON, bounded.
//!
//! A frame has a head and at most [`PART_BYTES_MAX`] of one slot or file; `left` says how much of it is to come.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dataset::TableKind;

/// Most bytes of what a frame carries: more keeps reports waiting behind it.
pub const PART_BYTES_MAX: usize = 1 << 20;

/// Most slots of one answer.
pub const SLOTS_MAX: u32 = 64;
/// Most bytes of these, unless there is one alone.
pub const SLOTS_BYTES_MAX: usize = 16 << 20;

/// Most bytes of a ticket and of a head.
const TICKET_BYTES_MAX: usize = 1024;

/// The action that asks for a report.
pub const REPORT_ACTION: &str = "region.report";

/// Why bytes are no ticket, or no frame's head.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TicketError {
    /// They are too many.
    #[error("a ticket of {bytes} bytes: {TICKET_BYTES_MAX} at most")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// They are none.
    #[error("not a ticket of regions: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RegionTicket {
    /// Slots of a table's log.
    Slots {
        /// Name of the table.
        table: String,
        /// The first.
        from: u64,
        /// At most so many.
        max: u32,
    },
    /// A file that a slot names.
    Object {
        /// Name of the table.
        table: String,
        /// The slot.
        slot: u64,
        /// Below the table.
        path: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    region: RegionTicket,
}

impl RegionTicket {
    /// Whether a ticket is one of these, whatever is wrong with it.
    pub fn is_meant(bytes: &[u8]) -> bool {
        bytes.starts_with(br#"{"region":"#)
    }

    /// As it travels.
    pub fn encode(&self) -> Vec<u8> {
        // Texts and numbers: there is nothing that JSON could not say.
        serde_json::to_vec(&Named { region: self.clone() }).unwrap_or_default()
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// It is none, or too long.
    pub fn decode(bytes: &[u8]) -> Result<Self, TicketError> {
        parse::<Named>(bytes).map(|named| named.region)
    }

    /// The table that is meant.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn table(&self) -> Result<TableKind, TicketError> {
        let (Self::Slots { table, .. } | Self::Object { table, .. }) = self;
        let found = TableKind::ALL.into_iter().find(|kind| kind.as_str() == table);
        found.ok_or_else(|| TicketError::Malformed { detail: format!("`{table}` is no table") })
    }
}

/// What stands before a part of a slot or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHead {
    /// The slot, or the one that names the file.
    pub slot: u64,
    /// Bytes of it that follow in further frames.
    pub left: u64,
}

impl PartHead {
    /// As it travels.
    pub fn encode(&self) -> Vec<u8> {
        // Two numbers: there is nothing that JSON could not say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// It is none, or too long.
    pub fn decode(bytes: &[u8]) -> Result<Self, TicketError> {
        parse(bytes)
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, TicketError> {
    if bytes.len() > TICKET_BYTES_MAX {
        return Err(TicketError::TooLarge { bytes: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|error| TicketError::Malformed { detail: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_read_as_they_were_written_and_nothing_else_is() {
        let slots = RegionTicket::Slots { table: "ledgers".to_owned(), from: 7, max: 32 };
        let object =
            RegionTicket::Object { table: "accounts".to_owned(), slot: 7, path: "data/x".to_owned() };
        for ticket in [&slots, &object] {
            let bytes = ticket.encode();
            assert!(RegionTicket::is_meant(&bytes));
            assert_eq!(RegionTicket::decode(&bytes).as_ref(), Ok(ticket));
        }
        assert_eq!(slots.table(), Ok(TableKind::Ledgers));
        assert!(object.table().unwrap_err().to_string().contains("`accounts` is no table"));
        let check = |bytes: &[u8], expect: &str| {
            let error = RegionTicket::decode(bytes).unwrap_err().to_string();
            assert!(error.contains(expect), "`{expect}`: {error}");
        };
        check(br#"{"region":{"drop":{}}}"#, "unknown variant `drop`");
        check(br#"{"region":{"slots":{"table":"ledgers","from":-1,"max":1}}}"#, "not a ticket");
        check(&[b' '; 1025], "1025 bytes: 1024 at most");
        assert!(!RegionTicket::is_meant(br#"{"live":{}}"#));
        let head = PartHead { slot: 3, left: 9 };
        assert_eq!(PartHead::decode(&head.encode()), Ok(head));
        assert!(PartHead::decode(b"{}").is_err());
    }
}
