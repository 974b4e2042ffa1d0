//! How many files a process may have open: every connection is one.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::experiment::ExperimentError;

/// Files beside connections: of the program, its dataset, its own state.
const OTHERS: usize = 256;

/// Raises what may be raised, and tells how many files this process may have open, and those that it starts.
fn raised() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum && limit.maximum.is_some() {
        limit.current = limit.maximum;
        // What is then allowed is read again.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// Whether `who` may hold so many connections.
///
/// # Errors
///
/// It may not; says what to do.
pub(super) fn check(who: &str, connections: usize) -> Result<(), ExperimentError> {
    let most = raised();
    if connections.saturating_add(OTHERS) <= most {
        return Ok(());
    }
    Err(ExperimentError::Usage(format!(
        "{who} may have {most} files open, too few for {connections} connections: give --processes, or raise the \
         limit: `ulimit -Hn 100000 && ulimit -n 100000` as root, LimitNOFILE= for a service"
    )))
}
