//! Ctrl-C and termination: a flag that long work looks at. A second signal ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::watch;

use crate::exit::Failure;

/// Ends at the first signal, for whoever waits instead of looking; every clone ends. Call it once.
pub(crate) fn wait() -> Result<Shared<BoxFuture<'static, ()>>, Failure> {
    let (on_signal, signal) = watch::channel(false);
    ctrlc::set_handler(move || {
        if on_signal.send_replace(true) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::Bug(format!("install the signal handler: {error}")))?;
    let wait = async move {
        let mut signal = signal;
        // The sender lives as long as the process.
        let _ = signal.wait_for(|&interrupted| interrupted).await;
    };
    Ok(wait.boxed().shared())
}

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
