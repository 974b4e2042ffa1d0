//! The `orrery-chaos` binary: all of it is in the library, where tests reach it.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    orrery_chaos::run(&orrery_chaos::Cli::parse())
}
