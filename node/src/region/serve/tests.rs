use orrery_actors::dataset::{DatasetUrl, Retry, object_sha256};
use orrery_actors::region::RegionView;
use orrery_supervisor::ManualClock;

use super::*;

const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A slot that adds a file; its text, and the file's path.
fn slot(ledger: u32, file: &[u8]) -> (String, String) {
    let sha256 = object_sha256(file).to_string();
    let path = format!("data/{ledger}-{ledger}-{}.parquet", &sha256[..16]);
    let bounds = format!(r#"{{\"sequence\":{ledger},\"closed_at\":\"1970-01-01T00:00:00.000Z\"}}"#);
    let info = format!(
        r#"{{"commitInfo":{{"timestamp":0,"operation":"WRITE","operationParameters":{{"mode":"Append"}},"isBlindAppend":true,"engineInfo":"orrery","orrery":{{"prev":"{DIGEST}","epoch":1,"first_ledger":{ledger},"last_ledger":{ledger},"parent_ledger_hash":"{DIGEST}","last_ledger_hash":"{DIGEST}","rows":1,"total_rows":1,"row_digest":"{DIGEST}","total_digest":"{DIGEST}"}}}}}}"#
    );
    let add = format!(
        r#"{{"add":{{"path":"{path}","partitionValues":{{}},"size":{},"modificationTime":0,"dataChange":true,"stats":"{{\"numRecords\":1,\"minValues\":{bounds},\"maxValues\":{bounds}}}","tags":{{"orrery.row_digest":"{DIGEST}","orrery.sha256":"{sha256}"}}}}}}"#,
        file.len()
    );
    (format!("{info}\n{add}\n"), path)
}

/// A service of a dataset with two slots and a file of some MiB; the file and its path.
async fn service() -> (RegionService, Vec<u8>, String) {
    let store = Store::connect(&DatasetUrl::Memory, &|_| None, Retry::new(1).unwrap()).unwrap();
    let file: Vec<u8> = (0..5_500_000_u32).map(|place| (place % 251) as u8).collect();
    let (text, path) = slot(2, &file);
    let put = async |name: String, bytes: Vec<u8>| {
        store.put_create(&format!("ledgers/{name}"), bytes.into()).await.unwrap();
    };
    put("_delta_log/00000000000000000000.json".to_owned(), b"first".to_vec()).await;
    put("_delta_log/00000000000000000001.json".to_owned(), text.into_bytes()).await;
    put(path.clone(), file.clone()).await;
    put("data/9-9-0123456789abcdef.parquet".to_owned(), b"not in the log".to_vec()).await;
    let regions = Regions::new(true);
    (RegionService::new(regions, Some(store), Arc::new(ManualClock::default())), file, path)
}

fn slots(from: u64, max: u32) -> Vec<u8> {
    RegionTicket::Slots { table: "ledgers".to_owned(), from, max }.encode()
}

fn object(slot: u64, path: &str) -> Vec<u8> {
    RegionTicket::Object { table: "ledgers".to_owned(), slot, path: path.to_owned() }.encode()
}

/// The slots or files of an answer: number and bytes of each.
async fn whole(answer: Result<Frames, Status>) -> Vec<(u64, Vec<u8>)> {
    let mut frames = answer.unwrap().into_inner();
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    while let Some(frame) = frames.next().await {
        let frame = frame.unwrap();
        assert!(frame.data_body.len() <= PART_BYTES_MAX);
        parts.extend_from_slice(&frame.data_body);
        let head = PartHead::decode(&frame.app_metadata).unwrap();
        if head.left == 0 {
            whole.push((head.slot, std::mem::take(&mut parts)));
        }
    }
    assert!(parts.is_empty());
    whole
}

#[tokio::test]
async fn slots_and_the_files_they_name_come_in_parts() {
    let (service, file, path) = service().await;
    let get = async |ticket: Vec<u8>| whole(service.get(&ticket, Purpose::Region).await).await;
    let numbers =
        async |from, max| get(slots(from, max)).await.into_iter().map(|(slot, _)| slot).collect::<Vec<_>>();
    assert_eq!(numbers(0, 9).await, [0, 1]);
    assert_eq!(numbers(0, 1).await, [0]);
    assert_eq!(numbers(1, u32::MAX).await, [1]);
    assert_eq!(numbers(2, 9).await, [0_u64; 0]);
    assert!(get(object(1, &path)).await == [(1, file)]);
}

#[tokio::test]
async fn what_no_slot_names_and_whoever_may_not_ask_is_refused() {
    let (service, _, path) = service().await;
    let check = async |ticket: Vec<u8>, purpose, expect: &str| {
        let refused = service.get(&ticket, purpose).await.err().unwrap().to_string();
        assert!(refused.contains(expect), "`{expect}`: {refused}");
    };
    let region = Purpose::Region;
    check(object(1, "data/9-9-0123456789abcdef.parquet"), region, "names no such file").await;
    check(object(1, "_delta_log/00000000000000000000.json"), region, "names no such file").await;
    check(object(1, "../ledgers/../secret"), region, "names no such file").await;
    check(object(0, &path), region, "names no such file").await;
    check(object(7, &path), region, "names no such file").await;
    check(br#"{"region":{"slots":{"table":"keys","from":0,"max":1}}}"#.to_vec(), region, "is no table").await;
    check(br#"{"region":{}}"#.to_vec(), region, "not a ticket").await;
    check(vec![b' '; 2000], region, "2000 bytes: 1024 at most").await;
    check(slots(0, 1), Purpose::Operator, "only nodes of peer regions").await;
    // Answers that nobody reads hold their places.
    let mut held = Vec::new();
    for _ in 0..ANSWERS_MAX {
        held.push(service.get(&slots(0, 1), region).await.unwrap());
    }
    check(slots(0, 1), region, "32 answers are under way").await;
    held.pop();
    assert!(service.get(&slots(0, 1), region).await.is_ok());
    let alone = RegionService { regions: Regions::new(false), ..service.clone() };
    assert!(alone.get(&slots(0, 1), region).await.err().unwrap().to_string().contains("no [region]"));
    let without = RegionService { dataset: None, ..service };
    assert!(without.get(&slots(0, 1), region).await.is_err());
}

#[tokio::test]
async fn a_report_is_told_while_it_is_fresh() {
    let clock = Arc::new(ManualClock::default());
    let regions = Regions::new(true);
    let service = RegionService::new(regions.clone(), None, clock.clone());
    let says = |expect: &str| {
        let refused = service.report(Purpose::Region).unwrap_err().to_string();
        assert!(refused.contains(expect), "{refused}");
    };
    says("no coordinator has told this node");
    let own = serde_json::json!({ "region": "eu", "version": "1", "lease_epoch": 1, "ready": true,
        "durable": null, "source_tip": null, "decision": null, "traffic": { "has": true, "since_seconds": 1 } });
    let own = serde_json::from_value(own).unwrap();
    regions.tell(&RegionView { own: Some(own), ..RegionView::default() }, clock.now());
    assert!(service.report(Purpose::Node).unwrap().starts_with(br#"{"region":"eu""#));
    assert!(service.report(Purpose::Operator).is_err());
    clock.advance(REPORT_AGE_MAX);
    assert!(service.report(Purpose::Region).is_ok());
    clock.advance(Duration::from_millis(1));
    says("no coordinator has told this node");
}

#[test]
fn whoever_is_of_a_peer_region_asks_for_nothing_else() {
    let service = RegionService::new(Regions::new(true), None, Arc::new(ManualClock::default()));
    let check = |action: &str, purpose, expect: Result<bool, &str>| {
        let found = service.act(action, purpose).map(|answer| answer.is_some());
        let found = found.map_err(|status| status.message().to_owned());
        match (&found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(*found, expect, "{action}"),
            (Err(found), Err(expect)) => assert!(found.contains(expect), "{action}: {found}"),
            _ => panic!("{action}: {found:?}"),
        }
    };
    let alone = "a node of a peer region may ask for region.report alone";
    for action in ["nodes", "tree", "park", "drain", "logs", "region.everything", ""] {
        check(action, Purpose::Region, Err(alone));
        check(action, Purpose::Operator, Ok(false));
        check(action, Purpose::Node, Ok(false));
    }
    check("region.report", Purpose::Region, Err("no coordinator has told"));
    check("region.report", Purpose::Operator, Err("only nodes of peer regions"));
}
