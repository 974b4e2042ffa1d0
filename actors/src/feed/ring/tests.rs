use proptest::prelude::*;

use super::*;

/// The hash of a ledger in a history: history 0 is the network's.
fn hash(ledger: u32, history: u8) -> Hash32 {
    let mut bytes = [history; 32];
    bytes[..4].copy_from_slice(&ledger.to_be_bytes());
    Hash32(bytes)
}

fn link(ledger: u32, history: u8) -> Link {
    Link {
        ledger: LedgerSequence(ledger),
        hash: hash(ledger, history),
        previous: hash(ledger.wrapping_sub(1), history),
    }
}

fn ledgers(ring: &Ring<u32>) -> Vec<u32> {
    let Some(range) = ring.range() else { return Vec::new() };
    (range.start().0..=range.end().0).map(|at| *ring.get(LedgerSequence(at)).unwrap()).collect()
}

#[test]
fn an_offer_is_taken_known_ignored_or_refused() {
    let check = |before: &[u32], offered: Link, expect: &str, after: &[u32]| {
        let mut ring = Ring::new(4);
        for &ledger in before {
            ring.offer(link(ledger, 0), 1, ledger);
        }
        let outcome = format!("{:?}", ring.offer(offered, 1, offered.ledger.0));
        assert!(outcome.starts_with(expect), "{outcome} is not {expect}");
        assert_eq!(ledgers(&ring), after);
    };
    check(&[], link(7, 0), "Begun", &[7]);
    check(&[7], link(8, 0), "Appended", &[7, 8]);
    check(&[7, 8, 9, 10], link(11, 0), "Appended", &[8, 9, 10, 11]);
    check(&[7, 8], link(7, 0), "Known", &[7, 8]);
    check(&[7, 8], link(8, 0), "Known", &[7, 8]);
    check(&[7, 8], link(6, 0), "Behind", &[7, 8]);
    check(&[7, 8], link(10, 0), "Begun", &[10]);
    check(&[7, 8], link(9, 1), "Contradiction { ledger: LedgerSequence(8)", &[7, 8]);
    check(&[7, 8], link(8, 1), "Contradiction { ledger: LedgerSequence(8)", &[7, 8]);
    check(&[u32::MAX], link(u32::MAX, 0), "Known", &[u32::MAX]);
}

#[test]
fn the_newest_ledger_stays_however_large_it_is() {
    let mut ring = Ring::new(10);
    ring.offer(link(1, 0), 1, 1);
    ring.offer(link(2, 0), 1000, 2);
    assert_eq!(ledgers(&ring), [2]);
    assert!(ring.has_evicted(LedgerSequence(1)) && !ring.has_evicted(LedgerSequence(2)));
    ring.offer(link(9, 0), 1, 9);
    assert_eq!((ring.bytes(), ledgers(&ring)), (1, vec![9]));
    assert!(!ring.has_evicted(LedgerSequence(1)), "what begins anew has evicted nothing");
}

/// What readers meet: offers, in any order, and a dataset that follows.
#[derive(Clone, Debug)]
enum Move {
    /// The pipeline goes on from where it is.
    Go(u8),
    /// The pipeline begins again at what is durable.
    Restart,
    /// Another pipeline of the node offers ledgers elsewhere.
    Jump(u32, u8),
    /// Another history.
    Foreign(u32),
    /// The dataset takes some of what was processed.
    Commit(u8),
    /// Reader number so takes up to so many ledgers.
    Read(usize, u8),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1_u8..5).prop_map(Move::Go),
        1 => Just(Move::Restart),
        1 => (1_u32..80, 1_u8..6).prop_map(|(at, count)| Move::Jump(at, count)),
        1 => (1_u32..80).prop_map(Move::Foreign),
        3 => (1_u8..6).prop_map(Move::Commit),
        6 => (0_usize..3, 1_u8..9).prop_map(|(reader, count)| Move::Read(reader, count)),
    ];
    proptest::collection::vec(one, 1..120)
}

proptest! {
    /// A reader that asks the ring and then the dataset for the ledger at its position sees every ledger of the network
    /// once and in order, whatever is offered when.
    #[test]
    fn every_reader_sees_every_ledger_once_and_in_order(
        bytes_max in 1_usize..9,
        starts in proptest::array::uniform3(1_u32..30),
        moves in moves(),
    ) {
        let mut ring = Ring::new(bytes_max);
        let (mut next, mut durable) = (1_u32, 0_u32);
        let mut readers = starts;
        let mut seen = [0_u32; 3];
        for step in moves {
            match step {
                Move::Go(count) => for _ in 0..count {
                    ring.offer(link(next, 0), 1, next);
                    next += 1;
                },
                Move::Restart => next = durable + 1,
                Move::Jump(at, count) => for ledger in at..at + u32::from(count) {
                    ring.offer(link(ledger, 0), 1, ledger);
                },
                Move::Foreign(ledger) => {
                    let before = ledgers(&ring);
                    if !before.is_empty() && before.iter().any(|here| *here == ledger || here + 1 == ledger) {
                        ring.offer(link(ledger, 1), 1, u32::MAX);
                        prop_assert_eq!(ledgers(&ring), before, "nothing of another history is served");
                    }
                }
                Move::Commit(count) => durable = (durable + u32::from(count)).min(next - 1).max(durable),
                Move::Read(reader, count) => for _ in 0..count {
                    let at = readers[reader];
                    let from_ring = ring.get(LedgerSequence(at)).copied();
                    let Some(found) = from_ring.or((at <= durable).then_some(at)) else { break };
                    prop_assert_eq!(found, at);
                    readers[reader] += 1;
                    seen[reader] += 1;
                },
            }
            let held = ledgers(&ring);
            prop_assert!(held.len() <= bytes_max.max(1));
            prop_assert!(held.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        }
        for (reader, start) in starts.into_iter().enumerate() {
            prop_assert_eq!(readers[reader], start + seen[reader]);
        }
    }
}
