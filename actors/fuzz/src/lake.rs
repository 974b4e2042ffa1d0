//! What a data lake states about itself, and the names of its objects.

use std::num::NonZeroU32;

use orrery_actors::source::{LakeConfig, LakeLayout, NamedRange, ObjectExtension};
use orrery_schemas::LedgerSequence;

/// Checks `input` as `.config.json` up to its first zero byte and as a key after it.
pub fn check(input: &[u8]) {
    let (json, key) = input.split_at(input.iter().position(|&byte| byte == 0).unwrap_or(input.len()));
    let key = key.get(1..).unwrap_or_default();
    let layout = match LakeConfig::parse(json) {
        Ok(config) => {
            assert_eq!(LakeConfig::parse(json), Ok(config.clone()));
            config.layout
        }
        Err(reason) => {
            assert!(!reason.is_empty());
            LakeLayout::new(count(json, 0), count(json, 4))
        }
    };
    for sequence in [0, 1, 2, u32::MAX - 1, u32::MAX, word(key, 0), word(key, 4)] {
        check_sequence(layout, LedgerSequence(sequence));
    }
    if let Ok(key) = std::str::from_utf8(key) {
        check_key(layout, key);
    }
}

/// The names of a ledger's object and directory are read as ranges that hold it.
fn check_sequence(layout: LakeLayout, sequence: LedgerSequence) {
    let (batch, partition) = (layout.batch_range(sequence), layout.partition_range(sequence));
    assert!(batch.contains(&sequence) && partition.contains(&sequence), "{layout:?} {sequence}");
    assert!(partition.contains(batch.start()) && partition.contains(batch.end()), "{layout:?} {sequence}");
    // A range is that of each of its ends.
    assert_eq!(batch, layout.batch_range(*batch.start()));
    assert_eq!(batch, layout.batch_range(*batch.end()));
    let directory = layout.partition_name(sequence);
    let expected = layout.has_partitions().then_some(partition);
    assert_eq!(layout.parse_partition_name(&directory), expected, "{directory}");
    for extension in ObjectExtension::ALL {
        let key = layout.object_key(sequence, extension);
        assert_eq!(layout.parse_object_key(&key), Some(batch.clone()), "{key}");
        let name = layout.object_name(sequence, extension);
        assert_eq!(layout.parse_object_name(&name), Some(batch.clone()), "{name}");
    }
}

/// A key that is read is the one that the layout gives for what was read.
fn check_key(layout: LakeLayout, key: &str) {
    let key_of = |range: &NamedRange, extension| layout.object_key(*range.start(), extension);
    if let Some(range) = layout.parse_object_key(key) {
        assert!(ObjectExtension::ALL.iter().any(|&extension| key_of(&range, extension) == key), "{key}");
    }
    if let Some(range) = layout.parse_object_name(key) {
        let name_of = |extension| layout.object_name(*range.end(), extension);
        assert!(ObjectExtension::ALL.iter().any(|&extension| name_of(extension) == key), "{key}");
    }
    if let Some(range) = layout.parse_partition_name(key) {
        assert_eq!(layout.partition_name(*range.end()), key);
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.iter().skip(at).take(4).fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn count(bytes: &[u8], at: usize) -> NonZeroU32 {
    NonZeroU32::new(word(bytes, at)).unwrap_or(NonZeroU32::MIN)
}
