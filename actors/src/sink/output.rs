//! Where the bytes go: a file that appears whole or not at all, or a stream.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::sink::SinkError;

/// Bytes gathered before the operating system is asked to write: encoders write in small pieces.
const BUFFER_BYTES: usize = 128 * 1024;

/// Where a sink's output goes.
pub enum Target {
    /// A stream, such as standard output.
    Stream {
        /// The stream. Needs no buffer of its own.
        writer: Box<dyn Write + Send>,
        /// What errors call it.
        name: String,
    },
    /// A file, replaced if it exists. What exists and is no regular file (a device, a named pipe) is written as a stream.
    File(PathBuf),
}

/// An open output.
pub(super) struct Output {
    sink: Sink,
    name: String,
    bytes: u64,
}

enum Sink {
    Stream(BufWriter<Box<dyn Write + Send>>),
    File { temporary: BufWriter<NamedTempFile>, path: PathBuf },
}

/// Whether bytes can be read back before the end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Whoever reads sees bytes as they come.
    Stream,
    /// Nobody sees bytes before the end.
    File,
}

/// What an output holds at its end.
pub(super) struct Committed {
    pub(super) bytes: u64,
    pub(super) path: Option<PathBuf>,
}

impl Output {
    pub(super) fn open(target: Target) -> Result<Self, SinkError> {
        match target {
            Target::Stream { writer, name } => Ok(Self {
                sink: Sink::Stream(BufWriter::with_capacity(BUFFER_BYTES, writer)),
                name,
                bytes: 0,
            }),
            Target::File(path) => Self::open_path(&path),
        }
    }

    fn open_path(path: &Path) -> Result<Self, SinkError> {
        let name = path.display().to_string();
        let failure = |action, source| SinkError::io(action, &name, source);
        let existing = match fs::metadata(path) {
            Ok(existing) => Some(existing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failure("open", error)),
        };
        let sink = match existing {
            Some(existing) if existing.is_dir() => {
                return Err(failure("open", io::Error::from(io::ErrorKind::IsADirectory)));
            }
            Some(existing) if !existing.is_file() => {
                let device =
                    OpenOptions::new().write(true).open(path).map_err(|error| failure("open", error))?;
                Sink::Stream(BufWriter::with_capacity(BUFFER_BYTES, Box::new(device)))
            }
            Some(existing) => {
                // A rename would replace a symbolic link by the file; what it points to is meant.
                let path = fs::canonicalize(path).map_err(|error| failure("open", error))?;
                temporary(path, existing.permissions()).map_err(|error| failure("create", error))?
            }
            None => temporary(path.to_owned(), new_file()).map_err(|error| failure("create", error))?,
        };
        Ok(Self { sink, name, bytes: 0 })
    }

    /// What errors call the output.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn nature(&self) -> Nature {
        match self.sink {
            Sink::Stream(_) => Nature::Stream,
            Sink::File { .. } => Nature::File,
        }
    }

    /// Lets whoever reads a stream see what was written; a file waits for its end.
    pub(super) fn deliver(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stream(stream) => stream.flush(),
            Sink::File { .. } => Ok(()),
        }
    }

    /// Ends the output. A file is written through to the disk, then named, then its folder is written through.
    pub(super) fn commit(self) -> Result<Committed, SinkError> {
        let Self { sink, name, bytes } = self;
        let failure = |action| {
            let name = name.clone();
            move |error| SinkError::io(action, &name, error)
        };
        match sink {
            Sink::Stream(mut stream) => {
                stream.flush().map_err(failure("write"))?;
                Ok(Committed { bytes, path: None })
            }
            Sink::File { temporary, path } => {
                let temporary = temporary.into_inner().map_err(io::IntoInnerError::into_error);
                let temporary = temporary.map_err(failure("write"))?;
                temporary.as_file().sync_all().map_err(failure("write"))?;
                temporary.persist(&path).map_err(|error| failure("rename to")(error.error))?;
                File::open(folder(&path))
                    .and_then(|folder| folder.sync_all())
                    .map_err(failure("write folder of"))?;
                Ok(Committed { bytes, path: Some(path) })
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = match &mut self.sink {
            Sink::Stream(stream) => stream.write(buffer),
            Sink::File { temporary, .. } => temporary.write(buffer),
        }?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Stream(stream) => stream.flush(),
            Sink::File { temporary, .. } => temporary.flush(),
        }
    }
}

/// A file beside `path` that is removed unless it is renamed.
fn temporary(path: PathBuf, permissions: Permissions) -> io::Result<Sink> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".orrery-").suffix(".part").permissions(permissions);
    let temporary = BufWriter::with_capacity(BUFFER_BYTES, builder.tempfile_in(folder(&path))?);
    Ok(Sink::File { temporary, path })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// As any program creates a file: the user's mask decides who may read it. Temporary files are private otherwise.
fn new_file() -> Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
