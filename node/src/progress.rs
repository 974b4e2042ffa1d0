//! A progress bar on standard error, only where a person watches.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orrery_actors::source::{Progress, ProgressUnit};

/// How often it is drawn.
const TICK: Duration = Duration::from_millis(100);

/// The bar of one command.
pub(crate) struct Bar {
    bar: ProgressBar,
    progress: Arc<Progress>,
    ledgers: u64,
    events: u64,
}

impl Bar {
    /// Hidden unless standard error is a terminal.
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        let bar = match progress.total() {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let template = match (progress.unit(), progress.total()) {
            (ProgressUnit::Ledgers, _) => "{wide_bar} {pos}/{len} ledgers  {msg}  {per_sec}  eta {eta}",
            (ProgressUnit::InputBytes, Some(_)) => "{wide_bar} {bytes}/{total_bytes}  {msg}  eta {eta}",
            (ProgressUnit::InputBytes, None) => "{spinner} {bytes}  {msg}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self { bar, progress, ledgers: 0, events: 0 }
    }

    /// Counts a ledger and its events.
    pub(crate) fn ledger(&mut self, events: usize) {
        self.ledgers += 1;
        self.events += events as u64;
        self.bar.set_position(self.progress.done());
        self.bar.set_message(format!("{} ledgers, {} events", self.ledgers, self.events));
    }

    /// Takes the bar off the screen while `write` writes to it.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
