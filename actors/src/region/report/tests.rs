use serde_json::json;

use super::*;

fn report() -> RegionReport {
    RegionReport {
        region: "eu".parse().unwrap(),
        version: "0.1.0".to_owned(),
        lease_epoch: 7,
        ready: true,
        reasons: vec!["one node is away".to_owned()],
        durable: Some(DurableLedger {
            ledger: 17,
            hash: Hash32([1; 32]),
            closed_at: CloseTime::from_unix_seconds(1_700_000_000).unwrap(),
        }),
        source_tip: Some(18),
        tables: vec![TableReport {
            kind: TableKind::Ledgers,
            id: "0b2a".to_owned(),
            slots: 3,
            slot_sha256: Hash32([2; 32]),
            next_ledger: 18,
            total_digest: RowDigest::default(),
            epoch: 1,
            epochs: Vec::new(),
        }],
        decision: Some(Decision {
            generation: 2,
            to: Some("us".parse().unwrap()),
            forced: false,
            by: "operator ada".to_owned(),
            reason: "maintenance".to_owned(),
        }),
        traffic: Traffic { has: true, since_seconds: 60, priority: 1, weight: 100 },
        heard: vec![Heard { region: "us".parse().unwrap(), seconds_ago: Some(1) }],
    }
}

#[test]
fn a_report_is_read_as_it_was_written_and_unknown_keys_are_passed_over() {
    let report = report();
    assert_eq!(RegionReport::parse(&report.to_json()), Ok(report.clone()));
    let mut json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["durable"]["closed_at"], "2023-11-14T22:13:20Z");
    assert_eq!(json["tables"][0]["kind"], "ledgers");
    json["new_in_the_next_release"] = json!({ "a": 1 });
    assert_eq!(RegionReport::parse(json.to_string().as_bytes()), Ok(report));
}

#[test]
fn what_is_no_report_or_too_long_is_refused_with_its_limit() {
    let check = |change: fn(&mut serde_json::Value), expect: &str| {
        let mut json = serde_json::to_value(report()).unwrap();
        change(&mut json);
        let error = RegionReport::parse(json.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expect), "`{expect}`: {error}");
    };
    check(|json| json["region"] = json!("E U"), "`E U` cannot be the name of a region");
    check(|json| json["region"] = json!("x".repeat(33)), "1 to 32 of a-z");
    check(|json| json["durable"]["hash"] = json!("00"), "64 hexadecimal digits");
    check(|json| json["tables"][0]["total_digest"] = json!("f".repeat(64)), "modulus");
    check(|json| json["tables"][0]["kind"] = json!("accounts"), "`accounts` is no table");
    check(|json| json["reasons"] = json!(vec!["r"; 17]), "17 reasons: 16 at most");
    check(|json| json["reasons"] = json!(["r".repeat(257)]), "257 characters of a reason: 256 at most");
    check(|json| json["tables"] = json!(vec![json["tables"][0].clone(); 9]), "9 tables: 8 at most");
    check(|json| json["heard"] = json!(vec![json["heard"][0].clone(); 33]), "33 regions heard");
    check(|json| json["decision"]["by"] = json!("b".repeat(129)), "129 characters of a decision");
    check(|json| json["version"] = json!("1".repeat(70_000)), "bytes: 32768 at most");
    let malformed = |text: &[u8]| RegionReport::parse(text).unwrap_err();
    assert!(matches!(malformed(b"{"), ReportError::Malformed { .. }));
    assert!(matches!(malformed(b"[]"), ReportError::Malformed { .. }));
}

#[test]
fn what_is_written_can_always_be_read() {
    let long = RegionReport {
        reasons: vec!["\u{e9}".repeat(600); 40],
        heard: vec![Heard { region: "us".parse().unwrap(), seconds_ago: None }; 40],
        decision: Some(Decision { reason: "x".repeat(500), ..report().decision.unwrap() }),
        ..report()
    };
    let read = RegionReport::parse(&long.to_json()).unwrap();
    assert_eq!((read.reasons.len(), read.heard.len()), (16, 32));
    assert_eq!(read.reasons[0].chars().count(), 256);
}
