//! Where the process spends its time: stacks that are looked at so many times a second, while somebody asks for it.
//!
//! In: for how long. Out: the stacks, as a flame graph that a browser opens ([`flame`]) or in pprof's own form ([`pprof_form`]), which
//! `go tool pprof`, Pyroscope and Grafana read. One profile at a time: a signal interrupts every thread while one is taken. And who
//! holds its memory ([`mod@heap`]), where the program was built for that.

mod flame;
mod heap;
mod pprof_form;
mod push;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pprof::ProfilerGuardBuilder;

pub(crate) use heap::{NoHeap, heap};
pub(crate) use push::{Pushed, push};

/// Looks a second. Not a round number: what happens every ten milliseconds would be seen always, or never.
pub(crate) const HERTZ: i32 = 99;

/// Longest profile. Longer ones say nothing more.
pub(crate) const SECONDS_MAX: u64 = 60;

/// Whether one is being taken.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Stacks from the outermost frame in, the thread's name first, and how often each was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    stacks: BTreeMap<Vec<String>, u64>,
    seconds: u64,
}

/// In what form it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An SVG.
    Flame,
    /// A protobuf message.
    Pprof,
}

impl Form {
    /// Its media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Flame => "image/svg+xml",
            Self::Pprof => "application/octet-stream",
        }
    }
}

/// Ends what [`BUSY`] says when it is dropped, also if nobody waits for the profile any more.
struct Turn;

impl Turn {
    fn take() -> Result<Self, String> {
        match BUSY.swap(true, Ordering::AcqRel) {
            true => Err("a profile of this node is being taken: try again when it is done".to_owned()),
            false => Ok(Self),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

impl Profile {
    /// Looks at the process for so many seconds.
    ///
    /// # Errors
    ///
    /// Why there is none, for whoever asked.
    pub(crate) async fn take(seconds: u64) -> Result<Self, String> {
        if !(1..=SECONDS_MAX).contains(&seconds) {
            return Err(format!("seconds: {seconds}: give 1 to {SECONDS_MAX}"));
        }
        let turn = Turn::take()?;
        let failed = |error: pprof::Error| format!("the profile cannot be taken: {error}");
        // Frames of these cannot be walked from within a signal without the risk of a deadlock.
        let blocked = ["libc", "libgcc", "pthread", "vdso"];
        let guard =
            ProfilerGuardBuilder::default().frequency(HERTZ).blocklist(&blocked).build().map_err(failed)?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let report = tokio::task::spawn_blocking(move || {
            let report = guard.report().build();
            drop((guard, turn));
            report
        });
        let report = report.await.map_err(|error| error.to_string())?.map_err(failed)?;
        let mut stacks = BTreeMap::new();
        for (frames, count) in report.data {
            let inwards = frames.frames.iter().rev().flat_map(|inlined| inlined.iter().rev());
            let stack = [frames.thread_name_or_id()].into_iter().chain(inwards.map(|symbol| symbol.name()));
            *stacks.entry(stack.collect()).or_default() += u64::try_from(count).unwrap_or(0);
        }
        Ok(Self { stacks, seconds })
    }

    /// In the form that is wanted.
    pub(crate) fn written(&self, form: Form) -> Vec<u8> {
        match form {
            Form::Flame => flame::svg(self).into_bytes(),
            Form::Pprof => pprof_form::bytes(self),
        }
    }

    /// Times that any stack was seen.
    pub(crate) fn samples(&self) -> u64 {
        self.stacks.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_profile_is_taken_at_a_time_and_not_for_ever() {
        assert!(Profile::take(0).await.unwrap_err().contains("give 1 to 60"));
        assert!(Profile::take(61).await.unwrap_err().contains("give 1 to 60"));
        let turn = Turn::take().unwrap();
        assert!(Profile::take(1).await.unwrap_err().contains("try again"));
        drop(turn);
        drop(Turn::take().unwrap());
    }
}
