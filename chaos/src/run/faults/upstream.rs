//! Faults of the source of ledgers: a server of our own ([`SourceStub`]) that serves the growing lake, as one or as a Stellar
//! RPC server, and misbehaves while the node works.
//!
//! What passes by itself the node waits out. At ledgers that are not right it parks, with the evidence, before anything of
//! them is committed; when the source is right again, `orrery resume` lets it go on. A second source that is right stands in.

use std::time::Duration;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::process::Running;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;
use crate::stubs::source::{MadeLedgers, SourceFault, SourceStub, Spoil};

/// What a node logs when it parks, and the metric that says so.
const PARKED: &str = "orrery_pipeline_parked";

/// Ledgers after the newest one where spoiled ones begin.
const AHEAD: u32 = 6;

/// How long a request is met with silence.
const SILENCE: Duration = Duration::from_secs(1);

/// By then a ledger that is there has been fetched and processed, and what the node notes of that is on its disk.
const PROCESSED_WITHIN: Duration = Duration::from_secs(2);

/// Time for `orrery resume`.
const RESUMES_WITHIN: Duration = Duration::from_secs(30);

/// How the source is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Lake,
    Rpc,
}

/// What the node has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Goes on when it has passed.
    Waits,
    /// Parks, and goes on when it is told to.
    Parks,
    /// Goes on meanwhile, with another source.
    TurnsElsewhere,
}

/// Which fault, given the newest ledger.
type Which = fn(u32) -> SourceFault;

/// U1 to U11.
#[derive(Debug)]
pub(in crate::run) struct Upstream {
    which: Which,
    served: Served,
    does: Does,
    /// What the node has to say, in the log.
    says: &'static [&'static str],
    stubs: Vec<SourceStub>,
    /// The newest ledger when it began.
    newest: u32,
    problems: Vec<String>,
    has_parked: bool,
}

impl Upstream {
    const fn new(which: Which, served: Served, does: Does, says: &'static [&'static str]) -> Self {
        Self {
            which,
            served,
            does,
            says,
            stubs: Vec::new(),
            newest: 0,
            problems: Vec::new(),
            has_parked: false,
        }
    }

    const fn waits(which: Which, served: Served, says: &'static [&'static str]) -> Self {
        Self::new(which, served, Does::Waits, says)
    }

    const fn parks(which: Which, says: &'static [&'static str]) -> Self {
        Self::new(which, Served::Lake, Does::Parks, says)
    }
}

/// The faults by their names.
impl Upstream {
    /// U1, of a lake.
    pub(in crate::run) const fn lake_is_busy() -> Self {
        Self::waits(|_| SourceFault::Busy(2), Served::Lake, &[])
    }

    /// U1, of an RPC server, all the time.
    pub(in crate::run) const fn rpc_is_busy() -> Self {
        Self::waits(|_| SourceFault::Busy(1), Served::Rpc, &[])
    }

    /// U1, by silence.
    pub(in crate::run) const fn is_silent() -> Self {
        Self::waits(|_| SourceFault::Silent(2, SILENCE), Served::Lake, &[])
    }

    /// U2.
    pub(in crate::run) const fn sends_garbage() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Garbage, newest + AHEAD), &[])
    }

    /// U2.
    pub(in crate::run) const fn sends_an_endless_list() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::EndlessList, newest + AHEAD), &[])
    }

    /// U2.
    pub(in crate::run) const fn nests_deep() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Deep, newest + AHEAD), &[])
    }

    /// U2.
    pub(in crate::run) const fn announces_too_much() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Oversized, newest + AHEAD), &[])
    }

    /// U2, of an RPC server.
    pub(in crate::run) const fn sends_no_base64() -> Self {
        Self::waits(|newest| SourceFault::Ledgers(Spoil::NoBase64, newest + AHEAD), Served::Rpc, &[])
    }

    /// U2, of an RPC server.
    pub(in crate::run) const fn sends_no_json() -> Self {
        Self::waits(|newest| SourceFault::Ledgers(Spoil::NoJson, newest + AHEAD), Served::Rpc, &[])
    }

    /// U3.
    pub(in crate::run) const fn cuts_short() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::CutShort, newest + AHEAD), &["truncated"])
    }

    /// U3.
    pub(in crate::run) const fn damages_frames() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Damaged, newest + AHEAD), &[])
    }

    /// U3.
    pub(in crate::run) const fn sends_a_bomb() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Bomb, newest + AHEAD), &["times its size"])
    }

    /// U3.
    pub(in crate::run) const fn wants_a_huge_window() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::HugeWindow, newest + AHEAD), &["window"])
    }

    /// U4.
    pub(in crate::run) const fn has_a_gap() -> Self {
        Self::waits(|newest| SourceFault::Ledgers(Spoil::Missing, newest + AHEAD), Served::Lake, &[])
    }

    /// U4, of an RPC server.
    pub(in crate::run) const fn skips_ledgers() -> Self {
        Self::waits(|newest| SourceFault::Ledgers(Spoil::Missing, newest + AHEAD), Served::Rpc, &[])
    }

    /// U4.
    pub(in crate::run) const fn runs_ahead() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Next, newest + AHEAD), &["is due"])
    }

    /// U4.
    pub(in crate::run) const fn repeats_ledgers() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Previous, newest + AHEAD), &["is due"])
    }

    /// U5.
    pub(in crate::run) const fn forks() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Forked, newest + AHEAD), &["SRC-2"])
    }

    /// U6.
    pub(in crate::run) const fn is_tampered_with() -> Self {
        Self::parks(|newest| SourceFault::Ledgers(Spoil::Tampered, newest + AHEAD), &[])
    }

    /// U7: the network begins anew, below where the node is.
    pub(in crate::run) const fn begins_anew() -> Self {
        Self::waits(|newest| SourceFault::BeginsAnew(newest / 2), Served::Rpc, &[])
    }

    /// U8: what was processed and is not committed yet is fetched again by a node that was killed, and has been replaced by then.
    pub(in crate::run) const fn is_replaced() -> Self {
        Self::parks(SourceFault::Replaced, &["an object changed after it was processed"])
    }

    /// U9.
    pub(in crate::run) const fn stalls() -> Self {
        Self::waits(SourceFault::Stalls, Served::Lake, &[])
    }

    /// U10: two of three are a fork, and come first.
    pub(in crate::run) const fn disagrees() -> Self {
        let which = |newest| SourceFault::Ledgers(Spoil::Forked, newest + AHEAD);
        Self::new(which, Served::Lake, Does::TurnsElsewhere, &[])
    }

    /// U11: the first source has dropped all that the node still wants; a lake has it.
    pub(in crate::run) const fn forgets() -> Self {
        let which = |newest| SourceFault::Forgets(newest + 1000);
        Self::new(which, Served::Rpc, Does::TurnsElsewhere, &[])
    }

    fn befallen(&self) -> u64 {
        self.stubs.iter().map(|stub| stub.counts().befallen).sum()
    }
}

impl Fault for Upstream {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let made = MadeLedgers::new(setup.seed, setup.ledgers)
            .map_err(|error| ExperimentError::Usage(error.to_string()))?;
        let others = match self.which {
            _ if self.does != Does::TurnsElsewhere => 1,
            _ if self.served == Served::Rpc => 1,
            _ => 2,
        };
        for _ in 0..others {
            let stub = SourceStub::start(&setup.lake, made.clone());
            self.stubs.push(stub.map_err(ExperimentError::io("serve", &setup.lake))?);
        }
        let url = |stub: &SourceStub| match self.served {
            Served::Lake => stub.lake_url(),
            Served::Rpc => stub.rpc_url(),
        };
        setup.sources = self.stubs.iter().map(url).collect();
        if self.does == Does::TurnsElsewhere {
            setup.sources.push(crate::workload::url(&setup.lake));
        }
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.newest = world.newest();
        let fault = (self.which)(self.newest);
        if !matches!(fault, SourceFault::Replaced(_)) {
            self.stubs.iter().for_each(|stub| stub.set(fault));
            return Ok(());
        }
        // In the middle of a slot, of which the first ledgers have been processed.
        let is_inside = |world: &mut World| (world.newest() >= world.committed() + 3).then_some(());
        world.until(SILENCE, is_inside)?;
        world.grow(false);
        world.pass(PROCESSED_WITHIN)?;
        world.kill()?;
        self.newest = world.newest();
        self.stubs.iter().for_each(|stub| stub.set((self.which)(self.newest)));
        world.grow(true);
        world.start()
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let befallen = self.befallen();
        if self.does == Does::Parks {
            self.has_parked |= world.metric(PARKED).is_some_and(|parked| parked > 0.0);
            if !self.has_parked {
                return None;
            }
        }
        (befallen > 0).then(|| format!("{befallen} answers were other than they should be"))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        if let SourceFault::Ledgers(_, from) = (self.which)(self.newest)
            && self.does != Does::TurnsElsewhere
            && world.committed() >= from
        {
            self.problems.push(format!("ledger {from}, which is not right, was committed"));
        }
        for said in self.says {
            if world.said(&[said]).is_none() {
                self.problems.push(format!("the node does not say `{said}`"));
            }
        }
        self.stubs.iter().for_each(|stub| stub.set(SourceFault::None));
        if self.does == Does::Parks {
            let state = world.setup.state.display().to_string();
            let command = world.setup.orrery.command(["resume", "--data-dir", &state]);
            let ended = Running::start(command)?.finish(RESUMES_WITHIN)?;
            if !ended.status.success() {
                self.problems.push(format!("orrery resume: {}: {}", ended.status, ended.output));
            }
        }
        Ok(())
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    fn clean_up(&mut self) {
        self.stubs.clear();
    }
}
