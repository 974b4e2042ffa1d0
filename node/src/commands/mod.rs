//! One file a command: reads its arguments, runs the pipeline, says what it did.

pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod events;
pub(crate) mod synth;
pub(crate) mod verify;
pub(crate) mod version;
