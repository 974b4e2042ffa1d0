//! `orrery`: the command line. Boot order only; each command is a file in `commands/`.

mod audit;
mod cli;
mod commands;
mod config;
mod settings;
mod opening;
mod parked;
mod runner;
mod told;
mod threads;
mod serve;
mod tail;
mod cluster;
mod region;
mod telemetry;
mod profile;
mod trace_context;
mod logs;
mod collector;
mod readiness;
mod service_manager;
mod reach;
mod control;
mod status;
mod inspect;
mod quarantine;
mod console;
mod environment;
mod shown_url;
mod exit;
mod interrupt;
mod wall_clock;
mod network;
mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::console::Console;
use crate::exit::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.output);
    match run(cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console.failure(&failure);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli, console: &Console) -> Result<(), Failure> {
    match cli.command {
        Command::Demo(args) => commands::demo::run(&args, console),
        Command::Run(args) => commands::run::run(&args, console),
        Command::Backfill(args) => commands::backfill::run(&args, console),
        Command::Quarantine(args) => commands::quarantine::run(&args, console),
        Command::Restarts(args) => commands::restarts::run(&args, console),
        Command::Park(args) => commands::pipelines::park(&args, console),
        Command::Resume(args) => commands::pipelines::resume(&args, console),
        Command::Tail(args) => commands::tail::run(&args, console),
        Command::Tree(args) => commands::tree::tree(&args, console),
        Command::Ps(args) => commands::tree::ps(&args, console),
        Command::Nodes(args) => commands::tree::nodes(&args, console),
        Command::Inspect(args) => commands::inspect::run(&args, console),
        Command::Logs(args) => commands::logs::run(&args, console),
        Command::Regions(args) => commands::regions::run(&args, console),
        Command::Failover(args) => commands::failover::run(&args, console),
        Command::Drain(args) => commands::drain::run(&args, console),
        Command::Top(args) => commands::top::run(&args, console),
        Command::Certs(args) => commands::certs::run(&args, console),
        Command::Audit(args) => commands::audit::run(&args, console),
        Command::Token(args) => commands::token::run(&args, console),
        Command::Config(args) => commands::config::run(&args, console),
        #[cfg(debug_assertions)]
        Command::Kill(args) => commands::pipelines::kill(&args, console),
        Command::Events(args) => commands::events::run(&args, console),
        Command::Synth(args) => commands::synth::run(&args, console),
        Command::Verify(args) => commands::verify::run(&args, console),
        Command::Scrub(args) => commands::scrub::run(&args, console),
        Command::Backup(args) => commands::backup::backup(&args, console),
        Command::Restore(args) => commands::backup::restore(&args, console),
        Command::Compact(args) => commands::compact::run(&args, console),
        Command::Epoch(args) => commands::epoch::run(&args, console),
        Command::Version => commands::version::run(console),
        Command::Completions(args) => commands::completions::run(&args),
    }
}
