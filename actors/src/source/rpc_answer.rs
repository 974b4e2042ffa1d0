//! What an answer of a Stellar RPC server means. Pure: text in, ledgers or an error out.
//!
//! Every answer says which ledgers the server keeps. Some servers answer a request below that with success and nothing, or
//! with what lies above it; a reader that only goes on would skip ledgers and never know.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use orrery_schemas::LedgerSequence;
use serde::Deserialize;

use super::lake_objects::one_line;
use super::{FetchedObject, SourceErrorKind};

/// JSON-RPC: the request makes no sense; servers answer so to ledgers that they do not have.
const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: the server lacks the method.
const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC: the parameters make no sense.
const INVALID_PARAMETERS: i64 = -32602;

#[derive(Deserialize)]
struct Envelope<T> {
    result: Option<T>,
    error: Option<RpcFault>,
}

#[derive(Deserialize)]
struct RpcFault {
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ledgers<'a> {
    #[serde(borrow)]
    ledgers: Option<Vec<Ledger<'a>>>,
    latest_ledger: u32,
    oldest_ledger: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ledger<'a> {
    sequence: u32,
    #[serde(borrow)]
    metadata_xdr: Cow<'a, str>,
}

/// Ledgers that a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The oldest.
    #[serde(deserialize_with = "sequence")]
    pub oldest_ledger: LedgerSequence,
    #[serde(deserialize_with = "sequence")]
    /// The newest.
    pub latest_ledger: LedgerSequence,
}

#[derive(Deserialize)]
struct NetworkInfo {
    passphrase: String,
}

fn sequence<'de, D: serde::Deserializer<'de>>(value: D) -> Result<LedgerSequence, D::Error> {
    u32::deserialize(value).map(LedgerSequence)
}

/// What came of `getLedgers`.
#[derive(Debug)]
pub enum Page {
    /// At least one ledger, from the first wanted one on.
    Objects(Vec<FetchedObject>),
    /// The first wanted ledger is newer than the server's newest.
    NotYet,
    /// The server refuses the range; what it keeps tells why.
    OutOfRange,
}

/// Reads an answer to `getLedgers` for `wanted`. `server` names the ledgers' origin.
///
/// # Errors
///
/// No answer, one that refuses, ledgers out of order, or a gap that the server no longer fills.
pub fn read_page(
    body: &[u8],
    wanted: &RangeInclusive<LedgerSequence>,
    server: &Arc<str>,
) -> Result<Page, SourceErrorKind> {
    let answer: Ledgers<'_> = match read(body)? {
        Ok(answer) => answer,
        Err(fault) if fault.code == INVALID_REQUEST => return Ok(Page::OutOfRange),
        Err(fault) => return Err(fault.kind()),
    };
    let kept = Kept {
        oldest_ledger: LedgerSequence(answer.oldest_ledger),
        latest_ledger: LedgerSequence(answer.latest_ledger),
    };
    let first = *wanted.start();
    let mut objects = Vec::new();
    let mut due = Some(first);
    for ledger in answer.ledgers.unwrap_or_default() {
        let found = LedgerSequence(ledger.sequence);
        let Some(expected) = due.filter(|due| wanted.contains(due)) else { break };
        if found != expected {
            kept.judge(first)?;
            return Err(SourceErrorKind::Fetch(format!(
                "the server gave ledger {found} where {expected} is due"
            )));
        }
        let bytes = STANDARD.decode(ledger.metadata_xdr.as_bytes()).map_err(|error| {
            SourceErrorKind::Fetch(format!("metadataXdr of ledger {found} is no base64: {error}"))
        })?;
        let range = found..=found;
        let bytes = Bytes::from(bytes);
        objects.push(FetchedObject { file: server.clone(), named: range.clone(), range, bytes });
        due = expected.next();
    }
    if !objects.is_empty() {
        return Ok(Page::Objects(objects));
    }
    match kept.judge(first)? {
        Place::Beyond => Ok(Page::NotYet),
        Place::Inside => Err(SourceErrorKind::Fetch(format!(
            "the server gave no ledgers, though it says that it has {} to {}",
            kept.oldest_ledger, kept.latest_ledger
        ))),
    }
}

/// Where a ledger lies among those that a server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Inside,
    Beyond,
}

impl Kept {
    /// A ledger that is no longer kept is a gap.
    pub(super) fn judge(&self, first: LedgerSequence) -> Result<Place, SourceErrorKind> {
        if first < self.oldest_ledger {
            let (oldest, to) = (self.oldest_ledger, LedgerSequence(self.oldest_ledger.0 - 1));
            return Err(SourceErrorKind::RetentionGap { from: first, to, oldest });
        }
        Ok(if first > self.latest_ledger { Place::Beyond } else { Place::Inside })
    }
}

/// Reads an answer to `getHealth`.
///
/// # Errors
///
/// No answer, or one that refuses.
pub fn read_kept(body: &[u8]) -> Result<Kept, SourceErrorKind> {
    read(body)?.map_err(RpcFault::kind)
}

/// Reads an answer to `getNetwork`; `None` from a server that lacks the method.
///
/// # Errors
///
/// No answer, or one that refuses.
pub fn read_network(body: &[u8]) -> Result<Option<String>, SourceErrorKind> {
    match read::<NetworkInfo>(body)? {
        Ok(network) => Ok(Some(network.passphrase)),
        Err(fault) if fault.code == METHOD_NOT_FOUND => Ok(None),
        Err(fault) => Err(fault.kind()),
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Result<T, RpcFault>, SourceErrorKind> {
    let envelope: Envelope<T> = serde_json::from_slice(body)
        .map_err(|error| SourceErrorKind::Fetch(format!("not an answer of a Stellar RPC server: {error}")))?;
    match (envelope.result, envelope.error) {
        (_, Some(fault)) => Ok(Err(fault)),
        (Some(result), None) => Ok(Ok(result)),
        (None, None) => Err(SourceErrorKind::Fetch("an answer with neither result nor error".to_owned())),
    }
}

impl RpcFault {
    fn kind(self) -> SourceErrorKind {
        let text = format!("{} (JSON-RPC error {})", one_line(&self.message), self.code);
        match self.code {
            INVALID_PARAMETERS | METHOD_NOT_FOUND => SourceErrorKind::Refused(text),
            _ => SourceErrorKind::Fetch(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with these ledgers, from a server that keeps 100 to 200.
    fn answer(ledgers: &[u32]) -> String {
        let ledgers: Vec<_> = ledgers
            .iter()
            .map(|it| serde_json::json!({"hash": "00", "sequence": it, "ledgerCloseTime": "1", "metadataXdr": "AAAA"}))
            .collect();
        serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {
            "ledgers": ledgers, "latestLedger": 200, "oldestLedger": 100, "cursor": "1", "later": 1
        }})
        .to_string()
    }

    fn fault(code: i64) -> String {
        serde_json::json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "start\n\u{1b} ledger"}})
            .to_string()
    }

    fn page(body: &str, first: u32, last: u32) -> Result<String, String> {
        let wanted = LedgerSequence(first)..=LedgerSequence(last);
        match read_page(body.as_bytes(), &wanted, &"server".into()) {
            Ok(Page::Objects(objects)) => {
                assert!(objects.iter().all(|object| object.bytes.as_ref() == [0, 0, 0]));
                let sequences = objects.iter().map(|object| object.range.start().to_string());
                Ok(sequences.collect::<Vec<_>>().join(" "))
            }
            Ok(other) => Ok(format!("{other:?}")),
            Err(kind) => Err(kind.to_string()),
        }
    }

    #[test]
    fn page_gives_the_wanted_ledgers_or_says_why_not() {
        let check = |body: String, first, last, expect: Result<&str, &str>| match (
            page(&body, first, last),
            expect,
        ) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect, "{body}"),
            (Err(found), Err(expect)) => assert!(found.contains(expect), "{body}: {found}"),
            (found, expect) => panic!("{body}: {found:?}, expected {expect:?}"),
        };
        check(answer(&[110, 111, 112]), 110, 112, Ok("110 111 112"));
        check(answer(&[110, 111]), 110, 119, Ok("110 111"));
        check(answer(&[110, 111, 112]), 110, 111, Ok("110 111"));
        // Nothing, with success: beyond the tip, or dropped, or a broken server.
        check(answer(&[]), 201, 210, Ok("NotYet"));
        check(
            answer(&[]),
            50,
            60,
            Err("ledgers 50 to 99 are older than what this server keeps (from 100 on)"),
        );
        check(answer(&[]), 150, 160, Err("gave no ledgers, though it says that it has 100 to 200"));
        check(answer(&[]).replace("[]", "null"), 201, 210, Ok("NotYet"));
        // What lies above the gap, as if nothing were missing.
        check(answer(&[100, 101]), 50, 60, Err("ledgers 50 to 99 are older"));
        check(answer(&[151, 152]), 150, 160, Err("ledger 151 where 150 is due"));
        check(answer(&[150, 152]), 150, 160, Err("ledger 152 where 151 is due"));
        check(answer(&[150, 150]), 150, 160, Err("ledger 150 where 151 is due"));
        check(answer(&[110]).replace("AAAA", "A?"), 110, 110, Err("no base64"));
        check(fault(-32600), 50, 60, Ok("OutOfRange"));
        check(fault(-32602), 50, 60, Err("the server refuses: start ledger (JSON-RPC error -32602)"));
        check(fault(-32001), 50, 60, Err("cannot fetch: start ledger (JSON-RPC error -32001)"));
        check("<html>".to_owned(), 50, 60, Err("not an answer of a Stellar RPC server"));
        check("{}".to_owned(), 50, 60, Err("neither result nor error"));
        check(answer(&[110])[..50].to_owned(), 110, 110, Err("not an answer"));
    }

    #[test]
    fn health_and_network_are_read() {
        let health =
            br#"{"result":{"status":"healthy","latestLedger":9,"oldestLedger":3,"ledgerRetentionWindow":7}}"#;
        let kept = read_kept(health).unwrap();
        assert_eq!((kept.oldest_ledger.0, kept.latest_ledger.0), (3, 9));
        let network = br#"{"result":{"passphrase":"Test","protocolVersion":23}}"#;
        assert_eq!(read_network(network).unwrap().as_deref(), Some("Test"));
        assert_eq!(read_network(fault(-32601).as_bytes()).unwrap(), None);
        assert!(read_network(fault(-1).as_bytes()).is_err());
    }
}
