//! Answers of RPC servers, whatever they hold.

use std::sync::Arc;

use orrery_actors::source::SourceErrorKind;
use orrery_actors::source::rpc_answer::{Page, read_kept, read_network, read_page};
use orrery_actors::source::rpc_page::PageSize;
use orrery_schemas::LedgerSequence;

/// Checks an answer: the first ledger that was asked for (four bytes), how many more (one), and what came.
pub fn check(input: &[u8]) {
    let Some((&[a, b, c, d, more], body)) = input.split_first_chunk() else { return };
    let first = u32::from_be_bytes([a, b, c, d]);
    let last = first.saturating_add(more.into());
    let server: Arc<str> = "server".into();
    let page = |last: u32| read_page(body, &(LedgerSequence(first)..=LedgerSequence(last)), &server);
    match page(last) {
        Ok(Page::Objects(objects)) => {
            assert!(!objects.is_empty(), "a page of nothing");
            assert!(objects.len() as u64 <= u64::from(last - first) + 1, "more than was asked for");
            for (object, due) in objects.iter().zip(first..=last) {
                assert_eq!(object.range, LedgerSequence(due)..=LedgerSequence(due));
                assert_eq!((&object.named, &object.file), (&object.range, &server));
            }
            // Whoever asks for less gets the same.
            let Ok(Page::Objects(one)) = page(first) else { panic!("nothing for ledger {first} alone") };
            assert_eq!((one.len(), &one[0].bytes), (1, &objects[0].bytes));
        }
        Ok(Page::NotYet | Page::OutOfRange) => {}
        Err(kind) => check_error(&kind, first),
    }
    match read_kept(body) {
        Ok(_) => {}
        Err(kind) => check_error(&kind, first),
    }
    match read_network(body) {
        Ok(_) => {}
        Err(kind) => check_error(&kind, first),
    }
    check_page_size(body);
}

fn check_error(kind: &SourceErrorKind, first: u32) {
    let text = kind.to_string();
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    if let SourceErrorKind::RetentionGap { from, to, oldest } = kind {
        assert_eq!((from.0, to.next()), (first, Some(*oldest)));
    }
}

/// Any course of answers, of which each byte pair is one.
fn check_page_size(course: &[u8]) {
    let mut size = PageSize::new(16 << 20);
    for pair in course.chunks_exact(2) {
        let (asked, bytes) = (size.ledgers(), 1_usize << (pair[1] % 63));
        match pair[0] {
            255 => size.too_large(asked, bytes),
            ledgers => size.answered(ledgers.into(), bytes),
        }
        assert!((1..=200).contains(&size.ledgers()) && size.ledgers() <= asked * 2, "{size:?} after {asked}");
        assert!(size.bytes_for(0) == 0 && size.bytes_for(1) <= size.bytes_for(2), "{size:?}");
    }
}
