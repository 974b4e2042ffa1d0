//! Which of two decisions holds.

use std::cmp::Ordering;

use crate::region::report::Decision;

/// The one of two that holds: the higher generation; of equal ones, the one whose JSON sorts first, so that regions that heard
/// both agree.
pub fn newer<'a>(one: &'a Decision, other: &'a Decision) -> &'a Decision {
    let json = |decision: &Decision| serde_json::to_string(decision).unwrap_or_default();
    let order = one.generation.cmp(&other.generation).then_with(|| json(other).cmp(&json(one)));
    if order == Ordering::Less { other } else { one }
}

/// The generation of a decision that replaces what is known.
pub fn next_generation(known: Option<&Decision>) -> u64 {
    known.map_or(1, |known| known.generation.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(generation: u64, by: &str) -> Decision {
        let (by, reason) = (by.to_owned(), String::new());
        Decision { generation, to: None, forced: false, by, reason }
    }

    #[test]
    fn the_higher_generation_holds_and_of_equal_ones_the_same_everywhere() {
        let check = |one: Decision, other: Decision, expect: &Decision| {
            assert_eq!(newer(&one, &other), expect);
            assert_eq!(newer(&other, &one), expect);
        };
        check(decision(2, "z"), decision(1, "a"), &decision(2, "z"));
        check(decision(2, "z"), decision(2, "a"), &decision(2, "a"));
        check(decision(2, "a"), decision(2, "a"), &decision(2, "a"));
        assert_eq!((next_generation(None), next_generation(Some(&decision(7, "a")))), (1, 8));
    }
}
