//! `orrery top`: a live view of nodes and tasks.

use std::io::IsTerminal;

use super::tree::{look_twice, value};
use crate::cli::TopArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::inspect::{Target, top};
use crate::interrupt;
use crate::threads;

/// Shows it until somebody ends it; as JSON, what it would show now.
pub(crate) fn run(args: &TopArgs, console: &Console) -> Result<(), Failure> {
    let runtime = threads::runtime()?;
    if console.is_json() {
        let (_, snapshot) = runtime.block_on(look_twice(&args.target))?;
        return console.json(&value(&snapshot)?);
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "top draws on a terminal, and this is none: use `orrery tree --output json`".to_owned(),
        ));
    }
    let interrupted = interrupt::wait()?;
    runtime.block_on(async {
        let target = Target::new(&args.target).await?;
        tokio::select! {
            ended = top::show(&target) => ended,
            () = interrupted => Ok(()),
        }
    })
}
