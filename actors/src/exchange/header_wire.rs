//! The header of every frame, as it travels in `app_metadata`: two bytes of a mark, one of a version, then JSON.
//!
//! A reader looks at the version before anything else. A new kind of frame or a new field is a new version: what is not
//! known is refused with words, never ignored.

use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::ExchangeError;
use crate::dataset::TableKind;
use crate::source::AtTip;

/// Version of the frames.
pub const VERSION: u8 = 2;

/// Begins every header, so that a peer of another protocol is told from one of another version.
const MARK: [u8; 2] = *b"OX";

/// Most bytes of a header: the longest holds the name of a file.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// What stands before the batch of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// Incarnation of the pipeline on the node that processes: one stream, one epoch.
    pub(super) epoch: u64,
    /// Frames of this direction of the stream, from 1, without a gap.
    pub(super) sequence: u64,
    /// W3C trace context of the batch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) traceparent: Option<String>,
    /// What it is about.
    pub(super) body: Body,
}

/// The kinds of frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Body {
    /// The first frame of a stream: what is wanted.
    Open(Opening),
    /// As [`crate::envelope::Demand::Begin`].
    Begin { run: u64, from: u32, avoid: Option<usize>, attempt: u32, credits: u32 },
    /// As [`crate::envelope::Demand::Grant`].
    Grant { run: u64, credits: u32 },
    /// So many more bytes may be sent.
    Credit { bytes: usize },
    /// A batch of ledgers; `bytes` of the window.
    Ledgers { run: u64, first: u32, last: u32, bytes: usize, origin: OriginWire },
    /// An object as it was fetched, because it does not hold what it should: the evidence itself.
    Object { run: u64, first: u32, last: u32, named: (u32, u32), bytes: usize, origin: OriginWire },
    /// No more will come in this run.
    Ended { run: u64 },
    /// The output is open and stands there.
    Ready { next: u32, parent: Option<String> },
    /// So many more batches may be sent.
    Granted { credits: u32 },
    /// The ledgers' rows of a batch of events; its events follow in the next frame.
    Events { first: u32, last: u32, bytes: usize },
    /// The events of the batch before.
    Rows { bytes: usize },
    /// No more events will come.
    End,
    /// Every ledger up to this one is durable in the output.
    Durable { ledger: u32 },
    /// The output has all that came, and has ended.
    Finished,
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
}

impl Body {
    /// For messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Begin { .. } => "begin",
            Self::Grant { .. } => "grant",
            Self::Credit { .. } => "credit",
            Self::Ledgers { .. } => "ledgers",
            Self::Object { .. } => "object",
            Self::Ended { .. } => "ended",
            Self::Ready { .. } => "ready",
            Self::Granted { .. } => "granted",
            Self::Events { .. } => "events",
            Self::Rows { .. } => "rows",
            Self::End => "end",
            Self::Durable { .. } => "durable",
            Self::Finished => "finished",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }

    /// Bytes that the frame takes of the window.
    pub(super) fn window_bytes(&self) -> usize {
        match self {
            Self::Ledgers { bytes, .. }
            | Self::Object { bytes, .. }
            | Self::Events { bytes, .. }
            | Self::Rows { bytes } => *bytes,
            _ => 0,
        }
    }
}

/// Where ledgers came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginWire {
    /// Number of the store.
    pub(super) source: usize,
    /// Name of the store.
    pub(super) lake: String,
    /// Object or answer.
    pub(super) file: String,
    /// SHA-256 of the object, hexadecimal; `None` where the frame's ledgers are the object, byte for byte.
    pub(super) fingerprint: Option<String>,
}

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Name of the pipeline.
    pub pipeline: String,
    /// SHA-256 of the network's passphrase, hexadecimal.
    pub network: String,
    /// The first ledger, where others work on those before it.
    pub from: Option<u32>,
    /// The last ledger; `None` goes on for ever.
    pub to: Option<u32>,
    /// Bytes that may be on the way to the node that opens the stream.
    pub window_bytes: usize,
    /// Which stage.
    pub wanted: Wanted,
}

/// The stage that another node is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wanted {
    /// Its fetcher.
    Fetch {
        /// What to do about ledgers that no source has yet: `wait` or `fail`.
        at_tip: AtTipWire,
    },
    /// The sink of one of its tables.
    Sink {
        /// Which.
        table: TableWire,
        /// The dataset as the node that processes knows it: a sink over another one is refused.
        dataset: DatasetWire,
    },
}

/// [`AtTip`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtTipWire {
    /// Poll until it is there.
    Wait,
    /// It is a missing ledger.
    Fail,
}

impl From<AtTip> for AtTipWire {
    fn from(at_tip: AtTip) -> Self {
        match at_tip {
            AtTip::Wait => Self::Wait,
            AtTip::Fail => Self::Fail,
        }
    }
}

impl From<AtTipWire> for AtTip {
    fn from(at_tip: AtTipWire) -> Self {
        match at_tip {
            AtTipWire::Wait => Self::Wait,
            AtTipWire::Fail => Self::Fail,
        }
    }
}

/// A table's name on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableWire(String);

impl From<TableKind> for TableWire {
    fn from(kind: TableKind) -> Self {
        Self(kind.as_str().to_owned())
    }
}

impl TableWire {
    /// The table, if this release has it.
    pub fn kind(&self) -> Option<TableKind> {
        TableKind::ALL.into_iter().find(|kind| kind.as_str() == self.0)
    }
}

/// What two nodes that write one dataset must agree on; `None` where the dataset itself says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetWire {
    /// First ledger.
    pub start_ledger: Option<u32>,
    /// Where slots end: first ledger and width of each step.
    pub grid: Option<Vec<(u32, u32)>>,
    /// Revision of the rules that rows are made by.
    pub processor_version: u32,
}

impl Header {
    /// The bytes of `app_metadata`.
    pub(super) fn encode(&self) -> Result<Bytes, ExchangeError> {
        let mut bytes = vec![MARK[0], MARK[1], VERSION];
        serde_json::to_writer(&mut bytes, self).map_err(|error| problem(error.to_string()))?;
        match bytes.len() {
            0..=HEADER_BYTES_MAX => Ok(bytes.into()),
            length => Err(problem(format!("it has {length} bytes, at most {HEADER_BYTES_MAX} may travel"))),
        }
    }

    /// Reads the bytes of `app_metadata`.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ExchangeError> {
        let [first, second, version, json @ ..] = bytes else {
            return Err(problem(format!("it has {} bytes and no mark", bytes.len())));
        };
        if [*first, *second] != MARK {
            return Err(problem(format!("it begins with {first:02x}{second:02x}, which is no mark of ours")));
        }
        if *version != VERSION {
            return Err(ExchangeError::Version { found: *version });
        }
        if bytes.len() > HEADER_BYTES_MAX {
            return Err(problem(format!(
                "it has {} bytes, at most {HEADER_BYTES_MAX} are read",
                bytes.len()
            )));
        }
        serde_json::from_slice(json).map_err(|error| problem(error.to_string()))
    }
}

/// A hash in hexadecimal.
pub(super) fn hash(text: &str) -> Result<[u8; 32], ExchangeError> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => {
            Err(problem(format!("`{}` is no hash: {error}", String::from_iter(text.chars().take(80)))))
        }
    }
}

fn problem(problem: String) -> ExchangeError {
    ExchangeError::Header { problem }
}

impl FromStr for Opening {
    type Err = serde_json::Error;

    /// From JSON, for nodes that keep what was asked of them.
    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(body: Body) -> Header {
        Header { epoch: 3, sequence: 7, traceparent: Some("00-1-2-01".to_owned()), body }
    }

    #[test]
    fn a_header_comes_out_as_it_went_in() {
        let origin =
            OriginWire { source: 1, lake: "a".into(), file: "b".into(), fingerprint: Some("cd".repeat(32)) };
        let dataset = DatasetWire { start_ledger: Some(2), grid: Some(vec![(0, 64)]), processor_version: 1 };
        let opening = |wanted| Opening {
            pipeline: "main".into(),
            network: "ab".repeat(32),
            from: Some(2),
            to: Some(9),
            window_bytes: 1 << 25,
            wanted,
        };
        let bodies = [
            Body::Open(opening(Wanted::Fetch { at_tip: AtTipWire::Wait })),
            Body::Open(opening(Wanted::Sink { table: TableKind::Ledgers.into(), dataset })),
            Body::Begin { run: 1, from: 2, avoid: Some(3), attempt: 4, credits: 5 },
            Body::Ledgers { run: 1, first: 2, last: 3, bytes: 4, origin: origin.clone() },
            Body::Object { run: 1, first: 2, last: 3, named: (2, 63), bytes: 4, origin },
            Body::Ready { next: 2, parent: None },
            Body::Events { first: 2, last: 3, bytes: 4 },
            Body::End,
            Body::Durable { ledger: 9 },
            Body::Pong,
        ];
        for body in bodies {
            let header = header(body);
            assert_eq!(Header::decode(&header.encode().unwrap()).unwrap(), header);
        }
    }

    #[test]
    fn what_is_no_header_is_refused_with_words() {
        let check = |bytes: &[u8], expect: &str| {
            let error = Header::decode(bytes).unwrap_err().to_string();
            assert!(error.contains(expect), "{bytes:?}: {error}");
        };
        check(b"", "0 bytes and no mark");
        check(b"GET / HTTP", "4745, which is no mark");
        check(b"OX\x01{}", "version 1 of the exchange, this one 2");
        check(b"OX\x02{}", "missing field `epoch`");
        check(b"OX\x02{\"epoch\":1,\"sequence\":1,\"body\":{\"dance\":{}}}", "unknown variant `dance`");
        check(b"OX\x02{\"epoch\":1,\"sequence\":1,\"more\":1,\"body\":\"end\"}", "unknown field `more`");
        check(&[b"OX\x02".as_slice(), &[b' '; HEADER_BYTES_MAX]].concat(), "at most");
        assert!(
            header(Body::Ready { next: 1, parent: Some("x".repeat(HEADER_BYTES_MAX)) }).encode().is_err()
        );
        assert!(hash("xy").is_err() && hash(&"ab".repeat(31)).is_err() && hash(&"ab".repeat(32)).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), marked: bool) {
            let bytes = if marked { [b"OX\x02".as_slice(), &bytes].concat() } else { bytes };
            let _ = Header::decode(&bytes);
        }
    }
}
