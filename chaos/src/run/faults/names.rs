//! N11: the name of a source cannot be looked up, leads elsewhere, or is answered late. The node's resolver asks a name server
//! of ours ([`NameStub`]): in a mount namespace of its own it finds another `/etc/resolv.conf`. Its connections are closed again
//! and again, or it would never ask.

use std::fs;
use std::time::Duration;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;
use crate::stubs::names::{NameCounts, NameFault, NameStub};
use crate::stubs::source::{MadeLedgers, SourceStub};

/// A name that nobody has: `test` is for tests.
const HOST: &str = "lake.orrery.test";

/// How late an answer is.
const LATE: Duration = Duration::from_secs(2);

/// Each way lasts until a look-up has met it, and a node that finds no source waits longer and longer between two.
const SHOWS_WITHIN: Duration = Duration::from_secs(90);

/// Between two ends of all connections.
const HANGS_UP_EVERY: Duration = Duration::from_millis(500);

/// The fault.
#[derive(Debug, Default)]
pub(in crate::run) struct Names {
    names: Option<NameStub>,
    lake: Option<SourceStub>,
    due: Duration,
}

impl Fault for Names {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let names = NameStub::start().map_err(|error| {
            ExperimentError::Skipped(format!("a name server at port 53: {error}; be root"))
        })?;
        let made = MadeLedgers::new(setup.seed, setup.ledgers)
            .map_err(|error| ExperimentError::Usage(error.to_string()))?;
        let lake = SourceStub::start(&setup.lake, made).map_err(ExperimentError::io("serve", &setup.lake))?;
        setup.sources = vec![lake.lake_url_of(HOST)];
        let resolver = setup.folder.join("resolv.conf");
        fs::write(&resolver, names.configuration()).map_err(ExperimentError::io("write", &resolver))?;
        let mounts = format!("mount --bind '{}' /etc/resolv.conf && exec \"$@\"", resolver.display());
        setup.wrapper = ["unshare", "--mount", "sh", "-c", &mounts, "sh"].map(Into::into).to_vec();
        setup.witness_within = SHOWS_WITHIN;
        (self.names, self.lake) = (Some(names), Some(lake));
        Ok(())
    }

    fn inject(&mut self, world: &mut World, random: &mut Random) -> Result<(), ExperimentError> {
        self.keep_on(world, random)
    }

    fn keep_on(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let now = world.now();
        if let Some(names) = &self.names {
            names.set(match names.counts() {
                NameCounts { failed: 0, .. } => NameFault::Fails,
                NameCounts { elsewhere: 0, .. } => NameFault::Elsewhere,
                _ => NameFault::Late(LATE),
            });
        }
        if now >= self.due {
            self.lake.iter().for_each(SourceStub::hang_up);
            self.due = now + HANGS_UP_EVERY;
        }
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let NameCounts { failed, elsewhere, late } = self.names.as_ref()?.counts();
        (failed > 0 && elsewhere > 0 && late > 0).then(|| {
            format!("look-ups: {failed} failed, {elsewhere} led elsewhere, {late} were answered late")
        })
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        self.names.iter().for_each(|names| names.set(NameFault::None));
        Ok(())
    }

    fn clean_up(&mut self) {
        (self.names, self.lake) = (None, None);
    }
}
