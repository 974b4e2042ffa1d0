//! The JSON form of an event: one object, keys in the order of the columns. Integers wider than JSON readers keep exact
//! (`amount`, `to_muxed_id`) are strings; hashes are hexadecimal, memo bytes base64; what is absent is null.

use std::fmt::Display;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::row_parts::{ColumnError, RowParts, ValueError};
use crate::{Asset, Hash32, ParseError, ToMuxed, TokenTransfer};

/// The keys of an event, in order; `file` comes before them where it is asked for.
pub const JSON_KEYS: [&str; 21] = [
    "ledger_sequence",
    "closed_at",
    "tx_hash",
    "tx_index",
    "op_index",
    "event_index",
    "ledger_event_index",
    "event_id",
    "kind",
    "op_type",
    "contract_id",
    "asset",
    "asset_code",
    "asset_issuer",
    "from",
    "to",
    "amount",
    "to_muxed_id",
    "to_memo_text",
    "to_memo_hash",
    "tx_successful",
];

/// An event as it is written: `file`, if given, is the first key.
#[derive(Clone, Copy, Debug)]
pub struct JsonEvent<'a> {
    /// The input that the ledger was read from, as the operator named it.
    pub file: Option<&'a str>,
    /// The event.
    pub event: &'a TokenTransfer,
}

impl Serialize for JsonEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let mut object = serializer
            .serialize_struct("TokenTransfer", JSON_KEYS.len() + usize::from(self.file.is_some()))?;
        if let Some(file) = self.file {
            object.serialize_field("file", file)?;
        }
        object.serialize_field("ledger_sequence", &event.ledger_sequence.0)?;
        object.serialize_field("closed_at", &Text(event.closed_at))?;
        object.serialize_field("tx_hash", &Hex(event.tx_hash))?;
        object.serialize_field("tx_index", &event.tx_index)?;
        object.serialize_field("op_index", &event.op_index)?;
        object.serialize_field("event_index", &event.event_index)?;
        object.serialize_field("ledger_event_index", &event.ledger_event_index)?;
        object.serialize_field("event_id", &Text(event.event_id()))?;
        object.serialize_field("kind", event.kind.as_str())?;
        object.serialize_field("op_type", &event.op_type.map(|op_type| op_type.as_str()))?;
        object.serialize_field("contract_id", &Text(event.contract_id))?;
        object.serialize_field("asset", &event.asset.map(Text))?;
        object.serialize_field("asset_code", &event.asset.as_ref().and_then(Asset::code).map(Text))?;
        object.serialize_field("asset_issuer", &event.asset.as_ref().and_then(Asset::issuer).map(Text))?;
        object.serialize_field("from", &event.from.map(Text))?;
        object.serialize_field("to", &event.to.map(Text))?;
        object.serialize_field("amount", itoa::Buffer::new().format(event.amount))?;
        let (id, text, hash) = match &event.to_muxed {
            None => (None, None, None),
            Some(ToMuxed::Id(id)) => (Some(Text(id)), None, None),
            Some(ToMuxed::Text(text)) => (None, Some(Text(Base64Display::new(text, &STANDARD))), None),
            Some(ToMuxed::Hash(hash)) => (None, None, Some(Hex(*hash))),
        };
        object.serialize_field("to_muxed_id", &id)?;
        object.serialize_field("to_memo_text", &text)?;
        object.serialize_field("to_memo_hash", &hash)?;
        object.serialize_field("tx_successful", &event.tx_successful)?;
        object.end()
    }
}

impl Serialize for TokenTransfer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        JsonEvent { file: None, event: self }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TokenTransfer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer)?.into_row().map_err(serde::de::Error::custom)
    }
}

/// Appends the event as one line with its line end: JSON lines.
///
/// # Errors
///
/// None that an event can cause: the signature is that of the serialiser.
pub fn write_json_line(line: &mut Vec<u8>, event: JsonEvent<'_>) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *line, &event)?;
    line.push(b'\n');
    Ok(())
}

/// A value that is written as its text, without an allocation.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Hex(Hash32);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.encode_hex(&mut [0; 64]))
    }
}

/// The object as it is read. Every key must be there, null or not; keys that a later revision adds are passed over.
#[derive(Deserialize)]
struct Object {
    ledger_sequence: i64,
    closed_at: String,
    tx_hash: String,
    tx_index: i32,
    #[serde(deserialize_with = "Option::deserialize")]
    op_index: Option<i32>,
    event_index: i32,
    ledger_event_index: i32,
    event_id: String,
    kind: String,
    #[serde(deserialize_with = "Option::deserialize")]
    op_type: Option<String>,
    contract_id: String,
    #[serde(deserialize_with = "Option::deserialize")]
    asset: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    asset_code: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    asset_issuer: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    from: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    to: Option<String>,
    amount: String,
    #[serde(deserialize_with = "Option::deserialize")]
    to_muxed_id: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    to_memo_text: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    to_memo_hash: Option<String>,
    tx_successful: bool,
}

impl Object {
    fn into_row(self) -> Result<TokenTransfer, ColumnError> {
        let memo = match &self.to_memo_text {
            None => None,
            Some(text) => {
                let bytes = STANDARD.decode(text).map_err(|_| ParseError::new(text, "base64 with padding"));
                Some(at("to_memo_text", bytes)?)
            }
        };
        let parts = RowParts {
            ledger_sequence: self.ledger_sequence,
            closed_at: at("closed_at", self.closed_at.parse())?,
            tx_hash: at("tx_hash", self.tx_hash.parse())?,
            tx_index: self.tx_index,
            op_index: self.op_index,
            event_index: self.event_index,
            ledger_event_index: self.ledger_event_index,
            event_id: &self.event_id,
            kind: &self.kind,
            op_type: self.op_type.as_deref(),
            contract_id: &self.contract_id,
            asset: self.asset.as_deref(),
            asset_code: self.asset_code.as_deref(),
            asset_issuer: self.asset_issuer.as_deref(),
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            amount_text: &self.amount,
            to_muxed_id: self.to_muxed_id.as_deref().map(muxed_id).transpose()?,
            to_memo_text: memo.as_deref(),
            to_memo_hash: at("to_memo_hash", self.to_memo_hash.as_deref().map(str::parse).transpose())?,
            tx_successful: self.tx_successful,
        };
        parts.into_row().map_err(|error| match error.column {
            "amount_text" => ColumnError { column: "amount", ..error },
            _ => error,
        })
    }
}

fn muxed_id(text: &str) -> Result<u64, ColumnError> {
    let id = text.parse().ok().filter(|id: &u64| itoa::Buffer::new().format(*id) == text);
    at("to_muxed_id", id.ok_or_else(|| ParseError::new(text, "a whole number of 64 bits without sign")))
}

fn at<T>(column: &'static str, parsed: Result<T, ParseError>) -> Result<T, ColumnError> {
    parsed.map_err(|problem| ColumnError { column, problem: ValueError::Text(problem) })
}
