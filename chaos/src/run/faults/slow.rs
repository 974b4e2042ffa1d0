//! M3: sinks are slow, and all ledgers that there are come at once. What is in memory must stay within credits.

use std::time::Duration;

use super::shim::{Failing, Shim};
use crate::Random;
use crate::experiment::ExperimentError;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;

/// Threads that the node may work with, which its limits are multiples of.
const WORKERS: u32 = 2;

/// Batches that the fetcher may have sent and that were not handed on: credits, and one in work by each thread.
const IN_FLIGHT_MAX: f64 = (WORKERS * 3 + WORKERS) as f64;

/// Messages that may wait at all actors together: batches at the processor and at two sinks, and a credit or an order for each.
const MAILBOXES_MAX: f64 = ((WORKERS * 3 + WORKERS * 4 * 2) * 2) as f64;

const IN_FLIGHT: &str = "orrery_processor_in_flight_batches";
const MAILBOXES: &str = "orrery_supervisor_mailbox_messages";
const WAITS: &str = "orrery_processor_waits_for_credits";

/// The fault.
#[derive(Debug, Default)]
pub(in crate::run) struct Flooded {
    shim: Option<Shim>,
    /// Ledgers that were there and not committed when it began.
    behind: u32,
    /// Most that was seen of either.
    in_flight: f64,
    mailboxes: f64,
    has_waited: bool,
}

impl Fault for Flooded {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        setup.configuration.push_str(&format!("[pipeline]\nworkers = {WORKERS}\n"));
        let below = setup.dataset.clone();
        self.shim = Some(Shim::of_files(setup, &below)?);
        setup.holds = Duration::from_secs(6);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.shim.iter().try_for_each(|shim| shim.fail(Failing::FlushesSlow, None))?;
        world.complete_lake()?;
        self.behind = world.newest().saturating_sub(world.committed());
        Ok(())
    }

    fn keep_on(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.in_flight = self.in_flight.max(world.metric(IN_FLIGHT).unwrap_or(0.0));
        self.mailboxes = self.mailboxes.max(world.metric(MAILBOXES).unwrap_or(0.0));
        self.has_waited |= world.metric(WAITS).is_some_and(|waits| waits > 0.0);
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let slow = self.shim.as_ref()?.done();
        let Self { behind, in_flight, .. } = self;
        (self.has_waited && slow > 0 && *in_flight > 0.0).then(|| {
            format!("{behind} ledgers at once, {slow} flushes of 2 s: the processor waited for credits with {in_flight} batches")
        })
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        self.shim.iter().try_for_each(Shim::heal)
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        let seen = [
            ("batches in flight", self.in_flight, IN_FLIGHT_MAX),
            ("messages in mailboxes", self.mailboxes, MAILBOXES_MAX),
        ];
        let over = seen.into_iter().filter(|(_, most, max)| most > max);
        over.map(|(what, most, max)| format!("{most} {what}, at most {max} may be")).collect()
    }
}
