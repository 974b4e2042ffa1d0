//! What the sources answer: ledgers as they are, or damaged, false and truncated.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use orrery_actors::envelope::LedgerBatch;
use orrery_actors::ledger::{Network, ParsedLedger};
use orrery_actors::source::{FetchedObject, LedgerChunk};
use orrery_schemas::LedgerSequence;

use super::{Pipeline, SOURCES, short_hash};
use crate::faults::{BoundField, BoundFields};

/// False answers for one sound ledger: fewer than make it poison.
const FALSE_MAX: u32 = 2;

impl Pipeline<'_> {
    /// The next ledgers, as one of the sources gives them: perhaps not as they are.
    pub(super) fn fetch(&mut self) -> LedgerBatch {
        let first = self.source.next;
        let last = (first + self.plan.ledgers_per_batch - 1).min(self.plan.last);
        self.source.next = last + 1;
        let origin = match self.source.avoid {
            Some(avoid) => (avoid + 1) % SOURCES,
            None => self.world.below(SOURCES),
        };
        let mut bytes = Vec::new();
        let (mut cut, mut fault) = (None, None);
        for ledger in first..=last {
            let Some(made) = self.ledgers.get(LedgerSequence(ledger)) else { continue };
            let mut xdr = made.xdr.to_vec();
            let given = self.given_false.entry(ledger).or_default();
            if self.plan.poison == Some(ledger) {
                fault = Some("M4");
                damage(&mut xdr, 7);
            } else if *given < FALSE_MAX && self.world.chance(self.plan.false_per_mille) {
                *given += 1;
                match self.plan.compressed && self.world.chance(400) {
                    true => cut = Some(ledger),
                    false => {
                        fault = fault.or(Some("U6"));
                        let at = bound_byte(&self.settings.network, &xdr, self.world.draw());
                        damage(&mut xdr, at);
                    }
                }
            }
            bytes.extend_from_slice(&xdr);
        }
        if self.plan.compressed {
            bytes = compress(&bytes);
        }
        if let Some(ledger) = cut {
            // Less than the checksum at its end is missing.
            bytes.truncate(bytes.len() - 1 - self.world.below(3));
            self.world.trace(format_args!("an object is truncated behind ledger {ledger}"));
            fault = Some("U3");
        }
        if let Some(fault) = fault {
            self.spoiled.insert(short_hash(&bytes), fault);
        }
        self.batch((first, last), origin, bytes.into())
    }

    fn batch(&self, (first, last): (u32, u32), source: usize, bytes: Bytes) -> LedgerBatch {
        let range = LedgerSequence(first)..=LedgerSequence(last);
        let file: Arc<str> = format!("{first}-{last}").into();
        let object = FetchedObject { file, named: range.clone(), range, bytes };
        let chunk = LedgerChunk::new(object, source, format!("lake {source}").into(), None);
        let trace = chunk.trace.clone();
        LedgerBatch { run: self.source.run, chunk, trace }
    }
}

fn damage(bytes: &mut [u8], at: usize) {
    let length = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at % length) {
        *byte ^= 0x5a;
    }
}

/// A byte of the header, mostly, or of whatever else a hash binds.
fn bound_byte(network: &Network, xdr: &[u8], draw: u64) -> usize {
    let Ok(parsed) = ParsedLedger::read(network, xdr) else { return 0 };
    let fields = BoundFields::of(&parsed, xdr);
    let draw = usize::try_from(draw >> 1).unwrap_or(0);
    let wanted = if draw.is_multiple_of(4) { BoundField::Results } else { BoundField::Header };
    let ranges = fields.by_kind().iter().find(|(kind, _)| *kind == wanted).map(|(_, ranges)| ranges);
    ranges.and_then(|ranges| ranges.byte((draw / 4) % ranges.byte_count().max(1))).unwrap_or(0)
}

/// One zstd frame with a checksum, as lakes have them.
fn compress(bytes: &[u8]) -> Vec<u8> {
    let compressed = || {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1)?;
        encoder.include_checksum(true)?;
        encoder.write_all(bytes)?;
        encoder.finish()
    };
    // Into memory: it cannot fail.
    compressed().unwrap_or_default()
}
