//! A live view: looks again and again, draws what it saw, and obeys keys.
//!
//! `view.rs` decides what stands where, as a function of a snapshot and of what was chosen; here is what reads keys and
//! writes to the terminal.

mod choice;
mod view;

use std::time::Duration;

use futures::FutureExt;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::snapshot::Snapshot;
use super::target::Target;
use crate::exit::Failure;
use crate::wall_clock;
use choice::{Choice, Wish};
use view::{Shown, draw};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How soon a key is obeyed.
const KEYS_EVERY: Duration = Duration::from_millis(50);

/// The terminal, as it was when this is dropped; ratatui does the same when the process panics.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows it until q or Ctrl-C.
///
/// # Errors
///
/// There is no answer at the first look, or the terminal fails. Later looks that fail are shown.
pub(crate) async fn show(target: &Target) -> Result<(), Failure> {
    let terminal_failed = |error: std::io::Error| Failure::Unavailable(format!("the terminal: {error}"));
    let mut seen = target.look().await?.measured(None, wall_clock::milliseconds() / 1000);
    let mut screen = Screen(ratatui::try_init().map_err(terminal_failed)?);
    let (clock, mut choice, mut error) = (SystemClock::new(), Choice::default(), None);
    let mut looked = MonotonicTime::ORIGIN;
    loop {
        let mut look = look_after(target, looked, &clock).boxed();
        let looked_at = loop {
            let shown = Shown { snapshot: &seen, error: error.as_deref(), choice: &choice };
            screen.0.draw(|frame| draw(frame, &shown)).map_err(terminal_failed)?;
            tokio::select! {
                looked_at = &mut look => break looked_at,
                () = tokio::time::sleep(KEYS_EVERY) => {}
            }
            if obey(&mut choice, &seen).map_err(terminal_failed)? {
                return Ok(());
            }
        };
        looked = clock.now();
        match looked_at {
            Ok(now) => {
                seen = now.measured(Some(&seen), wall_clock::milliseconds() / 1000);
                error = None;
            }
            Err(failure) => error = Some(failure.to_string()),
        }
    }
}

async fn look_after(
    target: &Target,
    looked: MonotonicTime,
    clock: &SystemClock,
) -> Result<Snapshot, Failure> {
    tokio::time::sleep(LOOK_EVERY.saturating_sub(clock.now().since(looked))).await;
    target.look().await
}

/// Does what the keys say that were pressed; whether they say to end.
fn obey(choice: &mut Choice, snapshot: &Snapshot) -> std::io::Result<bool> {
    while event::poll(Duration::ZERO)? {
        let Event::Key(key) = event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match Wish::of(key.code, key.modifiers) {
            Some(Wish::End) => return Ok(true),
            Some(wish) => choice.obey(wish, view::tasks(snapshot, choice.order).len()),
            None => {}
        }
    }
    Ok(false)
}
