//! Ctrl-C and termination: a flag that long work looks at. A second signal ends the process at once. To a node that runs for
//! ever, a hang-up says that files have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use std::thread::{Builder, JoinHandle};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
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

/// Stack of the thread that waits for signals.
const STACK_BYTES: usize = 256 << 10;

/// Signals to a node that runs for ever; they are heard until this is dropped.
pub(crate) struct Heard {
    interrupted: watch::Receiver<bool>,
    /// Counts hang-ups.
    pub(crate) hangups: watch::Receiver<u64>,
    signals: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Hears Ctrl-C, termination and hang-ups. Call it once, instead of the others.
pub(crate) fn hear() -> Result<Heard, Failure> {
    let failed = |error: std::io::Error| Failure::Bug(format!("install the signal handlers: {error}"));
    let (on_interrupt, interrupted) = watch::channel(false);
    let (on_hangup, hangups) = watch::channel(0);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let handle = signals.handle();
    let wait = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                on_hangup.send_modify(|count| *count += 1);
            } else if on_interrupt.send_replace(true) {
                std::process::exit(130);
            }
        }
    };
    let thread = Builder::new().name("signals".to_owned()).stack_size(STACK_BYTES).spawn(wait);
    Ok(Heard { interrupted, hangups, signals: handle, thread: Some(thread.map_err(failed)?) })
}

impl Heard {
    /// Ends at the first Ctrl-C or termination; every clone ends.
    pub(crate) fn interrupted(&self) -> Shared<BoxFuture<'static, ()>> {
        let mut interrupted = self.interrupted.clone();
        let wait = async move {
            // The sender lives as long as the thread.
            if interrupted.wait_for(|&interrupted| interrupted).await.is_err() {
                std::future::pending().await
            }
        };
        wait.boxed().shared()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that waits for signals has panicked");
        }
    }
}
