//! What a table is: the settings that slot 0 fixes and epochs change.
//!
//! They are the `configuration` of Delta's `metaData`, so every engine shows them and every checkpoint carries them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use orrery_schemas::{LedgerSequence, ROW_DIGEST_KEY, SCHEMA_ID_KEY, SCHEMA_VERSION_KEY};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::DatasetError;
use super::grid::Grid;
use super::kind::TableKind;

const NETWORK_PASSPHRASE_KEY: &str = "orrery.network.passphrase";
const NETWORK_ID_KEY: &str = "orrery.network.id";
const START_LEDGER_KEY: &str = "orrery.start_ledger";
const GRID_KEY: &str = "orrery.grid";
const EPOCHS_KEY: &str = "orrery.epochs";
/// Tells other programs to keep the log: it is the chain.
const KEEP_LOG: (&str, &str) = ("delta.enableExpiredLogCleanup", "false");

/// Names of tables are UUIDv5 in this space: SHA-1 of the URL namespace and `orrery:dataset`.
const TABLE_NAMESPACE: &[u8] = b"orrery:dataset";

/// Most epochs of a table: the list is part of every table's metadata.
const EPOCHS_MAX: usize = 1024;

/// From this ledger on, rows are made by these rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u32,
    /// First ledger of the epoch.
    pub from_ledger: LedgerSequence,
    /// Revision of the table's schema.
    pub schema_version: u32,
    /// Revision of the processor's rules.
    pub processor_version: u32,
}

/// The epochs of a table: never empty, ascending. In text `1@2:1:1,2@600:1:2` (epoch @ ledger : schema : processor).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs(Vec<Epoch>);

/// The settings of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Which table.
    pub kind: TableKind,
    /// Passphrase of the network.
    pub network_passphrase: String,
    /// First ledger of the dataset.
    pub start_ledger: LedgerSequence,
    /// Where slots end.
    pub grid: Grid,
    /// By which rules rows are made, from where on.
    pub epochs: Epochs,
}

impl Epochs {
    /// The list of a new table.
    pub fn first(epoch: Epoch) -> Self {
        Self(vec![epoch])
    }

    /// The epochs, ascending.
    pub fn as_slice(&self) -> &[Epoch] {
        &self.0
    }

    /// The epoch of a ledger.
    pub fn at(&self, ledger: LedgerSequence) -> Option<Epoch> {
        self.0.iter().rev().find(|epoch| epoch.from_ledger <= ledger).or(self.0.first()).copied()
    }

    /// Where the next epoch after `ledger` begins.
    pub fn next_start(&self, ledger: LedgerSequence) -> Option<LedgerSequence> {
        self.0.iter().map(|epoch| epoch.from_ledger).find(|from| *from > ledger)
    }

    /// With one more epoch.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Epoch`] if it does not come after the last one.
    pub fn with(&self, epoch: Epoch) -> Result<Self, DatasetError> {
        let refuse = |problem: String| {
            Err(DatasetError::Epoch { epoch: epoch.epoch, from_ledger: epoch.from_ledger, problem })
        };
        let Some(last) = self.0.last() else { return Ok(Self::first(epoch)) };
        let Some(next) = last.epoch.checked_add(1) else {
            return refuse(format!("epoch {} is the last that a table can have", last.epoch));
        };
        if epoch.epoch != next {
            return refuse(format!("the table is at epoch {}: announce {next}", last.epoch));
        }
        if epoch.from_ledger <= last.from_ledger {
            return refuse(format!(
                "epoch {} begins at ledger {}: take a later one",
                last.epoch, last.from_ledger
            ));
        }
        if self.0.len() >= EPOCHS_MAX {
            return refuse(format!("a table has at most {EPOCHS_MAX} epochs: begin another dataset"));
        }
        let mut epochs = self.0.clone();
        epochs.push(epoch);
        Ok(Self(epochs))
    }
}

impl Configuration {
    /// The name of the network: SHA-256 of its passphrase.
    pub fn network_id(&self) -> String {
        hex::encode(Sha256::digest(self.network_passphrase.as_bytes()))
    }

    /// The slot that begins with `next`: it ends at the grid's boundary, before an epoch, or at `to`.
    pub(super) fn slot_range(
        &self,
        next: LedgerSequence,
        to: Option<LedgerSequence>,
    ) -> Option<RangeInclusive<LedgerSequence>> {
        let before_epoch = self.epochs.next_start(next).and_then(|from| from.0.checked_sub(1));
        let before_epoch = before_epoch.map(LedgerSequence);
        let to = match (to, before_epoch) {
            (Some(to), Some(epoch)) => Some(to.min(epoch)),
            (to, epoch) => to.or(epoch),
        };
        self.grid.slot_range(next, to)
    }

    /// The table's name: equal settings, equal name.
    pub(super) fn id(&self) -> Uuid {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, TABLE_NAMESPACE);
        let mut text = String::new();
        for (key, value) in self.to_map() {
            // Lengths keep two lists of pairs from giving one text.
            text.push_str(&format!("{}:{key}{}:{value}", key.len(), value.len()));
        }
        Uuid::new_v5(&namespace, text.as_bytes())
    }

    /// As Delta's `configuration`.
    pub(super) fn to_map(&self) -> BTreeMap<String, String> {
        let schema_version = self.epochs.0.last().map_or(0, |epoch| epoch.schema_version);
        let pairs = [
            (KEEP_LOG.0, KEEP_LOG.1.to_owned()),
            (NETWORK_PASSPHRASE_KEY, self.network_passphrase.clone()),
            (NETWORK_ID_KEY, self.network_id()),
            (START_LEDGER_KEY, self.start_ledger.to_string()),
            (GRID_KEY, self.grid.to_string()),
            (EPOCHS_KEY, self.epochs.to_string()),
            (SCHEMA_ID_KEY, self.kind.schema_id().to_owned()),
            (SCHEMA_VERSION_KEY, schema_version.to_string()),
            (ROW_DIGEST_KEY, self.kind.digest_algorithm().to_owned()),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// From Delta's `configuration`. The error says what is missing or wrong.
    pub(super) fn from_map(map: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |key: &str| map.get(key).ok_or_else(|| format!("its configuration has no `{key}`"));
        let schema_id = text(SCHEMA_ID_KEY)?;
        let kind = TableKind::ALL.into_iter().find(|kind| kind.schema_id() == schema_id);
        let kind = kind.ok_or_else(|| format!("`{schema_id}` is no table that this release knows"))?;
        let start = text(START_LEDGER_KEY)?;
        let start_ledger =
            start.parse().map(LedgerSequence).map_err(|_| format!("start ledger {start:?}"))?;
        let configuration = Self {
            kind,
            network_passphrase: text(NETWORK_PASSPHRASE_KEY)?.clone(),
            start_ledger,
            grid: text(GRID_KEY)?.parse().map_err(|error| format!("{error}"))?,
            epochs: text(EPOCHS_KEY)?.parse()?,
        };
        let digest = text(ROW_DIGEST_KEY)?;
        if digest != kind.digest_algorithm() {
            return Err(format!(
                "its rows are summed by `{digest}`, this release knows `{}`: use a later release",
                kind.digest_algorithm()
            ));
        }
        if text(NETWORK_ID_KEY)? != &configuration.network_id() {
            return Err("its network id is not the hash of its passphrase".to_owned());
        }
        if let Some(epoch) =
            configuration.epochs.0.iter().find(|epoch| epoch.schema_version > kind.schema_version())
        {
            return Err(format!(
                "epoch {} has schema revision {}, this release knows {}: use a later release",
                epoch.epoch,
                epoch.schema_version,
                kind.schema_version()
            ));
        }
        Ok(configuration)
    }
}

impl fmt::Display for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Epoch { epoch, from_ledger, schema_version, processor_version }) in
            self.0.iter().enumerate()
        {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{epoch}@{from_ledger}:{schema_version}:{processor_version}")?;
        }
        Ok(())
    }
}

impl FromStr for Epochs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("epochs {:?}", text.chars().take(80).collect::<String>());
        let mut epochs: Option<Self> = None;
        for entry in text.split(',').take(EPOCHS_MAX + 1) {
            let (epoch, rest) = entry.split_once('@').ok_or_else(wrong)?;
            let mut numbers = rest.split(':').map(|number| number.parse::<u32>().map_err(|_| wrong()));
            let mut number = || numbers.next().unwrap_or_else(|| Err(wrong()));
            let epoch = Epoch {
                epoch: epoch.parse().map_err(|_| wrong())?,
                from_ledger: LedgerSequence(number()?),
                schema_version: number()?,
                processor_version: number()?,
            };
            if numbers.next().is_some() {
                return Err(wrong());
            }
            epochs = Some(match epochs {
                None => Self::first(epoch),
                Some(epochs) => epochs.with(epoch).map_err(|error| error.to_string())?,
            });
        }
        epochs.ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        let first =
            Epoch { epoch: 1, from_ledger: LedgerSequence(2), schema_version: 1, processor_version: 1 };
        Configuration {
            kind: TableKind::Ledgers,
            network_passphrase: "a network".to_owned(),
            start_ledger: LedgerSequence(2),
            grid: Grid::default(),
            epochs: Epochs::first(first),
        }
    }

    #[test]
    fn settings_survive_the_log() {
        let configuration = configuration();
        assert_eq!(Configuration::from_map(&configuration.to_map()), Ok(configuration));
    }

    #[test]
    fn the_name_of_a_table_depends_on_every_setting_and_on_nothing_else() {
        let first = configuration();
        // Computed by another implementation of UUIDv5: a table that is there keeps its name.
        assert_eq!(first.id().to_string(), "bc447363-59fb-58ff-b446-b08fb8b089ca");
        let others = [
            Configuration { kind: TableKind::TokenTransfers, ..first.clone() },
            Configuration { network_passphrase: "another".to_owned(), ..first.clone() },
            Configuration { start_ledger: LedgerSequence(3), ..first.clone() },
            Configuration { grid: Grid::uniform(16).unwrap(), ..first.clone() },
        ];
        assert!(others.iter().all(|other| other.id() != first.id()));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let check = |key: &str, value: Option<&str>, fragment: &str| {
            let mut map = configuration().to_map();
            map.remove(key);
            map.extend(value.map(|value| (key.to_owned(), value.to_owned())));
            let error = Configuration::from_map(&map).unwrap_err();
            assert!(error.contains(fragment), "{error}");
        };
        check(NETWORK_ID_KEY, None, "has no `orrery.network.id`");
        check(NETWORK_PASSPHRASE_KEY, Some("x"), "not the hash of its passphrase");
        check(SCHEMA_ID_KEY, Some("x"), "`x` is no table that this release knows");
        check(ROW_DIGEST_KEY, Some("crc"), "summed by `crc`");
        check(GRID_KEY, Some("x"), "1:1024,50000000:16");
        check(START_LEDGER_KEY, Some("-1"), "start ledger \"-1\"");
        check(EPOCHS_KEY, Some("1@2:9:1"), "epoch 1 has schema revision 9");
        for text in ["", "1", "1@2", "1@2:1", "1@2:1:1:1", "x@2:1:1", "1@2:1:1,3@4:1:1", "1@2:1:1,2@2:1:1"] {
            check(EPOCHS_KEY, Some(text), "epoch");
        }
        check(EPOCHS_KEY, Some("4294967295@2:1:1,1@4:1:1"), "is the last that a table can have");
    }

    #[test]
    fn epochs_begin_at_their_ledgers() {
        let epochs: Epochs = "1@2:1:1,2@600:1:2".parse().unwrap();
        assert_eq!(epochs.to_string(), "1@2:1:1,2@600:1:2");
        let check = |ledger, epoch, next| {
            assert_eq!(epochs.at(LedgerSequence(ledger)).map(|epoch| epoch.epoch), Some(epoch));
            assert_eq!(epochs.next_start(LedgerSequence(ledger)).map(|next| next.0), next);
        };
        check(1, 1, Some(2));
        check(2, 1, Some(600));
        check(599, 1, Some(600));
        check(600, 2, None);
    }
}
