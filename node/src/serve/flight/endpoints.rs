//! A long range as several that can be read beside each other, cut where files end, so that no file is read twice.

use std::ops::RangeInclusive;

use orrery_schemas::LedgerSequence;

/// Fewer ledgers are not worth a stream of their own.
const LEDGERS_MIN: u32 = 1_024;

/// Most of them: more read no faster.
const ENDPOINTS_MAX: u32 = 64;

/// Bytes of all tickets of an answer, which many clients bound to 4 MiB.
const TICKETS_BYTES_MAX: usize = 1 << 20;

/// First and last ledger of each, together those from `first` to `last`. `files` are the ledgers of files, ascending;
/// `ticket_bytes` is what one of them costs in the answer.
pub(super) fn cut(
    files: impl Iterator<Item = RangeInclusive<LedgerSequence>>,
    first: LedgerSequence,
    last: LedgerSequence,
    ticket_bytes: usize,
) -> Vec<(LedgerSequence, LedgerSequence)> {
    let most = u32::try_from(TICKETS_BYTES_MAX / ticket_bytes.max(1)).unwrap_or(u32::MAX);
    let most = most.clamp(1, ENDPOINTS_MAX);
    let ledgers = last.0.saturating_sub(first.0).saturating_add(1);
    let enough = ledgers.div_ceil(most).max(LEDGERS_MIN);
    let (mut ranges, mut from) = (Vec::new(), first);
    for file in files.filter(|file| *file.end() >= first) {
        let end = *file.end();
        if end >= last {
            break;
        }
        if end.0.saturating_sub(from.0) >= enough - 1 {
            ranges.push((from, end));
            let Some(next) = end.next() else { return ranges };
            from = next;
        }
    }
    ranges.push((from, last));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_files_do_and_leave_nothing_out() {
        let check = |slots: &[(u32, u32)], first: u32, last: u32, ticket_bytes, expect: &[(u32, u32)]| {
            let files = slots.iter().map(|(a, b)| LedgerSequence(*a)..=LedgerSequence(*b));
            let found = cut(files, LedgerSequence(first), LedgerSequence(last), ticket_bytes);
            let found: Vec<_> = found.iter().map(|(first, last)| (first.0, last.0)).collect();
            assert_eq!(found, expect, "{first} to {last}");
        };
        let slots = |size: u32, count: u32| {
            (0..count).map(|slot| (slot * size, (slot + 1) * size - 1)).collect::<Vec<_>>()
        };
        check(&[], 2, 9, 60, &[(2, 9)]);
        check(&[(2, 9)], 2, 9, 60, &[(2, 9)]);
        // Nothing is left to be read.
        check(&[(2, 9)], 10, 9, 60, &[(10, 9)]);
        check(&slots(1_024, 3), 2, 3_071, 60, &[(2, 2_047), (2_048, 3_071)]);
        check(&slots(1_024, 3), 0, 2_500, 60, &[(0, 1_023), (1_024, 2_047), (2_048, 2_500)]);
        check(&slots(16, 200), 8, 2_100, 60, &[(8, 1_039), (1_040, 2_063), (2_064, 2_100)]);
        // A large filter stands in every ticket.
        check(&slots(1_024, 9), 0, 9_215, 600 << 10, &[(0, 9_215)]);
        check(&slots(1_024, 9), 0, 9_215, 500 << 10, &[(0, 5_119), (5_120, 9_215)]);
        let many = cut(
            slots(1_024, 10_000).iter().map(|(a, b)| LedgerSequence(*a)..=LedgerSequence(*b)),
            LedgerSequence(5),
            LedgerSequence(10_239_999),
            60,
        );
        assert!(many.len() <= ENDPOINTS_MAX as usize && many.len() > 60, "{}", many.len());
        assert!(many.windows(2).all(|pair| pair[0].1.next() == Some(pair[1].0)));
    }
}
