//! What a person sees while a run goes on: a line that moves on a terminal, or a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines where nothing can move.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a run is.
pub struct Progress {
    bar: Option<ProgressBar>,
    next_line: Duration,
}

impl Progress {
    /// On standard error, whatever that is.
    pub fn new() -> Self {
        Self { bar: io::stderr().is_terminal().then(ProgressBar::no_length), next_line: Duration::ZERO }
    }

    /// Something begins that takes a while.
    pub(super) fn begins(&mut self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(what),
            None => drop(writeln!(io::stderr(), "{what}")),
        }
    }

    /// So much of the time of users is over.
    pub(super) fn passed(&mut self, passed: Duration, of: Duration, said: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            if bar.length().is_none() {
                bar.set_length(of.as_secs());
                let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} s\n{msg}");
                style.into_iter().for_each(|style| bar.set_style(style));
            }
            bar.set_position(passed.as_secs());
            bar.set_message(said());
        } else if passed >= self.next_line {
            self.next_line = passed.saturating_add(LINE_EVERY);
            drop(writeln!(io::stderr(), "{:>4}/{} s  {}", passed.as_secs(), of.as_secs(), said()));
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn ends(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
