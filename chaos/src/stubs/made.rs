//! The ledgers of a chaos run, in memory: what stubs spoil, and a fork of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use orrery_actors::source::{LedgerRange, SourceError, SourceUrl, open};

use crate::faults::{BoundFields, FlipByte};
use crate::{LoadError, LoadedLedger, Random};
use orrery_actors::ledger::{Network, ParsedLedger};

/// Passphrase of made-up ledgers.
pub const PASSPHRASE: &str = orrery_actors::source::synthetic::NETWORK_PASSPHRASE;

/// Another seed gives another history of the same network.
const FORK: u64 = 0x00f0_4b00;

/// Ledgers by number, each one `LedgerCloseMeta` in XDR.
#[derive(Clone, Debug)]
pub struct MadeLedgers {
    sound: Arc<BTreeMap<u32, Vec<u8>>>,
    fork: Arc<BTreeMap<u32, Vec<u8>>>,
}

impl MadeLedgers {
    /// Those that `orrery synth --density sparse` makes of the same arguments.
    ///
    /// # Errors
    ///
    /// There are none of that kind.
    pub fn new(seed: u64, ledgers: u32) -> Result<Self, SourceError> {
        let sound = Arc::new(read(seed, ledgers)?);
        let fork = Arc::new(read(seed ^ FORK, ledgers)?);
        Ok(Self { sound, fork })
    }

    /// A ledger.
    pub fn sound(&self, ledger: u32) -> Option<&[u8]> {
        self.sound.get(&ledger).map(Vec::as_slice)
    }

    /// The ledger of the same number of a fork: all of its hashes hold, and its parent is another one.
    pub fn forked(&self, ledger: u32) -> Option<&[u8]> {
        self.fork.get(&ledger).map(Vec::as_slice)
    }

    /// A ledger in which one byte that a hash binds is another.
    ///
    /// # Errors
    ///
    /// It was not sound to begin with.
    pub fn tampered(&self, ledger: u32) -> Result<Option<Vec<u8>>, LoadError> {
        let Some(xdr) = self.sound(ledger) else { return Ok(None) };
        let network = Network::new(PASSPHRASE);
        let file: Arc<str> = "made".into();
        let parsed = ParsedLedger::read(&network, xdr).map_err(|error| LoadError::NotALedger {
            file: file.clone(),
            ledger,
            error,
        })?;
        let fields = BoundFields::of(&parsed, xdr);
        let mut loaded = [LoadedLedger { file, sequence: ledger, xdr: xdr.to_vec(), fields }];
        // The same ledger is always changed alike, whoever asks.
        let flip = FlipByte::bound(&mut Random::new(u64::from(ledger)), &loaded);
        let [loaded] = &mut loaded;
        Ok(flip.and_then(|flip| {
            *loaded.xdr.get_mut(flip.at)? ^= flip.mask;
            Some(std::mem::take(&mut loaded.xdr))
        }))
    }
}

fn read(seed: u64, ledgers: u32) -> Result<BTreeMap<u32, Vec<u8>>, SourceError> {
    let url: SourceUrl = format!("synthetic:?seed={seed}&ledgers={ledgers}&density=sparse").parse()?;
    let mut source = open(&[url], LedgerRange { from: None, to: None })?;
    let mut read = BTreeMap::new();
    while let Some(ledger) = source.next_ledger() {
        let ledger = ledger?;
        read.insert(ledger.sequence.0, ledger.xdr.to_vec());
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orrery_actors::ledger::integrity::check;

    #[test]
    fn a_fork_is_sound_but_another_and_a_tampered_ledger_is_not_sound() {
        let made = MadeLedgers::new(1, 5).unwrap();
        let network = Network::new(PASSPHRASE);
        let holds = |xdr: &[u8]| {
            ParsedLedger::read(&network, xdr).is_ok_and(|ledger| check(&ledger).violations.is_empty())
        };
        for ledger in 2..=6 {
            let (sound, forked) = (made.sound(ledger).unwrap(), made.forked(ledger).unwrap());
            assert!(holds(sound) && holds(forked) && sound != forked, "{ledger}");
            assert!(!holds(&made.tampered(ledger).unwrap().unwrap()), "{ledger}");
        }
        assert!(made.sound(7).is_none() && made.tampered(7).unwrap().is_none());
    }
}
