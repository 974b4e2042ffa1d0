//! Why a text is not the value it should be.

use std::fmt;

/// Longest part of an offending text that an error repeats: enough to recognise it, too little to fill a log.
const QUOTED_CHARS_MAX: usize = 72;

/// A text that is not what it should be. The message quotes the text and states the form expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not {expected}")]
pub struct ParseError {
    value: Quoted,
    expected: &'static str,
}

impl ParseError {
    /// `expected` completes "is not ...", as in `a strkey of an account (G...)`.
    pub(crate) fn new(value: &str, expected: &'static str) -> Self {
        Self { value: Quoted(value.chars().take(QUOTED_CHARS_MAX + 1).collect()), expected }
    }

    /// For a text that may be a secret key: the message does not repeat it.
    pub(crate) fn without_value(expected: &'static str) -> Self {
        Self { value: Quoted("(a secret key, not shown)".to_owned()), expected }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Quoted(String);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(QUOTED_CHARS_MAX) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}
