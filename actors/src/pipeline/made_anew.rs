//! Data files of a dataset made anew from ledgers: what a scrub puts in place of damaged ones. The bytes follow from network,
//! range and ledgers, so that whoever asks compares them with the hash that the log has.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use futures::FutureExt;
use futures::future::BoxFuture;
use orrery_schemas::LedgerSequence;
use tokio::sync::oneshot;

use super::{Pipeline, PipelineSettings, Proof};
use crate::dataset::{MakeFile, SlotFile, SlotFileEncoder, TableKind};
use crate::ledger::Network;
use crate::processor::ttp::Mode;
use crate::source::{self, LedgerBound, LedgerRange, SourceUrl, WORKER_STACK_BYTES};

/// Looks up a variable of the environment.
type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Ledgers of sources, from which data files are made.
#[derive(Clone)]
pub struct LedgerFiles {
    sources: Arc<[SourceUrl]>,
    environment: Arc<Environment>,
    workers: usize,
}

/// One file that is to be made.
struct Wanted {
    kind: TableKind,
    network: Network,
    range: RangeInclusive<LedgerSequence>,
}

impl LedgerFiles {
    /// From these sources; `environment` has the credentials, `workers` threads prove and derive.
    pub fn new(
        sources: Vec<SourceUrl>,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        workers: usize,
    ) -> Self {
        Self { sources: sources.into(), environment: Arc::new(environment), workers }
    }

    /// Reads the ledgers of the range and encodes their rows. Blocks.
    fn encode(&self, wanted: Wanted, cancel: &Arc<AtomicBool>) -> Result<Option<SlotFile>, String> {
        let Wanted { kind, network, range } = wanted;
        let bounds = LedgerRange {
            from: Some(LedgerBound::Number(*range.start())),
            to: Some(LedgerBound::Number(*range.end())),
        };
        let source = source::open_with(&self.sources, bounds, self.environment.as_ref())
            .map_err(|error| error.to_string())?;
        if let Some(other) = source.network_passphrase().filter(|other| *other != network.passphrase()) {
            return Err(format!("the source is of the network `{other}`"));
        }
        let mut encoder = SlotFileEncoder::new(kind, network.passphrase(), range.clone())
            .map_err(|error| error.to_string())?;
        let settings =
            PipelineSettings { network, mode: Mode::Auto, proof: Proof::Hashes, workers: self.workers };
        let mut due = Some(*range.start());
        for ledger in
            Pipeline::start(source, settings, Arc::clone(cancel)).map_err(|error| error.to_string())?
        {
            let ledger = ledger.map_err(|error| error.to_string())?;
            if due != Some(ledger.sequence) {
                return Err(format!("the source gave ledger {} out of its turn", ledger.sequence));
            }
            due = ledger.sequence.next();
            if let Some(problem) = ledger.problems().next() {
                return Err(format!("ledger {}: {problem}", ledger.sequence));
            }
            let events = ledger.events.map_err(|error| error.to_string())?;
            match kind {
                TableKind::TokenTransfers => encoder.append_rows(&events.rows),
                TableKind::Ledgers => encoder.append_ledgers(std::slice::from_ref(&events.ledger)),
            }
            .map_err(|error| error.to_string())?;
        }
        if due != range.end().next() {
            return Err(format!("the source has no ledger {}", due.unwrap_or(*range.end())));
        }
        encoder.finish().map_err(|error| error.to_string())
    }
}

/// Ends the work of a thread when nobody waits for it any more.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl MakeFile for LedgerFiles {
    fn make(
        &self,
        kind: TableKind,
        network_passphrase: &str,
        range: RangeInclusive<LedgerSequence>,
    ) -> BoxFuture<'_, Result<Option<SlotFile>, String>> {
        let wanted = Wanted { kind, network: Network::new(network_passphrase), range };
        async move {
            let (done, made) = oneshot::channel();
            let cancel = Cancel(Arc::default());
            let (files, flag) = (self.clone(), Arc::clone(&cancel.0));
            // Sources block, and have runtimes of their own: not on a thread of this one.
            let work = move || drop(done.send(files.encode(wanted, &flag)));
            let thread = Builder::new().name("orrery-anew".to_owned()).stack_size(WORKER_STACK_BYTES);
            thread.spawn(work).map_err(|error| error.to_string())?;
            made.await.unwrap_or_else(|_| Err("its thread ended".to_owned()))
        }
        .boxed()
    }
}
