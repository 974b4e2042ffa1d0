//! `orrery synth`: synthetic ledgers as a data lake.

use std::path::Path;
use std::sync::atomic::Ordering;

use orrery_actors::source::synthetic::{NETWORK_PASSPHRASE, SyntheticSpec};
use orrery_actors::source::{self, LakeWriter, LakeWriterError, LedgerRange, SourceUrl};
use serde_json::json;

use crate::cli::{SynthArgs, SyntheticArgs};
use crate::console::Console;
use crate::exit::Failure;
use crate::interrupt;
use crate::progress::Bar;

/// Writes the lake. Interrupted, it leaves whole ledgers and can go on.
pub(crate) fn run(args: &SynthArgs, console: &Console) -> Result<(), Failure> {
    let interrupted = interrupt::flag()?;
    let SourceUrl::Lake(root) = &args.out else {
        return Err(Failure::Usage(format!(
            "--out {}: give file:// and a folder, as in file://lake",
            args.out
        )));
    };
    let url = args.synthetic.url()?;
    let mut source = source::open(&[url], LedgerRange::default())?;
    let mut lake = LakeWriter::create(Path::new(root), NETWORK_PASSPHRASE)?;
    let mut bar = Bar::new(source.progress());
    let (mut ledgers, mut xdr_bytes) = (0_u64, 0_u64);
    while let Some(ledger) = source.next_ledger() {
        let ledger = ledger?;
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        lake.write(ledger.sequence, &ledger.xdr)?;
        ledgers += 1;
        xdr_bytes += ledger.xdr.len() as u64;
        bar.ledger(0);
    }
    drop(bar);
    console.result(&[
        ("lake", json!(args.out.to_string())),
        ("ledgers", json!(ledgers)),
        ("xdr_bytes", json!(xdr_bytes)),
        ("lake_bytes", json!(lake.bytes())),
    ])
}

impl SyntheticArgs {
    /// The arguments as a source.
    pub(crate) fn url(&self) -> Result<SourceUrl, Failure> {
        let mut query = format!("seed={}&ledgers={}", self.seed, self.ledgers);
        query += &format!("&density={}&protocol={}&events={}", self.density, self.protocol, self.events);
        SyntheticSpec::from_query(&query).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(SourceUrl::Synthetic(query))
    }
}

impl From<LakeWriterError> for Failure {
    fn from(error: LakeWriterError) -> Self {
        match error {
            LakeWriterError::OtherLake { .. } => Self::Usage(error.to_string()),
            LakeWriterError::Io { action, path, source } => {
                Self::Unavailable(format!("{action} {path}: {source}"))
            }
        }
    }
}
