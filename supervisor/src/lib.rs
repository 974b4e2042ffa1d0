//! Supervision: the rules by which actors are restarted, and when to give up.
//!
//! Here so far are the decisions, as pure values that a test can drive through years of failures in milliseconds:
//!
//! - [`RestartIntensity`]: how many restarts within a period are too many (escalate), as in Erlang/OTP;
//! - [`Backoff`]: how long to wait before a restart, with jitter;
//! - [`Clock`]: the only way to read time, so that all of this runs on a clock that tests turn by hand.
//!
//! The supervisor actor that acts on them, its child specifications and the cluster are not here yet: nothing in this
//! crate starts or stops anything.

mod restart_intensity;
mod backoff;
mod clock;

pub use backoff::{Backoff, BackoffError};
pub use clock::{Clock, ManualClock, MonotonicTime, SystemClock};
pub use restart_intensity::{RestartIntensity, RestartIntensityError, RestartVerdict, RestartWindow};
