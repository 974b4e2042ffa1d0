//! Reports for people.

use std::io::{self, Write};

use crate::tamper::{BoundReport, Change, Subject, UnboundReport};

/// The command that repeats a run, for a shell; only the number of changes is left open.
#[derive(Clone, Debug)]
pub(crate) struct Reproduction {
    command: String,
}

impl Reproduction {
    /// From the words of the command.
    pub(crate) fn new(words: &[String]) -> Self {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        Self { command: words.join(" ") }
    }

    /// All of it.
    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    fn ending_with(&self, change: &Change) -> String {
        format!("{} --count {}", self.command, change.number)
    }
}

/// As one word of a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

pub(crate) fn write_bound(
    out: &mut dyn Write,
    report: &BoundReport,
    reproduction: &Reproduction,
) -> io::Result<()> {
    write_subject(out, &report.subject)?;
    writeln!(
        out,
        "\n{:<16}{:>10}{:>14}{:>12}{:>9}",
        "field", "changed", "by structure", "by hashes", "missed"
    )?;
    for counts in &report.fields {
        writeln!(
            out,
            "{:<16}{:>10}{:>14}{:>12}{:>9}",
            counts.field.name(),
            counts.changed,
            counts.found_by_structure,
            counts.found_by_hashes,
            counts.missed
        )?;
    }
    writeln!(out, "\n{} changes, {} found, {} missed", report.changes, report.found, report.missed)?;
    write_first(out, "first missed", report.first_missed.as_ref(), reproduction)
}

pub(crate) fn write_unbound(
    out: &mut dyn Write,
    report: &UnboundReport,
    reproduction: &Reproduction,
) -> io::Result<()> {
    write_subject(out, &report.subject)?;
    writeln!(out, "\n{} changes of bytes that no hash binds", report.changes)?;
    let rows = [
        ("found by structure", report.found_by_structure),
        ("found by hashes", report.found_by_hashes),
        ("found by deriving events", report.found_by_derivation),
        ("found by event deltas", report.found_by_deltas),
        ("found by nothing, other rows", report.silent_rows_differ),
        ("found by nothing, same rows", report.silent_rows_equal),
    ];
    for (name, count) in rows {
        writeln!(out, "{name:<32}{count:>10}")?;
    }
    write_first(out, "first with other rows", report.first_rows_differ.as_ref(), reproduction)
}

fn write_subject(out: &mut dyn Write, subject: &Subject) -> io::Result<()> {
    let Subject { seed, ledgers, bytes, bound_bytes } = subject;
    let percent = *bound_bytes as f64 * 100.0 / (*bytes).max(1) as f64;
    writeln!(out, "seed {seed}: {ledgers} ledgers, {bytes} bytes, {percent:.1} % of them bound by hashes")
}

fn write_first(
    out: &mut dyn Write,
    title: &str,
    change: Option<&Change>,
    reproduction: &Reproduction,
) -> io::Result<()> {
    let Some(change) = change else { return Ok(()) };
    let Change { number, file, ledger, byte, from, to } = change;
    let file = file.escape_debug();
    writeln!(
        out,
        "{title}: change {number}, {file}: ledger {ledger}: byte {byte}: {from:#04x} -> {to:#04x}"
    )?;
    writeln!(out, "reproduce: {}", reproduction.ending_with(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reproduction_is_one_line_for_a_shell() {
        let check = |word: &str, expect: &str| assert_eq!(quoted(word), expect);
        check("--seed", "--seed");
        check("file://lake", "file://lake");
        check("(V) (;,,;) (V)", "'(V) (;,,;) (V)'");
        check("it's", r"'it'\''s'");
        check("", "''");
        check("a*b", "'a*b'");
    }
}
