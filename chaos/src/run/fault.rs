//! What a fault is: it changes how the world is started, is done to it, shows that it happened, and ends.

use super::setup::Setup;
use super::world::World;
use crate::Random;
use crate::experiment::ExperimentError;

/// One fault to one node. Every choice comes from the `Random` that it is given.
pub trait Fault {
    /// Changes how the world is started: what stands between source or store and node, environment, a command around the
    /// node's, how long all of it lasts. Servers that it starts it keeps until [`Self::clean_up`].
    ///
    /// # Errors
    ///
    /// The machine refuses; [`ExperimentError::Skipped`] if it does not allow the fault at all.
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let _ = setup;
        Ok(())
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// The machine refuses.
    fn inject(&mut self, world: &mut World, random: &mut Random) -> Result<(), ExperimentError>;

    /// While it lasts: is called some times a second, for faults that come and go.
    ///
    /// # Errors
    ///
    /// The machine refuses.
    fn keep_on(&mut self, world: &mut World, random: &mut Random) -> Result<(), ExperimentError> {
        let _ = (world, random);
        Ok(())
    }

    /// What shows that it happened: a status, a count, a line of a log. Asked again and again from [`Self::inject`] on, until
    /// there is something; a fault that never shows itself makes the run invalid.
    fn witness(&mut self, world: &mut World) -> Option<String>;

    /// Ends it. The node has to go on by itself from here.
    ///
    /// # Errors
    ///
    /// The machine refuses.
    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError>;

    /// What should be otherwise, beside what is always looked at: asked once, at the very end, when the node has stopped.
    fn problems(&mut self, world: &mut World) -> Vec<String> {
        let _ = world;
        Vec::new()
    }

    /// Ends what it started for itself: servers, mounts, groups. Is called however the run ended.
    fn clean_up(&mut self) {}
}
