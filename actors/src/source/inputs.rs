//! Several inputs, one after the other, as one source.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orrery_schemas::LedgerSequence;

use super::blocking::{BlockingRuntime, StoreLedgers};
use super::files::{Found, NamedFile, files_below, find, matches};
use super::generated::GeneratedLedgers;
use super::open_stores::open_store;
use super::range::LedgerFilter;
use super::synthetic::{NETWORK_PASSPHRASE, SyntheticSpec};
use super::{
    LedgerBound, LedgerRange, LedgerReader, LedgerSource, LedgerStore, Lookup, Progress, ProgressUnit,
    RawLedger, SourceError, SourceErrorKind, SourceUrl, resolve_range,
};

/// Opens what `urls` name as one source, in their order. Fails early: what they name must exist.
///
/// Of a lake exactly `range` is read, and every ledger of it must be there; of files, ledgers outside of it are left out.
///
/// Without credentials: see [`open_with`].
pub fn open(urls: &[SourceUrl], range: LedgerRange) -> Result<Box<dyn LedgerSource>, SourceError> {
    open_with(urls, range, &|_| None)
}

/// As [`open`]; credentials for remote sources are looked up. Must not be called, read or dropped inside of a tokio runtime.
pub fn open_with(
    urls: &[SourceUrl],
    range: LedgerRange,
    lookup: Lookup<'_>,
) -> Result<Box<dyn LedgerSource>, SourceError> {
    let mut plan = Plan { range, lookup, inputs: VecDeque::new(), network_passphrase: None, runtime: None };
    for url in urls {
        plan.add(url)?;
    }
    Ok(Box::new(plan.into_source()?))
}

/// An input that exists but is not open yet: a directory may hold more files than a process may open.
enum Input {
    /// `size` in bytes is `None` for a named pipe.
    File {
        file: NamedFile,
        size: Option<u64>,
    },
    Stdin,
    Store {
        store: Arc<dyn LedgerStore>,
        range: RangeInclusive<LedgerSequence>,
        runtime: Arc<BlockingRuntime>,
    },
    Synthetic {
        spec: SyntheticSpec,
        range: RangeInclusive<LedgerSequence>,
    },
}

struct Plan<'a> {
    range: LedgerRange,
    lookup: Lookup<'a>,
    inputs: VecDeque<Input>,
    network_passphrase: Option<String>,
    /// Made for the first store.
    runtime: Option<Arc<BlockingRuntime>>,
}

impl Plan<'_> {
    fn add(&mut self, url: &SourceUrl) -> Result<(), SourceError> {
        match url {
            SourceUrl::Path(path) => self.add_path(path),
            SourceUrl::Pattern(pattern) if Path::new(pattern).exists() => self.add_path(pattern),
            SourceUrl::Pattern(pattern) => matches(pattern)?.iter().try_for_each(|path| self.add_path(path)),
            SourceUrl::Stream(path) => {
                self.add_file(NamedFile { name: path.to_string_lossy().into(), path: path.clone() })
            }
            SourceUrl::Stdin => {
                self.inputs.push_back(Input::Stdin);
                Ok(())
            }
            SourceUrl::Lake(_) | SourceUrl::Remote(_) => self.add_store(url),
            SourceUrl::Synthetic(query) => self.add_synthetic(&url.to_string(), query),
        }
    }

    fn add_synthetic(&mut self, url: &str, query: &str) -> Result<(), SourceError> {
        let spec = SyntheticSpec::from_query(query)
            .map_err(|error| SourceError::new(url, SourceErrorKind::BadUrl(error.to_string())))?;
        let first = LedgerBound::FIRST_CLOSED;
        let last = LedgerSequence(first.0 + spec.ledgers - 1);
        let resolve = |bound| match bound {
            LedgerBound::Number(sequence) => sequence,
            LedgerBound::Genesis => first,
            LedgerBound::Latest => last,
        };
        let (from, to) = (self.range.from.map_or(first, resolve), self.range.to.map_or(last, resolve));
        let range = from.max(first)..=to.min(last);
        if range.is_empty() {
            let reason = format!("no ledger from {from} to {to}: it has {first} to {last}");
            return Err(SourceError::new(url, SourceErrorKind::BadRange(reason)));
        }
        self.add_network(url, NETWORK_PASSPHRASE)?;
        self.inputs.push_back(Input::Synthetic { spec, range });
        Ok(())
    }

    fn add_path(&mut self, path: &str) -> Result<(), SourceError> {
        match find(Path::new(path)).map_err(|error| SourceError::io(path, error))? {
            Found::File => self.add_file(NamedFile { name: path.into(), path: PathBuf::from(path) }),
            Found::Directory => files_below(path)?.into_iter().try_for_each(|file| self.add_file(file)),
            Found::Lake => self.add_store(&SourceUrl::Lake(path.into())),
        }
    }

    fn add_store(&mut self, url: &SourceUrl) -> Result<(), SourceError> {
        let runtime = match &self.runtime {
            Some(runtime) => runtime.clone(),
            None => self.runtime.insert(Arc::new(BlockingRuntime::start()?)).clone(),
        };
        let (range, lookup) = (self.range, self.lookup);
        let (store, range) = runtime.block_on_retrying(|| async {
            let store = open_store(url, lookup).await?;
            let range = resolve_range(store.as_ref(), range).await?;
            Ok((store, range))
        })?;
        if let Some(network) = store.network_passphrase() {
            self.add_network(store.name(), network)?;
        }
        self.inputs.push_back(Input::Store { store, range, runtime });
        Ok(())
    }

    /// Ledgers of two networks never are one source.
    fn add_network(&mut self, input: &str, network: &str) -> Result<(), SourceError> {
        let first = self.network_passphrase.get_or_insert_with(|| network.to_owned());
        if first != network {
            let reason =
                format!("it holds `{network}` and an earlier input `{first}`; read one network at a time");
            return Err(SourceError::new(input, SourceErrorKind::BadConfig(reason)));
        }
        Ok(())
    }

    fn add_file(&mut self, file: NamedFile) -> Result<(), SourceError> {
        let metadata = fs::metadata(&file.path).map_err(|error| SourceError::io(file.name.clone(), error))?;
        let size = metadata.is_file().then_some(metadata.len());
        self.inputs.push_back(Input::File { file, size });
        Ok(())
    }

    fn into_source(self) -> Result<Inputs, SourceError> {
        let has_files = self.inputs.iter().any(|input| !input.is_counted_in_ledgers());
        let range = if has_files { self.range } else { LedgerRange::default() };
        let filter = LedgerFilter::new(range)
            .map_err(|reason| SourceError::new("--from, --to", SourceErrorKind::BadRange(reason)))?;
        let progress = Arc::new(progress_over(&self.inputs));
        let network_passphrase = self.network_passphrase;
        Ok(Inputs { waiting: self.inputs, current: None, chains: 0, filter, progress, network_passphrase })
    }
}

/// Files are measured in bytes, lakes and synthetic ledgers in ledgers; a mixture has no total.
fn progress_over(inputs: &VecDeque<Input>) -> Progress {
    let bytes = inputs.iter().map(|input| match input {
        Input::File { size, .. } => *size,
        Input::Stdin | Input::Store { .. } | Input::Synthetic { .. } => None,
    });
    let ledgers = inputs.iter().map(|input| match input {
        Input::Store { range, .. } | Input::Synthetic { range, .. } => {
            Some(u64::from(range.end().0 - range.start().0) + 1)
        }
        Input::File { .. } | Input::Stdin => None,
    });
    match inputs.iter().any(Input::is_counted_in_ledgers) {
        true => Progress::new(ProgressUnit::Ledgers, ledgers.sum()),
        false => Progress::new(ProgressUnit::InputBytes, bytes.sum()),
    }
}

impl Input {
    fn is_counted_in_ledgers(&self) -> bool {
        matches!(self, Self::Store { .. } | Self::Synthetic { .. })
    }
}

type Ledgers = Box<dyn Iterator<Item = Result<RawLedger, SourceError>> + Send>;

struct Inputs {
    waiting: VecDeque<Input>,
    current: Option<Ledgers>,
    /// Inputs opened so far: the number of the next chain.
    chains: u32,
    filter: LedgerFilter,
    progress: Arc<Progress>,
    network_passphrase: Option<String>,
}

impl Inputs {
    fn open(&mut self, input: Input) -> Result<Ledgers, SourceError> {
        let chain = self.chains;
        self.chains += 1;
        let (name, content): (Arc<str>, Box<dyn Read + Send>) = match input {
            Input::Stdin => ("stream:-".into(), Box::new(io::stdin())),
            Input::File { file, .. } => {
                let opened = File::open(&file.path);
                let opened = opened.map_err(|error| SourceError::io(file.name.clone(), error))?;
                (file.name, Box::new(opened))
            }
            Input::Store { store, range, runtime } => {
                return Ok(Box::new(StoreLedgers::new(store, range, chain, runtime)?));
            }
            Input::Synthetic { spec, range } => {
                return Ok(Box::new(GeneratedLedgers::new(&spec, chain, range)));
            }
        };
        let filter = self.filter;
        let progress =
            Some(self.progress.clone()).filter(|progress| progress.unit() == ProgressUnit::InputBytes);
        let reader = LedgerReader::new(name, chain, Counting { content, progress });
        Ok(Box::new(reader.filter(move |ledger| match ledger {
            Ok(ledger) => filter.contains(ledger.sequence),
            Err(_) => true,
        })))
    }
}

impl LedgerSource for Inputs {
    fn next_ledger(&mut self) -> Option<Result<RawLedger, SourceError>> {
        loop {
            if let Some(ledger) = self.current.as_mut().and_then(Iterator::next) {
                if self.progress.unit() == ProgressUnit::Ledgers {
                    self.progress.add(1);
                }
                return Some(ledger);
            }
            self.current = None;
            let input = self.waiting.pop_front()?;
            match self.open(input) {
                Ok(ledgers) => self.current = Some(ledgers),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn network_passphrase(&self) -> Option<&str> {
        self.network_passphrase.as_deref()
    }

    fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
}

/// Raises the progress, if it counts bytes, by what is read.
struct Counting {
    content: Box<dyn Read + Send>,
    progress: Option<Arc<Progress>>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if let Some(progress) = &self.progress {
            progress.add(count as u64);
        }
        Ok(count)
    }
}
