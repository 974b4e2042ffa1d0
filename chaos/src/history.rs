//! What happened in a run, as its processes saw it from outside: the input of every checker.
//!
//! An operation is an `invoke`, followed by `ok` (it happened), `fail` (it certainly did not) or `info` (nobody knows, it may
//! still). What is only seen is an `ok` alone. One JSON object a line.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Microseconds since the run began, on one clock for all processes.
    pub at_us: u64,
    /// Who.
    pub process: String,
    /// Number of the operation: the same for its beginning and its end.
    pub operation: u64,
    /// Which of these.
    pub kind: Kind,
    /// The operation.
    pub what: Op,
}

/// Beginning or end of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen.
    Fail,
    /// It may have happened, or may still happen.
    Info,
}

/// What is done or seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Op {
    /// Ledgers of a table become durable; `ok` is the acknowledgement.
    Commit {
        /// Region and table.
        table: String,
        /// First ledger.
        first: u32,
        /// Last ledger.
        last: u32,
    },
    /// Somebody read a slot of a log, or whatever else never changes.
    Saw {
        /// Where.
        object: String,
        /// Of its bytes.
        hash: String,
    },
    /// A slot that is in a log in the end, in order.
    Slot {
        /// Region and table.
        table: String,
        /// Its number.
        slot: u64,
        /// First and last ledger, if it adds any.
        ledgers: Option<(u32, u32)>,
        /// SHA-256 of its bytes.
        hash: String,
        /// The hash of the slot before, as it says.
        prev: String,
        /// Hash of the ledger before its first one, as it says.
        parent: String,
        /// Hash of its last ledger.
        last_hash: String,
    },
    /// The oracle: ledgers that a slot of a table must have, and no others.
    Due {
        /// Region and table.
        table: String,
        /// First ledger.
        first: u32,
        /// Last ledger.
        last: u32,
    },
    /// The oracle: a ledger as it must be in the dataset.
    Expected {
        /// Its number.
        ledger: u32,
        /// Of the ledger.
        hash: String,
        /// Its events, in order, with what identifies their content.
        events: Vec<String>,
    },
    /// A ledger as it is in a dataset in the end.
    Stored {
        /// Region.
        region: String,
        /// Its number.
        ledger: u32,
        /// Its hash.
        hash: String,
        /// Its events, in order, with what identifies their content.
        events: Vec<String>,
    },
    /// An object that was acknowledged is there in the end, or is not (`None`).
    Object {
        /// Region.
        region: String,
        /// Its name.
        path: String,
        /// The SHA-256 that the log gives for it.
        expected: String,
        /// The SHA-256 that it has.
        found: Option<String>,
    },
    /// Somebody's position: it never goes back.
    Head {
        /// Whose.
        subject: String,
        /// Where.
        value: u64,
    },
    /// A newer epoch is visible to a process.
    Epoch {
        /// Of what.
        register: String,
        /// Which.
        epoch: u64,
    },
    /// A process acts under an epoch.
    Acts {
        /// Of what.
        register: String,
        /// Which.
        epoch: u64,
    },
    /// An event reaches a reader.
    Feed {
        /// The reader, across its connections.
        reader: String,
        /// Its connection.
        connection: u64,
        /// Number of the ledger.
        ledger: u32,
        /// Its events, in order.
        events: Vec<String>,
    },
    /// A reader was told that ledgers are missing, or where to go on: nothing is silent.
    Told {
        /// The reader.
        reader: String,
        /// What.
        what: String,
    },
    /// A reader wants all from one ledger to another.
    Wants {
        /// The reader.
        reader: String,
        /// First ledger.
        first: u32,
        /// Last ledger.
        last: u32,
    },
    /// Something that has a bound.
    Gauge {
        /// What.
        name: String,
        /// How much of it there is.
        value: u64,
        /// How much there may be.
        max: u64,
    },
    /// Something that is to be again what it was at first once the faults have ended: open files, tasks, temporary files.
    Level {
        /// What.
        name: String,
        /// How much of it there is.
        value: u64,
        /// How much more than at first there may be in the end.
        slack: u64,
    },
    /// Something that may not grow for as long as it is looked at, as memory.
    Trend {
        /// What.
        name: String,
        /// How much of it there is.
        value: u64,
        /// By how much it may grow in an hour.
        per_hour_max: u64,
    },
    /// All faults have ended.
    Healed {
        /// How long everything may take from now on, in microseconds.
        within_us: u64,
    },
    /// Everything that was to be done is done.
    Done {
        /// Of whom.
        subject: String,
    },
    /// Something must be done after faults have ended.
    Awaited {
        /// Of whom.
        subject: String,
    },
    /// A ledger cannot be processed, whoever gives it.
    Poison {
        /// The pipeline.
        pipeline: String,
        /// The ledger.
        ledger: u32,
    },
    /// A ledger was tried and failed.
    Tried {
        /// The pipeline.
        pipeline: String,
        /// The ledger.
        ledger: u32,
    },
    /// A ledger was put aside, with the evidence.
    Quarantined {
        /// The pipeline.
        pipeline: String,
        /// The ledger.
        ledger: u32,
        /// Whether its bytes were kept.
        has_evidence: bool,
    },
    /// A child of a supervisor ended badly, and was started again or not.
    Restart {
        /// The supervisor.
        supervisor: String,
        /// Whether it was given up.
        gave_up: bool,
        /// Restarts that its settings allow within the period.
        max: u32,
        /// The period, in microseconds.
        period_us: u64,
    },
    /// A fault was done, and this is what somebody should see of it.
    Fault {
        /// Which.
        fault: String,
        /// The signal that is expected; `None` if it may pass unseen.
        signal: Option<String>,
    },
    /// How soon a signal must follow the faults that it is for.
    Deadline {
        /// The signal.
        signal: String,
        /// In microseconds.
        within_us: u64,
    },
    /// A signal for operators.
    Signal {
        /// Which.
        signal: String,
    },
    /// Something false was given to a process.
    Tampered {
        /// Where.
        pipeline: String,
        /// The ledger.
        ledger: u32,
        /// What identifies the false content.
        hash: String,
    },
    /// A ledger went on to where it is committed or sent.
    Emitted {
        /// From where.
        pipeline: String,
        /// The ledger.
        ledger: u32,
        /// Its content.
        hash: String,
    },
    /// A text that operators may see: a log line, an error, an answer.
    Text {
        /// The text.
        text: String,
    },
    /// A secret, which no text may hold.
    Secret {
        /// It.
        canary: String,
    },
    /// A process gave up for a reason that only a person can mend.
    Halted {
        /// Where.
        subject: String,
        /// Why.
        reason: String,
    },
}

/// Writes a history, one object a line.
///
/// # Errors
///
/// As of `out`.
pub fn write(out: &mut dyn Write, history: &[Entry]) -> io::Result<()> {
    for entry in history {
        serde_json::to_writer(&mut *out, entry)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads a history.
///
/// # Errors
///
/// As of `input`; a line that is no entry, with its number.
pub fn read(input: impl BufRead) -> io::Result<Vec<Entry>> {
    let entry = |(index, line): (usize, io::Result<String>)| {
        let problem =
            |error| io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", index + 1));
        line.and_then(|line| serde_json::from_str(&line).map_err(problem))
    };
    input.lines().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let what = Op::Commit { table: "a/ledgers".to_owned(), first: 2, last: 9 };
        let history = vec![
            Entry { at_us: 1, process: "w".to_owned(), operation: 1, kind: Kind::Invoke, what: what.clone() },
            Entry { at_us: 2, process: "w".to_owned(), operation: 1, kind: Kind::Info, what },
        ];
        let mut bytes = Vec::new();
        write(&mut bytes, &history).unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert_eq!(read(bytes.as_slice()).unwrap(), history);
        let error = read(&b"{\"at_us\":1}\n"[..]).unwrap_err().to_string();
        assert!(error.starts_with("line 1: "), "{error}");
    }
}
