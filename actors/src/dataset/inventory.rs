//! What an object of a dataset is, by its path. Pure: `scrub` and `backup` decide by it, and the rules for storage tiers in
//! `ops/lifecycle` are held against it.

use super::announced;
use super::checkpoint::HINT_PATH;
use super::kind::TableKind;
use super::slot::FileName;

/// Where evidence is kept, below a table; for what is not of a table, below the dataset.
pub(super) const QUARANTINE: &str = "_quarantine";

/// What an object is. Paths are below the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// One slot of a log.
    Slot(TableKind, u64),
    /// What the log says at one slot.
    Checkpoint(TableKind, u64),
    /// Which checkpoint is the newest.
    Hint(TableKind),
    /// An epoch that is to come, or came.
    Announcement(TableKind, u32),
    /// Rows.
    Data(TableKind, FileName),
    /// One side of a contradiction, or bytes that were damaged: the name ends in the first digits of its SHA-256.
    Evidence(String),
    /// Of the store's self-test.
    SelfTest,
    /// Of a coordinator: JSON that says who holds it.
    Lease,
    /// Where traffic belongs, as was decided: JSON that has the number of its name.
    Decision(u64),
    /// A temporary file: nothing says what is in it.
    Own,
    /// Not of this program.
    Foreign,
}

/// Path of the object of the store's self-test.
pub(super) const SELF_TEST_PATH: &str = "_orrery/put-if-absent";

impl ObjectKind {
    /// Of the object at `path` below the dataset.
    pub(super) fn of(path: &str) -> Self {
        if path == SELF_TEST_PATH {
            return Self::SelfTest;
        }
        if let Some(path) = below(path, "_orrery") {
            return own(path).unwrap_or(Self::Own);
        }
        if path.starts_with(QUARANTINE) {
            return evidence(path);
        }
        let table = TableKind::ALL.into_iter().find_map(|kind| Some((kind, below(path, kind.as_str())?)));
        let Some((kind, path)) = table else { return Self::Foreign };
        if path == HINT_PATH {
            return Self::Hint(kind);
        }
        if path.starts_with(QUARANTINE) {
            return evidence(path);
        }
        if let Some(name) = below(path, "_delta_log") {
            return slot_number(name, ".checkpoint.parquet")
                .map(|slot| Self::Checkpoint(kind, slot))
                .or_else(|| slot_number(name, ".json").map(|slot| Self::Slot(kind, slot)))
                .unwrap_or(Self::Foreign);
        }
        if let Some(name) = below(path, "_epochs") {
            let epoch = name.strip_suffix(".json").and_then(|digits| digits.parse().ok());
            let epoch = epoch.filter(|epoch| announced::path(*epoch) == path);
            return epoch.map_or(Self::Foreign, |epoch| Self::Announcement(kind, epoch));
        }
        path.parse().map_or(Self::Foreign, |name| Self::Data(kind, name))
    }
}

fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// Leases and decisions.
fn own(path: &str) -> Option<ObjectKind> {
    let (folder, name) = path.rsplit_once('/')?;
    let number = slot_number(name, ".json")?;
    match folder {
        "leases" => Some(ObjectKind::Lease),
        "traffic" => Some(ObjectKind::Decision(number)),
        _ => None,
    }
}

/// The number of `00000000000000000012.json`.
fn slot_number(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// `_quarantine/OBJECT/SIDE-<16 digits>`.
fn evidence(path: &str) -> ObjectKind {
    let parts: Vec<_> = path.split('/').collect();
    let digits = match parts.as_slice() {
        [QUARANTINE, _, name] => name.rsplit_once('-').map(|(_, digits)| digits),
        _ => None,
    };
    let is_digest = |digits: &&str| digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.filter(is_digest).map_or(ObjectKind::Foreign, |digits| ObjectKind::Evidence(digits.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_known_by_its_path() {
        let check = |path: &str, expect: ObjectKind| assert_eq!(ObjectKind::of(path), expect, "{path}");
        let log = |name: &str| format!("ledgers/_delta_log/{name}");
        check(&log("00000000000000000000.json"), ObjectKind::Slot(TableKind::Ledgers, 0));
        check(&log("00000000000000000017.json"), ObjectKind::Slot(TableKind::Ledgers, 17));
        check(
            &log("00000000000000000064.checkpoint.parquet"),
            ObjectKind::Checkpoint(TableKind::Ledgers, 64),
        );
        check(&log("_last_checkpoint"), ObjectKind::Hint(TableKind::Ledgers));
        for name in ["17.json", "0000000000000000001x.json", "00000000000000000017.crc", "a/b", ""] {
            check(&log(name), ObjectKind::Foreign);
        }
        check("ledgers/_epochs/0000000002.json", ObjectKind::Announcement(TableKind::Ledgers, 2));
        check("ledgers/_epochs/2.json", ObjectKind::Foreign);
        let name = "data/16-31-0123456789abcdef.parquet";
        let data = ObjectKind::Data(TableKind::TokenTransfers, name.parse().unwrap());
        check(&format!("token_transfers/{name}"), data);
        check("token_transfers/data/part-0001.parquet", ObjectKind::Foreign);
        check("token_transfers/readme", ObjectKind::Foreign);
        let evidence = || ObjectKind::Evidence("0123456789abcdef".to_owned());
        check("ledgers/_quarantine/_delta_log.00000000000000000001.json/ours-0123456789abcdef", evidence());
        check("_quarantine/_orrery.put-if-absent/damaged-0123456789abcdef", evidence());
        check("ledgers/_quarantine/x/ours-0123", ObjectKind::Foreign);
        check("ledgers/_quarantine/ours-0123456789abcdef", ObjectKind::Foreign);
        check("_orrery/put-if-absent", ObjectKind::SelfTest);
        check("_orrery/leases/1.json", ObjectKind::Own);
        check("_orrery/leases/00000000000000000007.json", ObjectKind::Lease);
        check("_orrery/traffic/00000000000000000002.json", ObjectKind::Decision(2));
        check("_orrery/parts/x.part", ObjectKind::Own);
        check("readme.txt", ObjectKind::Foreign);
        check("ledgersx/data/16-31-0123456789abcdef.parquet", ObjectKind::Foreign);
    }
}
