//! Names of objects in a data lake (SEP-54 v0.2.0): arithmetic both ways, no I/O.
//!
//! A partition's directory and an object's name begin with `0xFFFFFFFF - first` in hexadecimal, so that a listing in
//! lexicographic order gives the newest first.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use orrery_schemas::LedgerSequence;

/// Ledgers that a name stands for. The first batch is named from ledger 0, though its content begins at 2.
pub type NamedRange = RangeInclusive<LedgerSequence>;

/// How ledgers are spread over objects and objects over directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LakeLayout {
    ledgers_per_batch: NonZeroU32,
    batches_per_partition: NonZeroU32,
}

/// Endings of object names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectExtension {
    /// `.xdr.zst`: what SEP-54 says.
    Zst,
    /// `.xdr.zstd`: Galexie before version 23.
    Zstd,
    /// `.xdr`: compression `none`.
    Plain,
}

impl ObjectExtension {
    /// In the order in which a reader tries them.
    pub const ALL: [Self; 3] = [Self::Zst, Self::Zstd, Self::Plain];

    /// The ending, with its leading dot.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zst => ".xdr.zst",
            Self::Zstd => ".xdr.zstd",
            Self::Plain => ".xdr",
        }
    }
}

impl LakeLayout {
    /// `ledgers_per_batch` ledgers in each object, `batches_per_partition` objects in each directory.
    pub fn new(ledgers_per_batch: NonZeroU32, batches_per_partition: NonZeroU32) -> Self {
        Self { ledgers_per_batch, batches_per_partition }
    }

    /// Ledgers in the object that holds `sequence`, by its name.
    pub fn batch_range(&self, sequence: LedgerSequence) -> NamedRange {
        range_of(sequence, u64::from(self.ledgers_per_batch.get()))
    }

    /// Ledgers in the directory that holds `sequence`, by its name.
    pub fn partition_range(&self, sequence: LedgerSequence) -> NamedRange {
        let batches = u64::from(self.batches_per_partition.get());
        range_of(sequence, u64::from(self.ledgers_per_batch.get()) * batches)
    }

    /// False if objects lie directly in the root: a partition of one batch has no directory.
    pub fn has_partitions(&self) -> bool {
        self.batches_per_partition.get() > 1
    }

    /// Name of the directory that holds `sequence`, without a slash. Unused if there are no partitions.
    pub fn partition_name(&self, sequence: LedgerSequence) -> String {
        let range = self.partition_range(sequence);
        format!("{}--{}-{}", inverted(*range.start()), range.start(), range.end())
    }

    /// Name of the object that holds `sequence`, without its directory.
    pub fn object_name(&self, sequence: LedgerSequence, extension: ObjectExtension) -> String {
        let range = self.batch_range(sequence);
        let (first, last) = (range.start(), range.end());
        let ending = extension.as_str();
        match self.ledgers_per_batch.get() {
            1 => format!("{}--{first}{ending}", inverted(*first)),
            _ => format!("{}--{first}-{last}{ending}", inverted(*first)),
        }
    }

    /// Key of the object that holds `sequence`, relative to the root of the lake.
    pub fn object_key(&self, sequence: LedgerSequence, extension: ObjectExtension) -> String {
        let name = self.object_name(sequence, extension);
        match self.has_partitions() {
            true => format!("{}/{name}", self.partition_name(sequence)),
            false => name,
        }
    }

    /// Ledgers of the partition with this name; `None` for a name that this layout does not give.
    pub fn parse_partition_name(&self, name: &str) -> Option<NamedRange> {
        let first = first_of(name)?;
        (self.has_partitions() && self.partition_name(first) == name).then(|| self.partition_range(first))
    }

    /// Ledgers of the object with this name, without its directory; `None` for a name that this layout does not give.
    pub fn parse_object_name(&self, name: &str) -> Option<NamedRange> {
        let first = first_of(name)?;
        let is_ours =
            ObjectExtension::ALL.iter().any(|&extension| self.object_name(first, extension) == name);
        is_ours.then(|| self.batch_range(first))
    }

    /// Ledgers of the object with this key, relative to the root of the lake.
    pub fn parse_object_key(&self, key: &str) -> Option<NamedRange> {
        match key.rsplit_once('/') {
            None if self.has_partitions() => None,
            None => self.parse_object_name(key),
            Some((directory, name)) => {
                let partition = self.parse_partition_name(directory)?;
                self.parse_object_name(name).filter(|batch| partition.contains(batch.start()))
            }
        }
    }
}

/// The span of `size` ledgers that holds `sequence`. The last one ends with the numbers.
fn range_of(sequence: LedgerSequence, size: u64) -> NamedRange {
    let first = u64::from(sequence.0) / size * size;
    let last = u32::try_from(first + size - 1).unwrap_or(u32::MAX);
    // The quotient rounded `first` down from a u32.
    LedgerSequence(first as u32)..=LedgerSequence(last)
}

fn inverted(first: LedgerSequence) -> String {
    format!("{:08X}", u32::MAX - first.0)
}

/// The first ledger that a name claims, in decimal after the hexadecimal number.
fn first_of(name: &str) -> Option<LedgerSequence> {
    let (_, rest) = name.split_once("--")?;
    let digits = rest.find(|char: char| !char.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    digits.parse().ok().map(LedgerSequence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(ledgers_per_batch: u32, batches_per_partition: u32) -> LakeLayout {
        LakeLayout::new(
            NonZeroU32::new(ledgers_per_batch).unwrap(),
            NonZeroU32::new(batches_per_partition).unwrap(),
        )
    }

    fn check(layout: LakeLayout, sequence: u32, key: &str) {
        assert_eq!(layout.object_key(LedgerSequence(sequence), ObjectExtension::Zst), key);
        let range = layout.parse_object_key(key).unwrap();
        assert!(range.contains(&LedgerSequence(sequence)), "{key}");
    }

    #[test]
    fn keys_are_those_of_the_standard() {
        check(layout(1, 64000), 62_148_003, "FC4BC1FF--62144000-62207999/FC4BB25C--62148003.xdr.zst");
        check(layout(2, 8), 18, "FFFFFFEF--16-31/FFFFFFED--18-19.xdr.zst");
        check(layout(2, 8), 19, "FFFFFFEF--16-31/FFFFFFED--18-19.xdr.zst");
        check(layout(1, 64000), 2, "FFFFFFFF--0-63999/FFFFFFFD--2.xdr.zst");
        check(layout(64, 10), 2, "FFFFFFFF--0-639/FFFFFFFF--0-63.xdr.zst");
        check(layout(1, 64000), 62_080_000, "FC4CBBFF--62080000-62143999/FC4CBBFF--62080000.xdr.zst");
        check(layout(1, 64000), 64_191_999, "FC2D7BFF--64128000-64191999/FC2C8200--64191999.xdr.zst");
        check(layout(1, 1), 62_148_003, "FC4BB25C--62148003.xdr.zst");
        check(layout(64, 1), 70, "FFFFFFBF--64-127.xdr.zst");
        check(
            layout(3, 7),
            4_294_967_294,
            "00000003--4294967292-4294967295/00000003--4294967292-4294967294.xdr.zst",
        );
        check(layout(u32::MAX, u32::MAX), 7, "FFFFFFFF--0-4294967295/FFFFFFFF--0-4294967294.xdr.zst");
    }

    #[test]
    fn names_of_other_things_are_ignored() {
        let layout = layout(1, 64000);
        for name in [
            ".config.json",
            "README.md",
            "FFFFFFFD--2.xdr.zst.tmp",
            "FFFFFFFD--2.xdr.gz",
            "FFFFFFFD--2-2.xdr.zst",
            "fffffffd--2.xdr.zst",
            "FFFFFFFC--2.xdr.zst",
            "FFFFFFFD--02.xdr.zst",
            "FFFFFFFD--+2.xdr.zst",
            "FFFFFFFD--é.xdr.zst",
            "00000000--99999999999.xdr.zst",
            "--",
            "",
        ] {
            assert_eq!(layout.parse_object_name(name), None, "{name}");
        }
        // The hand-written key that an older note shows.
        assert_eq!(layout.parse_object_name("FC4DCC04--62148003.xdr.zst"), None);
        for name in ["FFFFFFFF--0-63998", "FFFFFFFE--1-64000", "FFFFFFFF--0", "lost+found"] {
            assert_eq!(layout.parse_partition_name(name), None, "{name}");
        }
        let elsewhere = "FFFF05FF--64000-127999/FFFFFFFD--2.xdr.zst";
        assert_eq!(layout.parse_object_key(elsewhere), None);
    }

    proptest! {
        #[test]
        fn key_leads_back_to_a_range_that_holds_the_ledger(
            ledgers_per_batch in prop_oneof![1..100u32, 1..=u32::MAX],
            batches_per_partition in prop_oneof![1..100u32, 1..=u32::MAX],
            sequence in any::<u32>(),
            extension in prop::sample::select(ObjectExtension::ALL.as_slice()),
        ) {
            let layout = layout(ledgers_per_batch, batches_per_partition);
            let sequence = LedgerSequence(sequence);
            let range = layout.parse_object_key(&layout.object_key(sequence, extension)).unwrap();
            prop_assert_eq!(&range, &layout.batch_range(sequence));
            prop_assert!(range.contains(&sequence));
            let partition = layout.partition_range(sequence);
            prop_assert!(partition.contains(range.start()));
        }

        #[test]
        fn listing_gives_the_newest_first(
            ledgers_per_batch in 1..1000u32,
            batches_per_partition in 1..1000u32,
            older in any::<u32>(),
            newer in any::<u32>(),
        ) {
            let layout = layout(ledgers_per_batch, batches_per_partition);
            let [older, newer] = [older.min(newer), older.max(newer)].map(LedgerSequence);
            prop_assume!(layout.batch_range(older) != layout.batch_range(newer));
            let key = |sequence| layout.object_key(sequence, ObjectExtension::Zst);
            prop_assert!(key(newer) < key(older));
        }

        #[test]
        fn no_name_makes_the_parser_fail(name in ".*") {
            let layout = layout(2, 8);
            let _ = layout.parse_object_key(&name);
            prop_assert!(layout.parse_object_name(&name).is_none() || name.contains("--"));
        }
    }
}
