use orrery_schemas::{Hash32, LedgerSequence};

use super::*;

fn state(directory: &Path) -> NodeState {
    NodeState::open(directory).unwrap()
}

fn poison(ledger: u32) -> Quarantined {
    Quarantined {
        ledger,
        pipeline: "live".to_owned(),
        dataset: "file:///dataset".to_owned(),
        source: "file://lake".to_owned(),
        file: "FFFFFFFD--2.xdr.zst".to_owned(),
        reason: "V1: the header's hash is another".to_owned(),
        attempts: 3,
        object_bytes: 5,
    }
}

fn output(dataset: &str, table: &str, id: &str) -> OutputKey {
    let [dataset, table, id] = [dataset, table, id].map(str::to_owned);
    OutputKey { dataset, table, id }
}

#[test]
fn everything_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let record = RestartRecord {
        supervisor: "node/pipelines".to_owned(),
        child: "live".to_owned(),
        reason: "panicked: x".to_owned(),
        restarts_in_window: 2,
        incarnation: 7,
    };
    {
        let state = state(directory.path());
        state.checkpoints.advance(&output("file://a b", "ledgers", "1-2"), LedgerSequence(77)).unwrap();
        state.objects.remember("lake", LedgerSequence(5), Hash32([1; 32])).unwrap();
        state.quarantine.keep(&poison(9), b"bytes").unwrap();
        state.parked.park("live", "asked for").unwrap();
        state.restarts.add(&record).unwrap();
        state.flush().unwrap();
    }
    let state = state(directory.path());
    assert_eq!(
        state.checkpoints.list().unwrap(),
        [(output("file://a b", "ledgers", "1-2"), LedgerSequence(77))]
    );
    assert_eq!(state.objects.remember("lake", LedgerSequence(5), Hash32([1; 32])).unwrap(), Seen::Same);
    let (entry, bytes) = state.quarantine.get(LedgerSequence(9)).unwrap().unwrap();
    assert_eq!((entry, bytes.as_deref()), (poison(9), Some(&b"bytes"[..])));
    assert_eq!(state.parked.reason("live").unwrap().as_deref(), Some("asked for"));
    assert_eq!(state.restarts.latest(9).unwrap(), [record]);
}

#[test]
fn the_latest_restarts_come_newest_last_and_old_ones_go() {
    let directory = tempfile::tempdir().unwrap();
    let restarts = state(directory.path()).restarts;
    for incarnation in 1..=1003 {
        let record = RestartRecord {
            supervisor: "node/pipelines".to_owned(),
            child: "live".to_owned(),
            reason: "killed".to_owned(),
            restarts_in_window: 1,
            incarnation,
        };
        restarts.add(&record).unwrap();
    }
    let check = |count, expect: Vec<u64>| {
        let latest = restarts.latest(count).unwrap().into_iter();
        assert_eq!(latest.map(|record| record.incarnation).collect::<Vec<_>>(), expect, "{count}");
    };
    check(0, vec![]);
    check(2, vec![1002, 1003]);
    check(5000, (4..=1003).collect());
}

#[test]
fn pipelines_are_known_until_the_node_has_others_unless_they_are_parked() {
    let directory = tempfile::tempdir().unwrap();
    let parked = state(directory.path()).parked;
    assert_eq!(parked.pipelines().unwrap(), Vec::<String>::new());
    parked.know("one").unwrap();
    parked.know("two").unwrap();
    assert_eq!(parked.pipelines().unwrap(), ["two"]);
    assert!(!parked.resume("two").unwrap(), "it was not parked");
    parked.park("two", "asked for").unwrap();
    parked.know("two").unwrap();
    parked.know("three").unwrap();
    assert_eq!(parked.pipelines().unwrap(), ["three", "two"]);
    assert_eq!(parked.reason("two").unwrap().as_deref(), Some("asked for"));
    assert!(parked.resume("two").unwrap());
    assert_eq!((parked.reason("two").unwrap(), parked.reason("nobody").unwrap()), (None, None));
}

#[test]
fn a_checkpoint_never_moves_back() {
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    let a = output("a", "ledgers", "1");
    let check = |ledger, expect| {
        assert_eq!(state.checkpoints.advance(&a, LedgerSequence(ledger)).unwrap(), LedgerSequence(expect));
    };
    check(10, 10);
    check(12, 12);
    check(11, 12);
    assert_eq!(state.checkpoints.get(&output("b", "ledgers", "1")).unwrap(), None);
}

#[test]
fn an_output_that_has_less_than_was_noted_went_back_and_any_other_is_noted() {
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    let check = |output: &OutputKey, durable: Option<u32>, expect| {
        let noted = state.checkpoints.get(output).unwrap();
        let opened = state.checkpoints.open(output, noted, durable.map(LedgerSequence)).unwrap();
        assert_eq!(opened, expect, "{output} {durable:?}");
    };
    let one = output("a", "ledgers", "1");
    check(&one, None, Opened::Sound);
    check(&one, Some(10), Opened::Sound);
    check(&one, Some(12), Opened::Sound);
    check(&one, Some(11), Opened::WentBack(LedgerSequence(12)));
    check(&one, None, Opened::WentBack(LedgerSequence(12)));
    check(&output("a", "token_transfers", "1"), Some(3), Opened::Sound);
    check(&output("a b", "ledgers", "1"), Some(5), Opened::Sound);
    let anew = output("a", "ledgers", "2");
    check(&anew, None, Opened::MadeAnew(LedgerSequence(12)));
    check(&anew, None, Opened::Sound);
    check(&one, Some(1), Opened::Sound);
    assert_eq!(state.checkpoints.of_dataset(&one).unwrap().len(), 2);
    state.checkpoints.forget_dataset(&one).unwrap();
    assert_eq!(state.checkpoints.list().unwrap(), [(output("a b", "ledgers", "1"), LedgerSequence(5))]);
}

#[test]
fn what_is_noted_while_an_output_is_opened_is_no_sign_that_it_went_back() {
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    let (output, ledger) = (output("a", "ledgers", "1"), LedgerSequence);
    state.checkpoints.advance(&output, ledger(10)).unwrap();
    let noted = state.checkpoints.get(&output).unwrap();
    let seen = Some(ledger(11));
    state.checkpoints.advance(&output, ledger(12)).unwrap();
    assert_eq!(state.checkpoints.open(&output, noted, seen).unwrap(), Opened::Sound);
    assert_eq!(state.checkpoints.get(&output).unwrap(), Some(ledger(12)), "a checkpoint never moves back");
}

#[test]
fn a_changed_object_is_noticed_and_old_ones_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    let check = |source, ledger, byte, expect| {
        let seen = state.objects.remember(source, LedgerSequence(ledger), Hash32([byte; 32])).unwrap();
        assert_eq!(seen, expect, "{source} {ledger} {byte}");
    };
    check("lake", 5, 1, Seen::New);
    check("lake", 5, 1, Seen::Same);
    check("mirror", 5, 2, Seen::New);
    check("lake", 5, 3, Seen::Changed(Hash32([1; 32])));
    check("lake", 5, 3, Seen::Same);
    check("lake", 10_006, 4, Seen::New);
    check("lake", 5, 9, Seen::New);
}

#[test]
fn quarantine_lists_releases_and_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let quarantine = state(directory.path()).quarantine;
    for ledger in 1..=103 {
        quarantine.keep(&poison(ledger), b"x").unwrap();
    }
    let kept: Vec<_> = quarantine.list().unwrap().into_iter().map(|entry| entry.ledger).collect();
    assert_eq!(kept, (4..=103).collect::<Vec<_>>());
    assert!(quarantine.release(LedgerSequence(50)).unwrap());
    assert!(!quarantine.release(LedgerSequence(50)).unwrap());
    assert_eq!(quarantine.get(LedgerSequence(50)).unwrap(), None);
}

#[test]
fn a_task_whose_ledgers_are_durable_is_not_parked_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    let parked = |expect: &[&str]| {
        let names: Vec<_> = state.parked.reasons().unwrap().into_keys().collect();
        assert_eq!(names, expect);
    };
    for (ledger, name) in [(5, "main/until-10"), (15, "main/until-20"), (16, "main/until-20"), (17, "main")] {
        let entry = Quarantined { pipeline: name.to_owned(), ..poison(ledger) };
        state.quarantine.keep(&entry, b"x").unwrap();
        state.parked.park(name, "poison").unwrap();
    }
    let dataset = poison(1).dataset;
    let check = |durable, mended: &[u32], left: &[&str]| {
        let found = state.mend("main", &dataset, LedgerSequence(durable)).unwrap();
        assert_eq!(found, mended.iter().copied().map(LedgerSequence).collect::<Vec<_>>());
        parked(left);
    };
    check(4, &[], &["main", "main/until-10", "main/until-20"]);
    check(10, &[5], &["main", "main/until-20"]);
    check(15, &[15], &["main", "main/until-20"]);
    check(20, &[16, 17], &["main"]);
    assert!(state.parked.resume_all("main").unwrap());
    parked(&[]);
    assert!(!state.parked.resume_all("main").unwrap());
}

#[test]
fn a_second_process_is_told_that_the_state_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let _first = state(directory.path());
    let second = NodeState::open(directory.path());
    assert!(matches!(second, Err(StateError::InUse { .. })), "{second:?}");
}

#[test]
fn a_damaged_value_is_absent_and_never_another() {
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    state.parked.park("live", "asked for").unwrap();
    let tree = state.db.open_tree("parked").unwrap();
    let value = tree.get("live").unwrap().unwrap().to_vec();
    for at in 0..value.len() {
        let mut damaged = value.clone();
        damaged[at] ^= 1;
        tree.insert("live", damaged).unwrap();
        assert_eq!(state.parked.reason("live").unwrap(), None, "byte {at}");
    }
}

#[test]
fn damaged_state_is_moved_aside_and_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let state = state(directory.path());
        assert_eq!(state.checkpoints.list().unwrap(), [], "round {round}");
        state.checkpoints.advance(&output("a", "ledgers", "1"), LedgerSequence(1)).unwrap();
        state.flush().unwrap();
        drop(state);
        let conf = directory.path().join("state/conf");
        fs::write(conf, b"damaged beyond recognition").unwrap();
    }
    assert!(directory.path().join("state.damaged-2").exists());
}

#[test]
fn a_state_that_is_kept_open_is_not_closed_with_its_last_handle() {
    let directory = tempfile::tempdir().unwrap();
    state(directory.path()).keep_open();
    let second = NodeState::open(directory.path());
    assert!(matches!(second, Err(StateError::InUse { .. })), "{second:?}");
}
