//! `orrery logs`: the newest log lines of nodes, in the order of time.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use super::tree::value;
use crate::cli::LogsArgs;
use crate::console::Console;
use crate::exit::Failure;
use crate::inspect::{LogLine, Tail, Target};
use crate::interrupt;
use crate::threads;

/// Between two looks for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Prints them; goes on until Ctrl-C if it is told to follow.
pub(crate) fn run(args: &LogsArgs, console: &Console) -> Result<(), Failure> {
    let runtime = threads::runtime()?;
    if !args.follow {
        return runtime.block_on(async {
            let mut reader = Reader::new(args).await?;
            let lines = newest(reader.read(console).await?, args.last);
            reader.print(&lines, console)?;
            console.json(&value(&lines)?)
        });
    }
    let interrupted = interrupt::wait()?;
    runtime.block_on(async {
        tokio::select! {
            followed = follow(args, console) => followed,
            () = interrupted => Ok(()),
        }
    })
}

async fn follow(args: &LogsArgs, console: &Console) -> Result<(), Failure> {
    let mut reader = Reader::new(args).await?;
    let mut lines = newest(reader.read(console).await?, args.last);
    loop {
        reader.print(&lines, console)?;
        for line in &lines {
            console.json(&value(line)?)?;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        lines = reader.read(console).await?;
    }
}

fn newest(mut lines: Vec<LogLine>, last: u32) -> Vec<LogLine> {
    lines.drain(..lines.len().saturating_sub(last as usize));
    lines
}

/// Reads logs, each as far as it goes.
struct Reader {
    target: Target,
    only: Option<String>,
    tail: Tail,
    /// Nodes that did not answer, and why: said once.
    silent: BTreeMap<String, String>,
    names: usize,
}

impl Reader {
    async fn new(args: &LogsArgs) -> Result<Self, Failure> {
        let target = Target::new(&args.target).await?;
        let names = target.nodes().await?;
        if let Some(only) = &args.node
            && !names.iter().any(|(name, _)| name == only)
        {
            let there: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Failure::CheckFailed(format!(
                "no node `{only}` is there; there are {}",
                there.join(", ")
            )));
        }
        Ok(Self { target, only: args.node.clone(), tail: Tail::default(), silent: BTreeMap::new(), names: 0 })
    }

    /// All new lines of all nodes, oldest first.
    async fn read(&mut self, console: &Console) -> Result<Vec<LogLine>, Failure> {
        let mut due = self.target.nodes().await?;
        due.retain(|(name, _)| self.only.as_ref().is_none_or(|only| only == name));
        self.names = due.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        while !due.is_empty() {
            let asked = due.iter().map(|(name, life)| self.target.logs(name, self.tail.after(name, *life)));
            let answers = join_all(asked).await;
            let mut more = Vec::new();
            for ((name, life), answer) in due.into_iter().zip(answers) {
                let page = match answer {
                    Ok(page) => page,
                    Err(error) => {
                        let error = error.to_string();
                        if self.silent.insert(name.clone(), error.clone()).as_ref() != Some(&error) {
                            console.warn(format_args!("{name}: {error}"));
                        }
                        continue;
                    }
                };
                self.silent.remove(&name);
                let Some(taken) = self.tail.take(&name, life, page) else {
                    console.warn(format_args!("{name}: what it answers is no log"));
                    continue;
                };
                if taken.lost > 0 {
                    console.warn(format_args!("{name}: {} lines were lost between two looks", taken.lost));
                }
                lines.extend(taken.lines);
                if taken.has_more {
                    more.push((name, life));
                }
            }
            due = more;
        }
        lines.sort_by_key(|line| line.at_ms);
        Ok(lines)
    }

    fn print(&self, lines: &[LogLine], console: &Console) -> Result<(), Failure> {
        lines.iter().try_for_each(|line| console.text(line.text(self.names)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept() {
        let line = |at_ms| LogLine {
            node: "a".to_owned(),
            sequence: at_ms,
            at_ms,
            level: String::new(),
            text: String::new(),
        };
        let check = |last, expect: &[u64]| {
            let kept = newest((1..=3).map(line).collect(), last);
            assert_eq!(kept.iter().map(|line| line.at_ms).collect::<Vec<_>>(), expect);
        };
        check(0, &[]);
        check(2, &[2, 3]);
        check(9, &[1, 2, 3]);
    }
}
