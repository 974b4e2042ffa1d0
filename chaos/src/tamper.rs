//! The experiment: many ledgers, each with one changed byte, each judged.
//!
//! The plan is drawn from the seed before anything runs, so that the report does not depend on how many threads work.

use orrery_actors::ledger::Network;
use orrery_actors::processor::ttp::ProcessError;
use rayon::prelude::*;
use serde::Serialize;

use crate::faults::{BoundField, FlipByte};
use crate::judges::{content, hashes};
use crate::{LoadedLedger, Random};

/// Which ledgers were changed, and how much of them hashes bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Of the random choices.
    pub seed: u64,
    /// Number of ledgers.
    pub ledgers: usize,
    /// Bytes of their XDR.
    pub bytes: usize,
    /// Of these, bytes that a hash binds.
    pub bound_bytes: usize,
}

/// One change, so that it can be looked at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Number of the change, from 1: with the same seed and ledgers, `--count` of this number ends with it.
    pub number: usize,
    /// Where the ledger comes from.
    pub file: String,
    /// Number of the ledger.
    pub ledger: u32,
    /// Which byte of its XDR.
    pub byte: usize,
    /// Before.
    pub from: u8,
    /// After.
    pub to: u8,
}

/// What became of the changes of one kind of field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FieldCounts {
    /// The kind.
    pub field: BoundField,
    /// Changes made.
    pub changed: usize,
    /// Found because the bytes were no ledger any more.
    pub found_by_structure: usize,
    /// Found because a hash did not hold.
    pub found_by_hashes: usize,
    /// Not found.
    pub missed: usize,
}

/// What became of changes of bound bytes. Anything missed is a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoundReport {
    /// What was changed.
    #[serde(flatten)]
    pub subject: Subject,
    /// Changes made.
    pub changes: usize,
    /// Changes found.
    pub found: usize,
    /// Changes not found.
    pub missed: usize,
    /// By kind of field; kinds that no ledger has are left out.
    pub fields: Vec<FieldCounts>,
    /// The first change that was not found.
    pub first_missed: Option<Change>,
}

/// What became of changes of unbound bytes. Nothing here is a failure: it is what hashes cannot prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnboundReport {
    /// What was changed.
    #[serde(flatten)]
    pub subject: Subject,
    /// Changes made.
    pub changes: usize,
    /// The bytes were no ledger any more.
    pub found_by_structure: usize,
    /// A hash did not hold.
    pub found_by_hashes: usize,
    /// Events could not be derived.
    pub found_by_derivation: usize,
    /// Events and entry changes contradicted each other.
    pub found_by_deltas: usize,
    /// Found by nothing, and the rows were others.
    pub silent_rows_differ: usize,
    /// Found by nothing, and the rows were the same.
    pub silent_rows_equal: usize,
    /// The first change that was not found and made other rows.
    pub first_rows_differ: Option<Change>,
}

/// Changes `count` bound bytes, one at a time.
pub fn bound(network: &Network, ledgers: &[LoadedLedger], seed: u64, count: usize) -> BoundReport {
    let mut random = Random::new(seed);
    let plan: Vec<_> = (0..count).map_while(|_| FlipByte::bound(&mut random, ledgers)).collect();
    let verdicts: Vec<_> = plan
        .par_iter()
        .map(|flip| hashes::judge(network, &flip.changed(&ledgers[flip.ledger].xdr)))
        .collect();
    bound_report(subject(ledgers, seed), ledgers, &plan, &verdicts)
}

fn bound_report(
    subject: Subject,
    ledgers: &[LoadedLedger],
    plan: &[FlipByte],
    verdicts: &[hashes::Verdict],
) -> BoundReport {
    use hashes::Verdict;
    let of_field = |field: BoundField| {
        let of_field = |flip: &FlipByte| ledgers[flip.ledger].fields.kind_of(flip.at) == Some(field);
        let of_field: Vec<_> = plan
            .iter()
            .zip(verdicts)
            .filter(|(flip, _)| of_field(flip))
            .map(|(_, verdict)| *verdict)
            .collect();
        let count = |verdict| of_field.iter().filter(|other| **other == verdict).count();
        FieldCounts {
            field,
            changed: of_field.len(),
            found_by_structure: count(Verdict::FoundByStructure),
            found_by_hashes: count(Verdict::FoundByHashes),
            missed: count(Verdict::Missed),
        }
    };
    let missed = verdicts.iter().filter(|verdict| **verdict == Verdict::Missed).count();
    BoundReport {
        subject,
        changes: plan.len(),
        found: plan.len() - missed,
        missed,
        fields: BoundField::ALL.into_iter().map(of_field).filter(|counts| counts.changed > 0).collect(),
        first_missed: first(ledgers, plan, |index| verdicts[index] == Verdict::Missed),
    }
}

/// Changes `count` unbound bytes, one at a time.
///
/// # Errors
///
/// If the events of an unchanged ledger cannot be derived.
pub fn unbound(
    network: &Network,
    ledgers: &[LoadedLedger],
    seed: u64,
    count: usize,
) -> Result<UnboundReport, ProcessError> {
    use content::Verdict;
    let originals: Vec<_> =
        ledgers.par_iter().map(|ledger| content::original(network, &ledger.xdr)).collect::<Result<_, _>>()?;
    let mut random = Random::new(seed);
    let plan: Vec<_> = (0..count).map_while(|_| FlipByte::unbound(&mut random, ledgers)).collect();
    let verdicts: Vec<_> = plan
        .par_iter()
        .map(|flip| {
            content::judge(network, &originals[flip.ledger], &flip.changed(&ledgers[flip.ledger].xdr))
        })
        .collect();
    let count = |verdict| verdicts.iter().filter(|other| **other == verdict).count();
    Ok(UnboundReport {
        subject: subject(ledgers, seed),
        changes: plan.len(),
        found_by_structure: count(Verdict::FoundByStructure),
        found_by_hashes: count(Verdict::FoundByHashes),
        found_by_derivation: count(Verdict::FoundByDerivation),
        found_by_deltas: count(Verdict::FoundByDeltas),
        silent_rows_differ: count(Verdict::SilentRowsDiffer),
        silent_rows_equal: count(Verdict::SilentRowsEqual),
        first_rows_differ: first(ledgers, &plan, |index| verdicts[index] == Verdict::SilentRowsDiffer),
    })
}

fn subject(ledgers: &[LoadedLedger], seed: u64) -> Subject {
    let bytes = ledgers.iter().map(|ledger| ledger.xdr.len()).sum();
    let unbound: usize = ledgers.iter().map(|ledger| ledger.fields.unbound().byte_count()).sum();
    Subject { seed, ledgers: ledgers.len(), bytes, bound_bytes: bytes - unbound }
}

fn first(ledgers: &[LoadedLedger], plan: &[FlipByte], is_wanted: impl Fn(usize) -> bool) -> Option<Change> {
    let index = (0..plan.len()).find(|index| is_wanted(*index))?;
    let flip = plan[index];
    let ledger = &ledgers[flip.ledger];
    let from = ledger.xdr.get(flip.at).copied()?;
    Some(Change {
        number: index + 1,
        file: ledger.file.to_string(),
        ledger: ledger.sequence,
        byte: flip.at,
        from,
        to: from ^ flip.mask,
    })
}

#[cfg(test)]
mod tests;
