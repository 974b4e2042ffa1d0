//! Credits in bytes: who receives grants them, who sends spends them. Both ends keep count; who sends beyond the window is
//! found out by the other.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ExchangeError;

/// What may still be sent. The sending end's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SendWindow {
    max: usize,
    left: usize,
}

impl SendWindow {
    /// All of a window.
    pub(super) fn new(bytes: usize) -> Self {
        Self { max: bytes, left: bytes }
    }

    /// Takes a frame's bytes, if they are there.
    pub(super) fn try_spend(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Adds what came back.
    ///
    /// # Errors
    ///
    /// More came back than was sent.
    pub(super) fn grant(&mut self, bytes: usize) -> Result<(), ExchangeError> {
        let left = self.left.checked_add(bytes).filter(|left| *left <= self.max);
        self.left = left.ok_or(ExchangeError::Credit("more bytes were granted than the window has"))?;
        Ok(())
    }

    /// Sent and not come back.
    pub(super) fn spent(&self) -> usize {
        self.max - self.left
    }
}

/// What may still come. The receiving end's. A batch takes its permit with it, and what is dropped can be granted anew.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    bytes: usize,
    /// Handed on and not yet granted anew.
    free: Arc<Semaphore>,
    /// What the sender may send.
    granted: OwnedSemaphorePermit,
}

/// Part of a window that goes back at a time: more often would only be more frames.
const PARTS: usize = 8;

impl ReceiveWindow {
    /// A window that is all granted, as the opening of the stream says. `None` if there are more bytes than a semaphore counts.
    pub(super) fn new(bytes: usize) -> Option<Self> {
        let free = Arc::new(Semaphore::new(bytes));
        let granted = free.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Self { bytes, free, granted })
    }

    /// The permit of a frame that came.
    ///
    /// # Errors
    ///
    /// It was sent beyond the window.
    pub(super) fn take(&mut self, bytes: usize) -> Result<OwnedSemaphorePermit, ExchangeError> {
        let left = self.granted.num_permits();
        self.granted.split(bytes).ok_or(ExchangeError::Window { bytes, left })
    }

    /// Waits until enough was handed on to be granted anew, and says how much.
    pub(super) async fn returned(&mut self) -> usize {
        let part = self.bytes / PARTS;
        match self.free.clone().acquire_many_owned(part as u32).await {
            Ok(permit) => {
                self.granted.merge(permit);
                part
            }
            // Nobody closes it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Bytes of batches that came and are not handed on.
    pub(super) fn held(&self) -> usize {
        self.bytes - self.granted.num_permits() - self.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_more_is_sent_than_was_granted_and_no_more_granted_than_was_sent() {
        let mut window = SendWindow::new(10);
        assert!(window.try_spend(7) && !window.try_spend(4) && window.try_spend(3) && !window.try_spend(1));
        assert_eq!(window.spent(), 10);
        assert!(window.grant(10).is_ok() && window.grant(1).is_err());
        assert_eq!(window.spent(), 0);
    }

    #[test]
    fn a_frame_beyond_the_window_is_found_out() {
        let mut window = ReceiveWindow::new(16).unwrap();
        let first = window.take(10).unwrap();
        let error = window.take(7).unwrap_err().to_string();
        assert_eq!(error, "FLOW-2: a frame of 7 bytes came where 6 were left of the window");
        assert_eq!((window.held(), window.returned().now_or_never()), (10, None));
        drop(first);
        assert_eq!((window.held(), window.returned().now_or_never()), (0, Some(2)));
        assert!(window.take(8).is_ok());
    }

    proptest! {
        /// Whatever is sent and dropped in whatever order: both ends agree, nothing is lost, nothing is stuck.
        #[test]
        fn both_ends_agree_for_ever(steps in proptest::collection::vec((1_usize..=600, any::<usize>()), 1..200)) {
            const WINDOW: usize = 1000;
            let (mut sender, mut receiver) = (SendWindow::new(WINDOW), ReceiveWindow::new(WINDOW).unwrap());
            let (mut held, mut bytes_held) = (Vec::new(), 0);
            for (bytes, which) in steps {
                while !sender.try_spend(bytes) {
                    // What is at most five eighths of a window can be sent before all is handed on.
                    prop_assert!(!held.is_empty());
                    let (permit, bytes): (OwnedSemaphorePermit, usize) = held.swap_remove(which % held.len());
                    drop(permit);
                    bytes_held -= bytes;
                    while let Some(granted) = receiver.returned().now_or_never() {
                        sender.grant(granted).unwrap();
                    }
                }
                held.push((receiver.take(bytes).unwrap(), bytes));
                bytes_held += bytes;
                prop_assert_eq!(receiver.held(), bytes_held);
                prop_assert!(sender.spent() >= bytes_held && sender.spent() <= WINDOW);
            }
        }
    }
}
