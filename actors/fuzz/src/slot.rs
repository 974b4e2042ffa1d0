//! Slots of a table's log, and the hint to a checkpoint, as JSON.

use orrery_actors::dataset::{TableKind, parse_hint, reread_first_slot, reread_slot};

/// Checks a slot as the first and as a later one: what is read is written, and then stays as it is.
pub fn check(input: &[u8]) {
    match reread_first_slot(input) {
        Ok(written) => assert_eq!(reread_first_slot(&written).expect("read what was written"), written),
        Err(problem) => assert!(!problem.is_empty()),
    }
    for kind in TableKind::ALL {
        match reread_slot(input, kind) {
            Ok(written) => assert_eq!(reread_slot(&written, kind).expect("read what was written"), written),
            Err(problem) => assert!(!problem.is_empty()),
        }
    }
    match parse_hint(input) {
        Ok(_) => {}
        Err(problem) => assert!(!problem.is_empty()),
    }
}
