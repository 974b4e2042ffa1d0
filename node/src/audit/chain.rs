//! The lines of an audit file, and the hashes that hold them together.

use std::io::{self, BufRead, BufReader, Read};

use aws_lc_rs::digest::{SHA256, digest};
use orrery_schemas::CloseTime;
use serde::{Deserialize, Serialize};

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// What somebody did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    /// Name of a token, of a certificate, or of a user of this machine.
    pub(crate) who: String,
    /// How they came: `http ADDRESS`, `cluster` or `socket`.
    pub(crate) via: String,
    /// What it was.
    pub(crate) action: String,
    /// To what.
    pub(crate) target: String,
    /// What came of it.
    pub(crate) outcome: String,
    /// They were not let.
    pub(crate) is_refusal: bool,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    /// When, UTC.
    pub(crate) at: String,
    pub(crate) who: String,
    pub(crate) via: String,
    pub(crate) action: String,
    pub(crate) target: String,
    pub(crate) outcome: String,
    /// SHA-256 of the line before, without its end; zeros in the first.
    pub(crate) previous: String,
}

/// Where the chain ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) number: u64,
    hash: [u8; 32],
    /// The last line has no end: the node was killed while it wrote.
    pub(crate) is_torn: bool,
}

impl Link {
    /// The line after it, and where the chain ends then.
    pub(crate) fn next(&self, now_ms: u64, note: &Note) -> (String, Self) {
        let number = self.number + 1;
        let at = CloseTime::from_unix_seconds(now_ms / 1_000).unwrap_or(CloseTime::MAX).to_string();
        let Note { who, via, action, target, outcome, .. } = note.clone();
        let entry = Entry { number, at, who, via, action, target, outcome, previous: self.hash_hex() };
        // Strings and a number: it can be written.
        let mut line = serde_json::to_string(&entry).unwrap_or_default();
        let hash = hash(line.as_bytes());
        line.push('\n');
        (line, Self { number, hash, is_torn: false })
    }

    /// As text.
    pub(crate) fn hash_hex(&self) -> String {
        hex::encode(self.hash)
    }
}

fn hash(line: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, line).as_ref());
    hash
}

/// What a file of lines is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) entries: Vec<Entry>,
    pub(crate) last: Link,
    /// Lines that a killed node left unfinished; the chain goes on over them.
    pub(crate) torn: u64,
    /// The first line that does not follow from the one before, and why.
    pub(crate) broken: Option<(u64, String)>,
}

/// Reads every line, and looks whether each follows from the one before.
///
/// # Errors
///
/// The file cannot be read.
pub(crate) fn verify(file: impl Read) -> io::Result<Report> {
    let mut reader = BufReader::new(file);
    let mut report = Report::default();
    // Of a line that is none: good if the next one names its hash.
    let mut unread: Option<u64> = None;
    for at in 1_u64.. {
        let mut line = Vec::new();
        reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        let is_torn = line.pop_if(|last| *last == b'\n').is_none();
        let number = report.last.number + 1;
        match serde_json::from_slice::<Entry>(&line) {
            Ok(entry) if entry.previous != report.last.hash_hex() || entry.number != number => {
                let why = match unread {
                    Some(before) => format!("line {before} is none, and this one does not follow from it"),
                    None => {
                        "it does not follow from the line before: one was changed, taken out, put in or moved"
                            .to_owned()
                    }
                };
                report.broken = Some((at, why));
                return Ok(report);
            }
            Ok(entry) => {
                report.torn += u64::from(unread.take().is_some());
                report.entries.push(entry);
                report.last = Link { number, hash: hash(&line), is_torn };
            }
            Err(error) if unread.is_some() => {
                report.broken = Some((at, format!("it is no entry: {error}")));
                return Ok(report);
            }
            Err(_) => {
                unread = Some(at);
                report.last = Link { number: report.last.number, hash: hash(&line), is_torn };
            }
        }
    }
    report.torn += u64::from(unread.is_some());
    Ok(report)
}

/// Where a file ends. What is before is not judged here: a node goes on also after a broken line.
///
/// # Errors
///
/// The file cannot be read.
pub(crate) fn last(file: impl Read) -> io::Result<Link> {
    let mut reader = BufReader::new(file);
    let mut last = Link::default();
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(last);
        }
        let is_torn = line.pop_if(|byte| *byte == b'\n').is_none();
        let number = serde_json::from_slice::<Entry>(&line).map_or(last.number, |entry| entry.number);
        last = Link { number, hash: hash(&line), is_torn };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(count: usize) -> Vec<String> {
        let mut link = Link::default();
        let line = |at: usize| {
            let note = Note { who: "ann".to_owned(), target: format!("pipeline {at}"), ..Note::default() };
            let (line, next) = link.next(at as u64 * 1_000, &note);
            link = next;
            line
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn lines_as_they_were_written_hold_together() {
        let lines = written(4);
        let report = verify(lines.concat().as_bytes()).unwrap();
        assert_eq!((report.entries.len(), report.broken, report.torn), (4, None, 0));
        assert_eq!(report.entries[2].at, "1970-01-01T00:00:02Z");
        assert_eq!(last(lines.concat().as_bytes()).unwrap(), report.last);
        assert_eq!(verify(&b""[..]).unwrap(), Report::default());
    }

    #[test]
    fn a_line_that_a_killed_node_left_is_told_and_no_break() {
        let lines = written(3);
        let torn = format!("{}{}", lines[..2].concat(), &lines[2][..20]);
        let end = last(torn.as_bytes()).unwrap();
        assert!(end.is_torn);
        let (line, _) = end.next(9_000, &Note::default());
        let report = verify(format!("{torn}\n{line}").as_bytes()).unwrap();
        assert_eq!((report.entries.len(), report.broken, report.torn), (3, None, 1));
    }

    #[test]
    fn a_line_that_is_taken_out_put_in_or_moved_shows() {
        let lines = written(5);
        let broken = |lines: &[&String]| {
            let text: String = lines.iter().map(|line| line.as_str()).collect();
            verify(text.as_bytes()).unwrap().broken.map(|(at, _)| at)
        };
        let [a, b, c, d, e] = &lines[..] else { unreachable!() };
        assert_eq!(broken(&[a, b, c, d, e]), None);
        assert_eq!(broken(&[a, c, d, e]), Some(2));
        assert_eq!(broken(&[b, c, d, e]), Some(1));
        assert_eq!(broken(&[a, b, b, c, d, e]), Some(3));
        assert_eq!(broken(&[a, c, b, d, e]), Some(2));
        // Its end alone can be cut off: whoever noted the last hash sees it.
        assert_eq!(broken(&[a, b, c]), None);
        assert_ne!(
            verify([a.as_str(), b].concat().as_bytes()).unwrap().last,
            last(lines.concat().as_bytes()).unwrap()
        );
    }

    proptest! {
        #[test]
        fn a_changed_byte_shows(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let whole = written(5).concat().into_bytes();
            // The end of the line before the last one makes one unfinished line of both: their loss is that of an end.
            let before_last = whole.len() - written(5)[4].len() - 1;
            let at = at.index(before_last);
            let mut changed = whole.clone();
            changed[at] = to;
            prop_assume!(changed != whole);
            prop_assert!(verify(&changed[..]).unwrap().broken.is_some());
        }
    }
}
