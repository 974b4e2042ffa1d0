//! Which form content has, told from its first bytes alone.

use super::LEDGER_XDR_BYTES_MAX;

/// Bytes that [`Form::detect`] needs; fewer only if the content is shorter.
pub(super) const HEAD_BYTES: usize = 16;

/// `LedgerCloseMeta` is a union with versions 0 to 2.
const VERSION_MAX: u32 = 2;

/// Highest bit of a record header: this fragment is the record's last (RFC 5531, 11).
pub(super) const LAST_FRAGMENT: u32 = 1 << 31;

/// The forms in which ledgers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `LedgerCloseMeta`, one or several in a row.
    Raw,
    /// `LedgerCloseMetaBatch`: first, last, count, ledgers. One or several in a row.
    Batch,
    /// Records of one `LedgerCloseMeta` each, as stellar-core writes its metadata stream.
    Framed,
}

impl Form {
    /// The form of content that begins with `head`, or `None` if no form does.
    ///
    /// A batch that begins with ledger 0, 1 or 2 shares its first word with a raw ledger. The next words decide: in a
    /// batch they are `last >= first` and `count == last - first + 1`. In a raw ledger of version 1 or 2 the second
    /// word is 0 or 1 and, if 1, the third is 0, which no such batch has; in version 0 they are a hash, which fits a
    /// batch of first ledger 0, a ledger that does not exist, once in 2^62.
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        let first = word(head, 0)?;
        let second = word(head, 1);
        if first & LAST_FRAGMENT != 0 {
            return second.filter(|version| *version <= VERSION_MAX).map(|_| Self::Framed);
        }
        if let (Some(last), Some(count)) = (second, word(head, 2))
            && last >= first
            // Content may end before the version; then it is truncated rather than foreign.
            && word(head, 3).is_none_or(|version| version <= VERSION_MAX)
            // With any other first word nothing else fits; a wrong count is then reported, not mistaken.
            && (u64::from(count) == u64::from(last - first) + 1 || first > VERSION_MAX)
        {
            return Some(Self::Batch);
        }
        if first <= VERSION_MAX {
            return Some(Self::Raw);
        }
        // A record in several fragments, the first long enough to hold the ledger's version.
        let is_fragment = (4..=LEDGER_XDR_BYTES_MAX).contains(&(first as usize));
        second.filter(|version| is_fragment && *version <= VERSION_MAX).map(|_| Self::Framed)
    }
}

fn word(head: &[u8], index: usize) -> Option<u32> {
    head.chunks_exact(4).nth(index).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[u32], expect: Option<Form>) {
        let head: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(Form::detect(&head), expect, "{words:x?}");
    }

    #[test]
    fn form_is_told_from_the_first_words() {
        let hash = 0x3da8_172f;
        check(&[], None);
        check(&[0, hash, hash, hash], Some(Form::Raw));
        check(&[1, 0, hash, hash], Some(Form::Raw));
        check(&[1, 1, 0, 0], Some(Form::Raw));
        check(&[2, 0, hash, hash], Some(Form::Raw));
        check(&[2, 1, 0, 0], Some(Form::Raw));
        check(&[2], Some(Form::Raw));
        check(&[3, hash, hash, hash], None);
        check(&[53_312_000, 53_312_000, 1, 1], Some(Form::Batch));
        check(&[10, 12, 99, 1], Some(Form::Batch));
        check(&[10, 12, 3, hash], None);
        check(&[0x8000_1000, 2, 0, hash], Some(Form::Framed));
        check(&[0x8000_1000, hash, 0, hash], None);
        check(&[0x8000_1000], None);
        check(&[0x0000_1000], None);
        check(&[0x0000_1000, 1, 0, hash], Some(Form::Framed));
        check(&[0x1f8b_0808, hash, hash, hash], None);
        check(&[0x1f8b_0808, 0, hash, hash], None);
    }

    #[test]
    fn batch_that_begins_with_ledger_0_1_or_2_is_not_taken_for_a_raw_ledger() {
        check(&[0, 63, 64, 1], Some(Form::Batch));
        check(&[1, 1, 1, 0], Some(Form::Batch));
        check(&[1, 63, 63, 1], Some(Form::Batch));
        check(&[2, 2, 1, 2], Some(Form::Batch));
        check(&[2, 63, 62, 1], Some(Form::Batch));
    }
}
