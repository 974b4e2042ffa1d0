//! How many ledgers to ask an RPC server for at once, so that an answer has about as many bytes as wanted. Pure.

/// Most that servers accept.
const LEDGERS_MAX: u32 = 200;

/// The first answer shows how large ledgers are: at today's density two have 4.6 MB.
const LEDGERS_FIRST: u32 = 2;

/// What answers have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    answer_bytes: usize,
    ledgers: u32,
    /// Bytes of an answer for each ledger in it, of the largest of late.
    ledger_bytes: usize,
}

impl PageSize {
    /// For answers of about `answer_bytes`.
    pub fn new(answer_bytes: usize) -> Self {
        Self { answer_bytes, ledgers: LEDGERS_FIRST, ledger_bytes: answer_bytes / LEDGERS_FIRST as usize }
    }

    /// Ledgers to ask for.
    pub fn ledgers(&self) -> u32 {
        self.ledgers
    }

    /// Bytes that an answer with this many ledgers is likely to have, with a quarter to spare.
    pub fn bytes_for(&self, ledgers: u32) -> usize {
        let bytes = self.ledger_bytes.saturating_mul(ledgers as usize);
        bytes.saturating_add(bytes / 4)
    }

    /// An answer of `bytes` held `ledgers`. Pages at most double, so that one sparse stretch does not ask for too much of a
    /// dense one.
    pub fn answered(&mut self, ledgers: u32, bytes: usize) {
        let Some(each) = bytes.checked_div(ledgers as usize) else { return };
        self.ledger_bytes =
            if each > self.ledger_bytes { each } else { self.ledger_bytes - (self.ledger_bytes - each) / 4 };
        let fits = u32::try_from(self.answer_bytes / self.ledger_bytes.max(1)).unwrap_or(u32::MAX);
        self.ledgers = fits.clamp(1, self.ledgers.saturating_mul(2).min(LEDGERS_MAX));
    }

    /// An answer for `ledgers` ledgers was broken off when it had `bytes`.
    pub fn too_large(&mut self, ledgers: u32, bytes: usize) {
        self.ledger_bytes = self.ledger_bytes.max(bytes / ledgers.max(1) as usize);
        self.ledgers = (ledgers / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_grow_to_the_wanted_bytes_and_shrink_with_the_density() {
        let mut page = PageSize::new(16 << 20);
        let mut check = |each: usize, expect: u32| {
            let asked = page.ledgers();
            page.answered(asked, each * asked as usize);
            assert_eq!(page.ledgers(), expect, "{each} bytes each, after {asked}");
        };
        // Sparse ledgers: 20 KB each in an answer.
        for expect in [2, 3, 4, 6, 8] {
            check(20_000, expect);
        }
        (0..40).for_each(|_| {
            let asked = page.ledgers();
            page.answered(asked, 20_000 * asked as usize);
        });
        assert_eq!(page.ledgers(), 200);
        // Dense ones: 2.3 MB each.
        page.answered(200, 200 * 2_300_000);
        assert_eq!(page.ledgers(), 7);
        page.too_large(7, 40_000_000);
        assert_eq!(page.ledgers(), 3);
    }

    proptest! {
        #[test]
        fn page_is_never_empty_nor_above_what_servers_accept(answers in prop::collection::vec((0..300_u32, 0..1_000_000_000_usize, any::<bool>()), 0..50)) {
            let mut page = PageSize::new(16 << 20);
            for (ledgers, bytes, broken) in answers {
                let before = page.ledgers();
                if broken { page.too_large(before, bytes) } else { page.answered(ledgers, bytes) }
                prop_assert!((1..=LEDGERS_MAX).contains(&page.ledgers()));
                prop_assert!(page.ledgers() <= before * 2);
            }
        }
    }
}
