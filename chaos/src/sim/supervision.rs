//! Restarts: the product's window of a supervisor, at moments that chance decides.

use std::time::Duration;

use orrery_supervisor::{Clock, RestartIntensity, RestartVerdict, RestartWindow};

use super::SimError;
use super::world::World;
use crate::history::Op;

/// Ends of children.
const ENDS: usize = 60;

/// Runs one seed's supervisor.
///
/// # Errors
///
/// [`SimError::Ledgers`] never; the type is that of the others.
pub(super) fn run(world: &World) -> Result<(), SimError> {
    let max = u32::try_from(1 + world.below(5)).unwrap_or(1);
    let period_us = world.micros(1_000_000, 60_000_000);
    let Ok(intensity) = RestartIntensity::new(max, Duration::from_micros(period_us)) else { return Ok(()) };
    world.trace(format_args!("{max} restarts in {period_us} us"));
    let mut window = RestartWindow::new(intensity);
    for _ in 0..ENDS {
        let wait = match world.below(3) {
            0 => world.micros(0, period_us / 10 + 1),
            1 => world.micros(0, period_us),
            _ => world.micros(period_us, period_us * 3),
        };
        world.pass_to(world.now() + wait);
        let gave_up = window.record(Clock::now(world)) == RestartVerdict::Escalate;
        let count = u64::from(window.count(Clock::now(world)));
        world.saw("s", Op::Restart { supervisor: "s".to_owned(), gave_up, max, period_us });
        world.saw("s", Op::Gauge { name: "restarts".to_owned(), value: count, max: u64::from(max) });
        if gave_up {
            window = RestartWindow::new(intensity);
        }
    }
    Ok(())
}
