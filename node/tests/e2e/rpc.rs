//! A Stellar RPC server as the source: it forgets, throttles, skips and lies, and nothing unverified is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use orrery_actors::source::synthetic::{NETWORK_PASSPHRASE, SyntheticLedgers, SyntheticSpec};
use serde_json::{Value, json};
use stellar_xdr::{LedgerCloseMeta, Limits, TransactionResultMeta, VecM, WriteXdr};

use crate::process::{Home, assert_same, files};
use crate::stub::{Reply, Stub};

const LAST: u32 = 41;
const SOURCE: &str = "synthetic:?seed=1&ledgers=40&density=sparse";

/// Ledgers of a network by number; another seed is another history.
fn metas(seed: u32) -> BTreeMap<u32, LedgerCloseMeta> {
    let spec = SyntheticSpec::from_query(&format!("seed={seed}&ledgers=40&density=sparse")).unwrap();
    (2..).zip(SyntheticLedgers::new(&spec).map(|ledger| ledger.meta)).collect()
}

/// A server that keeps `oldest` and later ones. `fault` may answer calls, which are counted for each method.
fn server(
    metas: BTreeMap<u32, LedgerCloseMeta>,
    oldest: u32,
    fault: impl Fn(&Value, usize) -> Option<Reply> + Send + Sync + 'static,
) -> (Stub, String) {
    let texts: BTreeMap<u32, String> = metas
        .iter()
        .map(|(sequence, meta)| (*sequence, STANDARD.encode(meta.to_xdr(Limits::none()).unwrap())))
        .collect();
    let counts = std::sync::Mutex::new(BTreeMap::<String, usize>::new());
    let stub = Stub::start(move |request| {
        let call: Value = serde_json::from_str(&request.body).unwrap();
        let method = call["method"].as_str().unwrap();
        let earlier = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(method.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        if let Some(reply) = fault(&call, earlier) {
            return reply;
        }
        let answer = match method {
            "getNetwork" => json!({ "result": { "passphrase": NETWORK_PASSPHRASE, "protocolVersion": 23 } }),
            "getHealth" => json!({ "result": { "oldestLedger": oldest, "latestLedger": LAST } }),
            _ => ledgers(&texts, &call["params"], oldest),
        };
        Reply::Status(200, answer.to_string().into_bytes())
    });
    let url = format!("rpc+http://{}/v1/s3cret", stub.address());
    (stub, url)
}

fn ledgers(texts: &BTreeMap<u32, String>, parameters: &Value, oldest: u32) -> Value {
    let first = parameters["startLedger"].as_u64().unwrap() as u32;
    let limit = parameters["pagination"]["limit"].as_u64().unwrap() as usize;
    if !(oldest..=LAST).contains(&first) {
        return json!({ "error": { "code": -32600, "message": "start ledger out of range" } });
    }
    let page = texts.range(first..).take(limit);
    let page: Vec<_> =
        page.map(|(sequence, text)| json!({ "sequence": sequence, "metadataXdr": text })).collect();
    json!({ "result": { "ledgers": page, "latestLedger": LAST, "oldestLedger": oldest, "cursor": "1" } })
}

const GRID: [&str; 6] = ["--from", "2", "--to", "41", "--grid", "2:8"];

/// The dataset that the ledgers have.
fn undisturbed() -> Home {
    let home = Home::new();
    home.backfill(SOURCE, &home.url("dataset"), &GRID).expect(0, "complete");
    home
}

#[test]
fn a_server_that_throttles_and_fails_gives_the_same_dataset() {
    let (_stub, url) = server(metas(1), 2, |_, earlier| match earlier {
        1 => Some(Reply::Busy(429, 1)),
        2 => Some(Reply::Status(500, b"overloaded".to_vec())),
        4 => Some(Reply::Truncated(b"{\"result\":{}}".to_vec(), 5)),
        5 => Some(Reply::Dropped),
        _ => None,
    });
    let home = Home::new();
    let ended = home.backfill(&url, &home.url("dataset"), &GRID).expect(0, "complete");
    assert!(!ended.stderr().contains("s3cret"), "{}", ended.stderr());
    assert_same(&files(&home.path("dataset")), &files(&undisturbed().path("dataset")));
}

/// Backfills from a server, and expects that it ends with this code and message, and that whatever is in the dataset is
/// what the ledgers have.
#[track_caller]
fn check(url: &str, code: i32, says: &[&str]) {
    let home = Home::new();
    let variables = [("ORRERY_SOURCE__PATIENCE_SECONDS", "1")];
    let ended = home.backfill_with(url, &home.url("dataset"), &GRID, &variables).expect(code, says[0]);
    for says in says {
        assert!(ended.stderr().contains(says), "no `{says}`: {}", ended.stderr());
    }
    assert!(!ended.stderr().contains("s3cret"), "{}", ended.stderr());
    let right = undisturbed();
    let right = files(&right.path("dataset"));
    for (name, bytes) in files(&home.path("dataset")) {
        assert!(right.get(&name) == Some(&bytes), "{name} is not of these ledgers");
    }
    // With a source that is right, it goes on.
    home.run_here(&["resume"]);
    home.backfill(SOURCE, &home.url("dataset"), &GRID).expect(0, "complete");
    assert_same(&files(&home.path("dataset")), &right);
}

#[test]
fn ledgers_that_the_server_has_dropped_are_a_gap_with_its_bounds() {
    let (_stub, url) = server(metas(1), 20, |_, _| None);
    check(
        &url,
        65,
        &[
            "ledgers 2 to 19 are older than what this server keeps (from 20 on)",
            "is parked",
            "run the same again",
        ],
    );
}

#[test]
fn a_gap_that_the_server_steps_over_is_noticed() {
    let mut gap = metas(1);
    gap.remove(&21);
    let (_stub, url) = server(gap, 2, |_, _| None);
    check(&url, 69, &["ledger 22 where 21 is due"]);
}

#[test]
fn ledgers_beyond_the_newest_are_missing() {
    let (_stub, url) = server(metas(1), 2, |_, _| None);
    let home = Home::new();
    let more = ["--from", "2", "--to", "50", "--grid", "2:8"];
    home.backfill(&url, &home.url("dataset"), &more).expect(65, "ledger 42");
}

#[test]
fn ledgers_of_another_history_are_not_committed() {
    let mut forked = metas(1);
    forked.extend(metas(2).split_off(&25));
    let (_stub, url) = server(forked, 2, |_, _| None);
    check(&url, 65, &["ledger 25", "SRC-2", "orrery quarantine list"]);
}

#[test]
fn ledgers_that_were_changed_are_not_committed() {
    let mut swapped = metas(1);
    let meta = swapped.get_mut(&18).unwrap();
    match meta {
        LedgerCloseMeta::V1(meta) => meta.tx_processing = swap(&meta.tx_processing),
        LedgerCloseMeta::V2(meta) => {
            let mut all = meta.tx_processing.to_vec();
            all.swap(0, 1);
            meta.tx_processing = all.try_into().unwrap();
        }
        LedgerCloseMeta::V0(_) => panic!("no ledger of today"),
    }
    let (_stub, url) = server(swapped, 2, |_, _| None);
    check(&url, 65, &["ledger 18", "V4"]);
}

fn swap(all: &VecM<TransactionResultMeta>) -> VecM<TransactionResultMeta> {
    let mut all = all.to_vec();
    all.swap(0, 1);
    all.try_into().unwrap()
}

#[test]
fn a_server_that_is_right_stands_in_for_one_that_is_not() {
    let mut forked = metas(1);
    forked.extend(metas(2).split_off(&25));
    let (bad, good) = (server(forked, 2, |_, _| None), server(metas(1), 20, |_, _| None));
    let good = Arc::new(good);
    let home = Home::new();
    let more = [&["--source", &good.1][..], &GRID].concat();
    home.backfill(&bad.1, &home.url("dataset"), &more).expect(0, "complete");
    assert_same(&files(&home.path("dataset")), &files(&undisturbed().path("dataset")));
    assert!(good.0.count("/v1") > 1);
}
