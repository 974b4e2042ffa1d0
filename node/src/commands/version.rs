//! `orrery version`.

use orrery_schemas::{LEDGERS_VERSION, TOKEN_TRANSFERS_VERSION};
use serde_json::json;

use crate::console::Console;
use crate::exit::Failure;

/// Prints what scripts and bug reports need.
pub(crate) fn run(console: &Console) -> Result<(), Failure> {
    console.result(&[
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("token_transfers_schema", json!(TOKEN_TRANSFERS_VERSION)),
        ("ledgers_schema", json!(LEDGERS_VERSION)),
        ("target", json!(format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))),
        ("build", json!(if cfg!(debug_assertions) { "debug" } else { "release" })),
    ])
}
