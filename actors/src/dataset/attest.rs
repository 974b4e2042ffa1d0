//! Whether the last slot of a log is as it was written. The hash of every other slot is in the one after it; of the last one,
//! chain and data file together bind every byte but those that `ledgers` alone knows.

use std::ops::RangeInclusive;

use arrow::array::RecordBatch;
use bytes::Bytes;
use orrery_schemas::{CloseTime, Hash32, Ledger, LedgerSequence, RowDigest};

use super::StoreError;
use super::chain::Chain;
use super::compaction::blocking;
use super::file::{FILE_BYTES_MAX, SlotFile, SlotFileEncoder, read_content};
use super::kind::TableKind;
use super::slot::{AddFile, Change, Commit, sha256};
use super::store::Store;

/// What a data file says of itself, by its rows alone.
pub(super) struct Remade {
    /// The file, encoded again.
    pub(super) file: SlotFile,
    pub(super) digest: RowDigest,
    /// Hash of the ledger before, and hash and close time of the last one: of a file of `ledgers`.
    pub(super) ends: Option<(Hash32, Hash32, CloseTime)>,
}

/// Decodes a data file and encodes it again: where the bytes differ, it is not as this program writes it.
pub(super) fn remake(
    kind: TableKind,
    network: &str,
    range: &RangeInclusive<LedgerSequence>,
    bytes: Bytes,
) -> Result<Remade, String> {
    let mut encoder =
        SlotFileEncoder::new(kind, network, range.clone()).map_err(|error| error.to_string())?;
    let (mut first, mut last) = (None, None);
    let mut append = |batch: &RecordBatch, ledgers: &[Ledger]| {
        first = first.or(ledgers.first().map(|ledger| ledger.previous_hash));
        last = ledgers.last().map(|ledger| (ledger.hash, ledger.closed_at)).or(last);
        encoder.append_batch(batch).map_err(|error| error.to_string())
    };
    let content = read_content(kind, bytes, range, &mut append)?;
    let file = encoder.finish().map_err(|error| error.to_string())?.ok_or("it has no rows")?;
    let ends = first.zip(last).map(|(parent, (hash, closed_at))| (parent, hash, closed_at));
    Ok(Remade { file, digest: content.digest, ends })
}

/// Whether a slot may be what was written behind `chain`; what is wrong otherwise. A file that is not there, or is damaged,
/// says nothing of the slot.
pub(super) async fn attest(
    table: &Store,
    chain: &Chain,
    bytes: &Bytes,
) -> Result<Result<Commit, String>, StoreError> {
    let commit = match check_alone(chain, bytes) {
        Ok(commit) => commit,
        Err(problem) => return Ok(Err(problem)),
    };
    let Some(add) = commit.file().cloned() else { return Ok(Ok(commit)) };
    let file = match table.read(&add.name.to_string(), FILE_BYTES_MAX).await {
        Ok(Some(file)) => file,
        Ok(None) | Err(StoreError::TooLarge { .. }) => return Ok(Ok(commit)),
        Err(error) => return Err(error),
    };
    let (kind, network) = (chain.configuration().kind, chain.configuration().network_passphrase.clone());
    let modified_at = modified_at(chain, &commit);
    let checked = blocking(move || {
        let found = sha256(&file);
        match (add.name.is_of(found), found == add.sha256) {
            (false, _) => return Ok(commit),
            (true, false) => return Err(format!("it says that {} has another SHA-256", add.name)),
            (true, true) => {}
        }
        let remade = remake(kind, &network, &add.name.range, file)?;
        check_file(&commit, &add, &remade, modified_at)?;
        Ok(commit)
    });
    Ok(checked.await)
}

/// What can be told without its file.
fn check_alone(chain: &Chain, bytes: &Bytes) -> Result<Commit, String> {
    let commit = Commit::parse(bytes)?;
    chain.check(&commit)?;
    if chain.encode(&commit)? == *bytes {
        Ok(commit)
    } else {
        Err("it is not as a slot is written".to_owned())
    }
}

/// When the file of a slot was last changed, by the rule that made it.
fn modified_at(chain: &Chain, commit: &Commit) -> CloseTime {
    let replaced = match &commit.change {
        Change::Compaction { remove, .. } => {
            remove.last().and_then(|removed| chain.files.get(removed.name.range.start()))
        }
        Change::Append(_) | Change::Epoch(_) => None,
    };
    replaced.map_or(commit.closed_at, |file| file.modified_at)
}

fn check_file(commit: &Commit, add: &AddFile, remade: &Remade, modified_at: CloseTime) -> Result<(), String> {
    if *add != remade.file.to_add(remade.digest, modified_at) {
        return Err(format!("it says other things of {} than its rows", add.name));
    }
    let (Change::Append(_), Some((parent, hash, closed_at))) = (&commit.change, remade.ends) else {
        return Ok(());
    };
    if (parent, hash, closed_at) != (commit.parent_ledger_hash, commit.last_ledger_hash, commit.closed_at) {
        return Err("it names other ledgers than its rows".to_owned());
    }
    Ok(())
}
