//! The bytes of one input, decompressed if they are zstd, with a bound on what decompression may cost.

use std::io::{self, BufReader, Cursor, Read};

use orrery_supervisor::seeded_bug;

use super::SourceErrorKind;
use super::{DECOMPRESSION_GRACE_BYTES, DECOMPRESSION_RATIO_MAX, ZSTD_WINDOW_LOG_MAX};

/// Smaller costs system calls, larger only memory; zstd asks for 128 KiB + 3 at a time.
const INPUT_BUFFER_BYTES: usize = 128 << 10;

type Input<R> = BufReader<Counted<io::Chain<Cursor<Vec<u8>>, R>>>;

/// Decompressed bytes of one input. Several concatenated zstd frames and skippable frames read as one content.
pub(super) enum Content<R: Read> {
    /// Not compressed.
    Plain(Input<R>),
    /// One or more zstd frames.
    Zstd {
        /// Holds the window: at most `1 << ZSTD_WINDOW_LOG_MAX` bytes.
        decoder: Box<zstd::Decoder<'static, Input<R>>>,
        /// Decompressed bytes so far.
        output: u64,
        /// Set when the ratio passed its bound; the reason of the error that `read` returned.
        ratio_exceeded: bool,
    },
}

impl<R: Read> Content<R> {
    /// Reads the first four bytes of `input` to learn whether it is compressed.
    pub(super) fn open(mut input: R) -> Result<Self, SourceErrorKind> {
        let mut magic = Vec::with_capacity(4);
        input.by_ref().take(4).read_to_end(&mut magic).map_err(SourceErrorKind::Io)?;
        let compressed = is_zstd(&magic);
        let counted = Counted { inner: Cursor::new(magic).chain(input), bytes: 0, failed: false };
        let input = BufReader::with_capacity(INPUT_BUFFER_BYTES, counted);
        if !compressed {
            return Ok(Self::Plain(input));
        }
        let mut decoder = zstd::Decoder::with_buffer(input).map_err(SourceErrorKind::Io)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(SourceErrorKind::Io)?;
        Ok(Self::Zstd { decoder: Box::new(decoder), output: 0, ratio_exceeded: false })
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Zstd { .. })
    }

    /// Gives an error of `read` its meaning.
    pub(super) fn explain(&self, error: io::Error) -> SourceErrorKind {
        let Self::Zstd { decoder, ratio_exceeded, .. } = self else {
            return SourceErrorKind::Io(error);
        };
        if *ratio_exceeded {
            return SourceErrorKind::RatioExceeded;
        }
        if decoder.get_ref().get_ref().failed {
            return SourceErrorKind::Io(error);
        }
        // The decoder gives its reasons as text only; the texts are libzstd's and a test holds them fixed.
        match error.to_string().as_str() {
            _ if error.kind() == io::ErrorKind::UnexpectedEof => {
                SourceErrorKind::Truncated("ends inside a zstd frame")
            }
            "Frame requires too much memory for decoding" => SourceErrorKind::WindowTooLarge,
            "Restored data doesn't match checksum" => SourceErrorKind::Checksum,
            reason => SourceErrorKind::Malformed(format!("zstd: {reason}")),
        }
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(buffer),
            Self::Zstd { decoder, output, ratio_exceeded } => {
                let count = seeded_bug!(B22, up_to_its_end(decoder.read(buffer)), decoder.read(buffer))?;
                *output += count as u64;
                let input = decoder.get_ref();
                // What waits in the buffer has been read but not yet decompressed.
                let consumed = input.get_ref().bytes - input.buffer().len() as u64;
                if *output > DECOMPRESSION_GRACE_BYTES && *output / consumed.max(1) > DECOMPRESSION_RATIO_MAX
                {
                    *ratio_exceeded = true;
                    return Err(io::Error::other("decompression ratio exceeded"));
                }
                Ok(count)
            }
        }
    }
}

#[cfg(feature = "seeded-bugs")]
fn up_to_its_end(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}

/// Zstd's frame magic, or that of a skippable frame (RFC 8878, 3.1).
pub(super) fn is_zstd(head: &[u8]) -> bool {
    matches!(head, [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..])
}

/// Counts compressed bytes and remembers whether it was the input that failed, not the decoder.
pub(super) struct Counted<R> {
    inner: R,
    bytes: u64,
    failed: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        match &read {
            Ok(count) => self.bytes += *count as u64,
            Err(error) => self.failed = error.kind() != io::ErrorKind::Interrupted,
        }
        read
    }
}
