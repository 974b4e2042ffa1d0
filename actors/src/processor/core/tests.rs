use bytes::Bytes;
use orrery_schemas::{Hash32, LedgerSequence};

use super::*;
use crate::envelope::Origin;

type TestCore = Core<u32, u32>;
/// What happens, and what it leads to.
type Step = (Event<u32, u32>, Vec<Action<u32, u32>>);

const LIMITS: ProcessorLimits = ProcessorLimits { workers: 2, source_credits: 4 };

fn hash(ledger: u32) -> Hash32 {
    Hash32([ledger as u8; 32])
}

fn origin(source: usize) -> Origin {
    Origin { source, lake: "lake".into(), file: "object".into(), bytes: Bytes::from_static(b"xdr") }
}

/// Ledger `ledger`, alone in its batch.
fn good(ledger: u32) -> Worked<u32> {
    let sequence = LedgerSequence(ledger);
    let span = Span { first: sequence, parent: hash(ledger - 1), last: sequence, hash: hash(ledger) };
    Worked { origin: origin(0), batch: Some((span, ledger)), fault: None }
}

fn bad(ledger: u32, reason: &str) -> Worked<u32> {
    Worked { origin: origin(0), batch: None, fault: Some((LedgerSequence(ledger), reason.to_owned())) }
}

fn begin(run: u64, from: u32, avoid: Option<usize>, attempt: u32) -> Action<u32, u32> {
    let credits = LIMITS.source_credits;
    Action::Ask(Demand::Begin { run, from: LedgerSequence(from), avoid, attempt, credits })
}

fn grant(run: u64, credits: u32) -> Action<u32, u32> {
    Action::Ask(Demand::Grant { run, credits })
}

fn work(run: u64, ticket: u64, work: u32) -> Action<u32, u32> {
    Action::Work { run, ticket, work }
}

/// A core with one sink that stands before ledger 10 and takes `credits` batches.
fn begun(credits: u32) -> TestCore {
    let mut core = TestCore::new(LIMITS, 1);
    let position = Position { next: LedgerSequence(10), parent: Some(hash(9)) };
    assert_eq!(core.step(Event::SinkReady { sink: 0, position }), Ok(vec![begin(1, 10, None, 0)]));
    assert_eq!(core.step(Event::SinkGranted { sink: 0, credits }), Ok(vec![]));
    core
}

/// Steps `core` through `events` and compares what each leads to.
fn check(core: &mut TestCore, steps: Vec<Step>) {
    for (event, expect) in steps {
        let name = format!("{event:?}");
        assert_eq!(core.step(event), Ok(expect), "{name}");
    }
}

fn arrived(run: u64, work: u32) -> Event<u32, u32> {
    Event::Arrived { run, work }
}

fn done(run: u64, ticket: u64, worked: Worked<u32>) -> Event<u32, u32> {
    Event::Done { run, ticket, worked }
}

#[test]
fn work_runs_in_parallel_and_comes_out_in_order() {
    check(
        &mut begun(10),
        vec![
            (arrived(1, 10), vec![work(1, 0, 10)]),
            (arrived(1, 11), vec![work(1, 1, 11)]),
            (arrived(1, 12), vec![]),
            (done(1, 1, good(11)), vec![work(1, 2, 12)]),
            (done(1, 0, good(10)), vec![Action::Send(10), Action::Send(11), grant(1, 2)]),
            (done(1, 2, good(12)), vec![Action::Send(12), grant(1, 1)]),
        ],
    );
}

#[test]
fn nothing_is_sent_or_asked_for_without_credit_of_the_sinks() {
    check(
        &mut begun(1),
        vec![
            (arrived(1, 10), vec![work(1, 0, 10)]),
            (arrived(1, 11), vec![work(1, 1, 11)]),
            (done(1, 0, good(10)), vec![Action::Send(10), grant(1, 1)]),
            (done(1, 1, good(11)), vec![]),
            (Event::SinkGranted { sink: 0, credits: 1 }, vec![Action::Send(11), grant(1, 1)]),
        ],
    );
}

#[test]
fn the_sink_furthest_behind_says_where_to_begin() {
    let mut core = TestCore::new(LIMITS, 2);
    let at = |next: u32| Position { next: LedgerSequence(next), parent: Some(hash(next - 1)) };
    check(
        &mut core,
        vec![
            (Event::SinkReady { sink: 1, position: at(30) }, vec![]),
            (Event::SinkReady { sink: 0, position: at(20) }, vec![begin(1, 20, None, 0)]),
            (Event::SinkGranted { sink: 0, credits: 5 }, vec![]),
            (arrived(1, 20), vec![work(1, 0, 20)]),
            // The other sink has not granted anything yet.
            (done(1, 0, good(20)), vec![]),
            (Event::SinkGranted { sink: 1, credits: 5 }, vec![Action::Send(20), grant(1, 1)]),
        ],
    );
}

#[test]
fn a_ledger_that_fails_is_fetched_again_and_what_was_under_way_is_forgotten() {
    check(
        &mut begun(10),
        vec![
            (arrived(1, 10), vec![work(1, 0, 10)]),
            (arrived(1, 11), vec![work(1, 1, 11)]),
            (arrived(1, 12), vec![]),
            (done(1, 0, bad(10, "torn")), vec![begin(2, 10, Some(0), 1)]),
            // Of the earlier run: only the worker is free again.
            (arrived(1, 13), vec![]),
            (arrived(2, 10), vec![work(2, 0, 10)]),
            (done(1, 1, good(11)), vec![]),
            (done(2, 0, good(10)), vec![Action::Send(10), grant(2, 1)]),
        ],
    );
}

#[test]
fn a_ledger_that_fails_three_times_alike_is_poison() {
    let poison = PoisonLedger { ledger: LedgerSequence(10), origin: origin(0), reason: "torn".to_owned() };
    check(
        &mut begun(10),
        vec![
            (arrived(1, 10), vec![work(1, 0, 10)]),
            (done(1, 0, bad(10, "torn")), vec![begin(2, 10, Some(0), 1)]),
            (arrived(2, 10), vec![work(2, 0, 10)]),
            (done(2, 0, bad(10, "torn")), vec![begin(3, 10, Some(0), 2)]),
            (arrived(3, 10), vec![work(3, 0, 10)]),
            (done(3, 0, bad(10, "torn")), vec![Action::Park { poison, attempts: 3 }]),
            (arrived(3, 11), vec![]),
        ],
    );
}

/// Fails ledger 10 with one reason after another; gives how often it was fetched before it was poison.
fn attempts_until_poison(reasons: impl Iterator<Item = String>) -> u32 {
    let mut core = begun(10);
    for (run, reason) in (1..).zip(reasons) {
        core.step(arrived(run, 10)).unwrap();
        let actions = core.step(done(run, 0, bad(10, &reason))).unwrap();
        match &actions[..] {
            [Action::Ask(Demand::Begin { attempt, .. })] => assert_eq!(u64::from(*attempt), run),
            [Action::Park { attempts, .. }] => return *attempts,
            other => panic!("{other:?}"),
        }
    }
    panic!("it is asked for for ever");
}

#[test]
fn sources_that_are_wrong_in_different_ways_are_not_asked_for_ever() {
    let check = |reasons: &[&str], expect| {
        let found = attempts_until_poison(reasons.iter().cycle().map(|reason| (*reason).to_owned()));
        assert_eq!(found, expect, "{reasons:?}");
    };
    check(&["torn"], 3);
    check(&["torn", "forked"], 5);
    check(&["torn", "forked", "truncated"], 7);
    assert_eq!(attempts_until_poison((0..).map(|number| format!("reason {number}"))), 9);
}

#[test]
fn a_batch_that_does_not_follow_is_refused() {
    let gap =
        vec![(arrived(1, 11), vec![work(1, 0, 11)]), (done(1, 0, good(11)), vec![begin(2, 10, Some(0), 1)])];
    check(&mut begun(10), gap);
    let mut fork = good(10);
    if let Some((span, _)) = &mut fork.batch {
        span.parent = hash(77);
    }
    check(
        &mut begun(10),
        vec![(arrived(1, 10), vec![work(1, 0, 10)]), (done(1, 0, fork), vec![begin(2, 10, Some(0), 1)])],
    );
}

#[test]
fn ledgers_before_the_one_that_fails_are_sent() {
    let mut partly = good(10);
    partly.fault = Some((LedgerSequence(11), "torn".to_owned()));
    check(
        &mut begun(10),
        vec![
            (arrived(1, 10), vec![work(1, 0, 10)]),
            (done(1, 0, partly), vec![Action::Send(10), begin(2, 11, Some(0), 1)]),
        ],
    );
}

#[test]
fn the_end_comes_after_the_last_batch() {
    check(
        &mut begun(1),
        vec![
            (arrived(1, 10), vec![work(1, 0, 10)]),
            (arrived(1, 11), vec![work(1, 1, 11)]),
            (Event::SourceEnded { run: 1 }, vec![]),
            (done(1, 0, good(10)), vec![Action::Send(10), grant(1, 1)]),
            (done(1, 1, good(11)), vec![]),
            (Event::SinkGranted { sink: 0, credits: 1 }, vec![Action::Send(11), grant(1, 1), Action::End]),
        ],
    );
}

#[test]
fn a_poison_ledger_names_file_and_ledger_once() {
    let check = |reason: &str, expect: &str| {
        let poison =
            PoisonLedger { ledger: LedgerSequence(10), origin: origin(0), reason: reason.to_owned() };
        let file = origin(0).file;
        assert_eq!(poison.to_string(), format!("ledger 10 from {file}: {expect}"));
    };
    let file = origin(0).file;
    check(&format!("{file}: byte 0: ledger 10: truncated"), "byte 0: truncated");
    check(&format!("{file}: not a ledger"), "not a ledger");
    check("V1: the header's hash is another", "V1: the header's hash is another");
    check("SRC-2: ledger 9 is not its parent", "SRC-2: ledger 9 is not its parent");
}
