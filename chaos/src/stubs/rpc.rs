//! A Stellar RPC server over made-up ledgers: `getNetwork`, `getHealth` and `getLedgers`, or what a fault makes of them. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::Reply;
use super::made::{MadeLedgers, PASSPHRASE};
use super::spoil::{Instead, SourceFault};

/// The first ledger that there is.
const FIRST: u32 = 2;

/// Ledgers in a page if nobody says how many.
const PAGE: u64 = 50;

/// What is answered to a call when `newest` is the newest ledger, and whether the fault had a part in it.
pub(super) fn answer(body: &[u8], newest: u32, made: &MadeLedgers, fault: SourceFault) -> (Reply, bool) {
    let Ok(call) = serde_json::from_slice::<Value>(body) else { return (Reply::new(400, ""), false) };
    let newest = match fault {
        SourceFault::Stalls(stalled) | SourceFault::BeginsAnew(stalled) => newest.min(stalled),
        _ => newest,
    };
    let oldest = match fault {
        SourceFault::Forgets(oldest) => oldest.min(newest),
        _ => FIRST,
    };
    let is_other = fault == SourceFault::OtherNetwork;
    let (answer, is_wrong) = match call["method"].as_str() {
        Some("getNetwork") => {
            let passphrase = if is_other { "Another Network ; 2020" } else { PASSPHRASE };
            (json!({ "result": { "passphrase": passphrase, "protocolVersion": 23 } }), is_other)
        }
        Some("getHealth") => (json!({ "result": { "oldestLedger": oldest, "latestLedger": newest } }), false),
        Some("getLatestLedger") => (json!({ "result": { "sequence": newest } }), false),
        Some("getLedgers") => return ledgers(&call["params"], oldest, newest, made, fault),
        _ => (json!({ "error": { "code": -32601, "message": "method not found" } }), false),
    };
    (said(&answer), is_wrong)
}

fn ledgers(
    parameters: &Value,
    oldest: u32,
    newest: u32,
    made: &MadeLedgers,
    fault: SourceFault,
) -> (Reply, bool) {
    let first = parameters["startLedger"].as_u64().and_then(|first| u32::try_from(first).ok()).unwrap_or(0);
    let limit = parameters["pagination"]["limit"].as_u64().unwrap_or(PAGE);
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    if !(oldest..=newest).contains(&first) {
        let message = format!("start ledger ({first}) must be between {oldest} and {newest}");
        let is_wrong =
            matches!(fault, SourceFault::Forgets(_) | SourceFault::BeginsAnew(_) | SourceFault::Stalls(_));
        return (said(&json!({ "error": { "code": -32600, "message": message } })), is_wrong);
    }
    let (mut page, mut is_wrong) = (Vec::new(), false);
    for ledger in first..=newest.min(first.saturating_add(limit - 1)) {
        let (instead, wrong) = instead(ledger, made, fault);
        is_wrong |= wrong;
        match instead {
            Instead::Missing => {}
            Instead::Announced(length) => {
                return (Reply { announced: Some(length), ..Reply::new(200, "{") }, true);
            }
            Instead::Body(text) => return (Reply::new(200, text), true),
            Instead::Text(text) => page.push(json!({ "sequence": ledger, "metadataXdr": text })),
            Instead::Xdr(xdr) | Instead::Object(xdr) => {
                page.push(json!({ "sequence": ledger, "metadataXdr": STANDARD.encode(xdr) }));
            }
        }
    }
    let cursor = newest.to_string();
    let result = json!({ "ledgers": page, "latestLedger": newest, "oldestLedger": oldest, "cursor": cursor });
    (said(&json!({ "result": result })), is_wrong)
}

/// A ledger, or what is in its place; and whether it is that.
fn instead(ledger: u32, made: &MadeLedgers, fault: SourceFault) -> (Instead, bool) {
    let forked = match fault {
        SourceFault::Ledgers(spoil, from) if ledger >= from => match spoil.instead(made, ledger) {
            Some(instead) => return (instead, true),
            None => false,
        },
        SourceFault::Replaced(to) => ledger <= to,
        SourceFault::BeginsAnew(_) => true,
        _ => false,
    };
    let xdr = if forked { made.forked(ledger) } else { made.sound(ledger) };
    (xdr.map_or(Instead::Missing, |xdr| Instead::Xdr(xdr.to_vec())), forked)
}

fn said(answer: &Value) -> Reply {
    Reply::new(200, answer.to_string()).with("Content-Type", "application/json")
}
