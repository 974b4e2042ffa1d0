//! Ctrl-C and termination: a flag that long work looks at. A second signal ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Failure;

/// Sets the flag on the first signal. Call it once, before long work starts.
pub(crate) fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let on_signal = interrupted.clone();
    ctrlc::set_handler(move || {
        if on_signal.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::Bug(format!("install the signal handler: {error}")))?;
    Ok(interrupted)
}
