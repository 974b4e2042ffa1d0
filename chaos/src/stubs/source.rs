//! A source of ledgers as a server: one lake, which may grow, served as objects over HTTP and as a Stellar RPC server, and
//! every way in which a source may fail ([`SourceFault`]). It can be told to misbehave, and to stop, while it runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use super::made::MadeLedgers;
pub use super::spoil::{SourceFault, Spoil};

use super::http::{Outcome, Reply, Request, Server, Stop, locked};
use super::lake::ledger_of;
use super::{lake, rpc};

/// Below which paths the two are.
const LAKE: &str = "/lake/";
const RPC: &str = "/rpc";

/// What the server has done since it started; `befallen` since its fault was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Requests.
    pub requests: u64,
    /// Of these, that the present fault befell: the witness.
    pub befallen: u64,
}

#[derive(Debug, Default)]
struct State {
    fault: SourceFault,
    counts: SourceCounts,
    could_befall: u64,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    made: MadeLedgers,
    state: Mutex<State>,
}

/// The server. Dropped, it ends.
#[derive(Debug)]
pub struct SourceStub {
    server: Server,
    shared: Arc<Shared>,
}

impl SourceStub {
    /// One of the lake in `folder`, which has one ledger in an object, made of the same arguments as `made`.
    ///
    /// # Errors
    ///
    /// The system gives no port or thread.
    pub fn start(folder: &Path, made: MadeLedgers) -> io::Result<Self> {
        let shared = Arc::new(Shared { folder: folder.to_owned(), made, state: Mutex::default() });
        let serves = shared.clone();
        let server = Server::start(move |request| serves.answer(request), Arc::<Stop>::default())?;
        Ok(Self { server, shared })
    }

    /// URL of the lake.
    pub fn lake_url(&self) -> String {
        format!("http://{}{}", self.server.address(), LAKE.trim_end_matches('/'))
    }

    /// The same by another name of this machine.
    pub fn lake_url_of(&self, host: &str) -> String {
        format!("http://{host}:{}{}", self.server.address().port(), LAKE.trim_end_matches('/'))
    }

    /// Ends all connections to it; further ones are accepted.
    pub fn hang_up(&self) {
        self.server.hang_up();
    }

    /// URL of the RPC server.
    pub fn rpc_url(&self) -> String {
        format!("rpc+http://{}{RPC}", self.server.address())
    }

    /// From now on it misbehaves so; [`SourceFault::None`] ends it, and keeps the count.
    pub fn set(&self, fault: SourceFault) {
        let mut state = locked(&self.shared.state);
        state.fault = fault;
        if fault != SourceFault::None {
            state.counts.befallen = 0;
            state.could_befall = 0;
        }
    }

    /// What it has done.
    pub fn counts(&self) -> SourceCounts {
        locked(&self.shared.state).counts
    }

    /// The newest ledger of the lake.
    pub fn newest(&self) -> u32 {
        newest(&self.shared.folder)
    }
}

impl Shared {
    fn answer(&self, request: &Request) -> Outcome {
        let fault = {
            let mut state = locked(&self.state);
            state.counts.requests += 1;
            if let Some(outcome) = state.refusal() {
                return outcome;
            }
            state.fault
        };
        let (reply, is_wrong) = match request.path.strip_prefix(LAKE) {
            Some(path) => lake::answer(request, path, &self.folder, &self.made, fault),
            None if request.path == RPC => {
                rpc::answer(&request.body, newest(&self.folder), &self.made, fault)
            }
            None => (Reply::new(404, ""), false),
        };
        locked(&self.state).counts.befallen += u64::from(is_wrong);
        reply.into()
    }
}

impl State {
    /// What befalls any request.
    fn refusal(&mut self) -> Option<Outcome> {
        let (every, silence) = match self.fault {
            SourceFault::Busy(every) => (every, None),
            SourceFault::Silent(every, time) => (every, Some(time)),
            _ => return None,
        };
        self.could_befall += 1;
        if !self.could_befall.is_multiple_of(every.max(1)) {
            return None;
        }
        let turn = self.counts.befallen;
        self.counts.befallen += 1;
        Some(match (silence, turn % 3) {
            (Some(time), _) => Outcome::SilenceThenReset(time),
            (None, 0) => Reply::new(429, "").with("Retry-After", "1").into(),
            (None, 1) => Reply::new(503, "").into(),
            (None, _) => Reply::new(500, "").into(),
        })
    }
}

/// The newest ledger of a lake with one ledger in an object.
fn newest(folder: &Path) -> u32 {
    let below = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let objects = below(folder).flat_map(|partition| below(&partition.path()).collect::<Vec<_>>());
    objects.filter_map(|object| ledger_of(&object.file_name().to_string_lossy())).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
