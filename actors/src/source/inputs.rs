//! Several inputs, one after the other, as one source.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Found, NamedFile, files_below, find, matches};
use super::range::LedgerFilter;
use super::{
    LedgerRange, LedgerReader, LedgerSource, Progress, ProgressUnit, RawLedger, SourceError, SourceErrorKind,
    SourceUrl,
};

/// Opens what `urls` name as one source, in their order. Fails early: what they name must exist.
///
/// `range` leaves out ledgers of files that lie outside of it.
pub fn open(urls: &[SourceUrl], range: LedgerRange) -> Result<Box<dyn LedgerSource>, SourceError> {
    let mut plan = Plan { range, inputs: VecDeque::new() };
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
}

struct Plan {
    range: LedgerRange,
    inputs: VecDeque<Input>,
}

impl Plan {
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
            SourceUrl::Lake(_) => Err(unsupported(url.to_string(), "file")),
            SourceUrl::Synthetic(_) => Err(unsupported(url.to_string(), "synthetic")),
        }
    }

    fn add_path(&mut self, path: &str) -> Result<(), SourceError> {
        match find(Path::new(path)).map_err(|error| SourceError::io(path, error))? {
            Found::File => self.add_file(NamedFile { name: path.into(), path: PathBuf::from(path) }),
            Found::Directory => files_below(path)?.into_iter().try_for_each(|file| self.add_file(file)),
            Found::Lake => Err(unsupported(path.to_owned(), "file")),
        }
    }

    fn add_file(&mut self, file: NamedFile) -> Result<(), SourceError> {
        let metadata = fs::metadata(&file.path).map_err(|error| SourceError::io(file.name.clone(), error))?;
        let size = metadata.is_file().then_some(metadata.len());
        self.inputs.push_back(Input::File { file, size });
        Ok(())
    }

    fn into_source(self) -> Result<Inputs, SourceError> {
        let filter = LedgerFilter::new(self.range)
            .map_err(|reason| SourceError::new("--from, --to", SourceErrorKind::BadRange(reason)))?;
        let total = self.inputs.iter().map(|input| match input {
            Input::File { size, .. } => *size,
            Input::Stdin => None,
        });
        let progress = Arc::new(Progress::new(ProgressUnit::InputBytes, total.sum()));
        Ok(Inputs { waiting: self.inputs, current: None, chains: 0, filter, progress })
    }
}

fn unsupported(url: String, scheme: &str) -> SourceError {
    SourceError::new(url, SourceErrorKind::UnsupportedScheme { scheme: scheme.to_owned() })
}

type Ledgers = Box<dyn Iterator<Item = Result<RawLedger, SourceError>> + Send>;

struct Inputs {
    waiting: VecDeque<Input>,
    current: Option<Ledgers>,
    /// Inputs opened so far: the number of the next chain.
    chains: u32,
    filter: LedgerFilter,
    progress: Arc<Progress>,
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
        };
        let filter = self.filter;
        let reader = LedgerReader::new(name, chain, Counting { content, progress: self.progress.clone() });
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

    fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
}

/// Raises the progress by what is read.
struct Counting {
    content: Box<dyn Read + Send>,
    progress: Arc<Progress>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}
