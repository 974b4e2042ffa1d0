//! How much may be on its way between two nodes, and how long one waits for the other.

use std::time::Duration;

use orrery_supervisor::{ErrorClass, ExitError};

/// Most bytes of one frame's batch, not compressed. A ledger or the rows of one that have more cannot cross; larger would
/// let one frame take half a window.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Bytes up to which ledgers are put into one frame: large enough that a frame costs little, small enough that several are
/// on their way at a time.
pub const FRAME_BYTES_TARGET: usize = 4 << 20;

/// Bytes of events that are copied and looked at, where they are not compressed, before another thread would have begun.
pub(super) const QUICK_BYTES_MAX: usize = 2 << 20;

/// Most bytes of one message of HTTP/2, as both ends are told: a frame, its header and what protocol buffers add.
pub const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX + (64 << 10);

/// Least window: the largest frame can be sent while the last part of the window has not come back.
const WINDOW_BYTES_MIN: usize = FRAME_BYTES_MAX + FRAME_BYTES_MAX / 4;

/// Greatest window: a semaphore counts 32 bits of permits at a time.
const WINDOW_BYTES_MAX: usize = 1 << 30;

/// Frames that wait for the connection, besides the one that it sends.
pub(super) const OUTGOING_FRAMES: usize = 1;

/// Objects that a fetcher may send ahead to the end of the stream that splits them.
pub(super) const OBJECTS_AHEAD: u32 = 2;

/// How the buffers of a batch are compressed on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: between machines that are near each other.
    #[default]
    None,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Bounds of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeLimits {
    window_bytes: usize,
    /// How batches are compressed by this node.
    pub compression: Compression,
    /// After this long without a frame the other end is asked whether it is there.
    pub ask_after: Duration,
    /// After this long without a frame it is not.
    pub silent_max: Duration,
    /// Time for a connection, and for the first frame of a stream.
    pub open_within: Duration,
}

impl Default for ExchangeLimits {
    fn default() -> Self {
        Self {
            window_bytes: 32 << 20,
            compression: Compression::None,
            ask_after: Duration::from_secs(3),
            silent_max: Duration::from_secs(12),
            open_within: Duration::from_secs(5),
        }
    }
}

impl ExchangeLimits {
    /// With another window.
    ///
    /// # Errors
    ///
    /// The largest frame would not fit, or it is beyond all reason.
    pub fn with_window(self, window_bytes: usize) -> Result<Self, ExitError> {
        if !(WINDOW_BYTES_MIN..=WINDOW_BYTES_MAX).contains(&window_bytes) {
            let reason = format!(
                "a window of {window_bytes} bytes between nodes: give {WINDOW_BYTES_MIN} to {WINDOW_BYTES_MAX}"
            );
            return Err(ExitError::new(ErrorClass::Invalid, reason));
        }
        Ok(Self { window_bytes, ..self })
    }

    /// Bytes that may be sent and not yet handed on: the window of one stream.
    pub fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// Most bytes of batches that one stream holds in the node that receives them.
    pub const fn receiver_bytes_max(&self) -> usize {
        self.window_bytes // received, not yet handed on: each batch holds its part until its last byte is dropped
            + MESSAGE_BYTES_MAX // being received, which is measured when it is whole
            + FRAME_BYTES_MAX // being decoded: events are copied once, to where they lie even in memory
    }

    /// Most bytes of encoded batches that one stream holds in the node that sends them. The batches themselves are counted
    /// where they come from: objects by the fetcher's budget, events by the credits of the pipeline.
    pub const fn sender_bytes_max(&self) -> usize {
        FRAME_BYTES_MAX // encoded, waiting for the window
            + (OUTGOING_FRAMES + 1) * MESSAGE_BYTES_MAX // sent against it, waiting for the connection or copied to it
    }
}

/// Whether a window that the other end asks for is one.
pub(super) fn is_window(bytes: usize) -> bool {
    (WINDOW_BYTES_MIN..=WINDOW_BYTES_MAX).contains(&bytes)
}
