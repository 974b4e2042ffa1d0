//! Which code holds the memory: allocations that are sampled where they are made, for as long as they are held. Only in a program that
//! was built with the feature `heap-profile`, whose allocator is jemalloc, and was started with its profiler on.

/// Why there is no heap profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoHeap {
    /// The program, or this start of it, cannot take one: what to do instead.
    Absent(&'static str),
    /// It can, and it failed.
    #[cfg_attr(not(feature = "heap-profile"), allow(dead_code, reason = "nothing is tried"))]
    Failed(String),
}

impl std::fmt::Display for NoHeap {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent(reason) => to.write_str(reason),
            Self::Failed(reason) => write!(to, "the heap profile cannot be taken: {reason}"),
        }
    }
}

/// In pprof's form, gzipped, with the names of functions.
///
/// # Errors
///
/// Why there is none.
#[cfg(not(feature = "heap-profile"))]
pub(crate) async fn heap() -> Result<Vec<u8>, NoHeap> {
    Err(NoHeap::Absent(
        "this program has no heap profiler: build it with `cargo build --release -p orrery-node --features heap-profile` \
         and start it with _RJEM_MALLOC_CONF=prof:true",
    ))
}

#[cfg(feature = "heap-profile")]
pub(crate) use sampled::heap;

#[cfg(feature = "heap-profile")]
mod sampled {
    use super::NoHeap;

    #[global_allocator]
    static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

    /// As above.
    pub(crate) async fn heap() -> Result<Vec<u8>, NoHeap> {
        let off = "the heap profiler is off: start the program with _RJEM_MALLOC_CONF=prof:true";
        let profiler = jemalloc_pprof::PROF_CTL.as_ref().ok_or(NoHeap::Absent(off))?;
        let mut profiler = profiler.clone().lock_owned().await;
        // Names are looked up, which takes seconds the first time.
        let taken = tokio::task::spawn_blocking(move || profiler.dump_pprof());
        let failed = |error: &dyn std::fmt::Display| NoHeap::Failed(format!("{error}"));
        taken.await.map_err(|error| failed(&error))?.map_err(|error| failed(&format_args!("{error:#}")))
    }
}

#[cfg(all(test, not(feature = "heap-profile")))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_no_profiler_says_how_to_have_one() {
        let refused = heap().await.unwrap_err().to_string();
        assert!(refused.contains("--features heap-profile") && refused.contains("prof:true"), "{refused}");
    }
}
