//! What commands say: results to standard output as a table or as JSON, everything else to standard error.

use std::fmt::Display;
use std::io::{self, Write};

use serde_json::Value;

use crate::cli::Output;
use crate::exit::Failure;

/// The two streams of a command.
#[derive(Clone, Copy)]
pub(crate) struct Console {
    output: Output,
}

impl Console {
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }

    /// Whether results are for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// A result: one line a field, or one JSON object.
    pub(crate) fn result(&self, fields: &[(&str, Value)]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match self.output {
            Output::Json => {
                let object: serde_json::Map<_, _> =
                    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                writeln!(stdout, "{}", Value::Object(object))?;
            }
            Output::Table => {
                let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, value) in fields {
                    writeln!(stdout, "{:width$}  {}", name.replace('_', " "), cell(value))?;
                }
            }
        }
        Ok(stdout.flush()?)
    }

    /// A result whose fields are known only when it is here.
    pub(crate) fn object(&self, value: &Value) -> Result<(), Failure> {
        let fields: Vec<_> = value.as_object().into_iter().flatten().collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), (*value).clone())).collect();
        self.result(&fields)
    }

    /// A result of several: one after another, or one JSON array.
    pub(crate) fn list(&self, values: &[Value]) -> Result<(), Failure> {
        match self.output {
            Output::Json => self.json(&Value::Array(values.to_vec())),
            Output::Table => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        self.text("")?;
                    }
                    self.object(value)?;
                }
                if values.is_empty() {
                    self.text("none")?;
                }
                Ok(())
            }
        }
    }

    /// As [`Self::list`], of results with their fields in order.
    pub(crate) fn rows(&self, rows: &[Vec<(&str, Value)>]) -> Result<(), Failure> {
        match self.output {
            Output::Json => {
                let object = |row: &Vec<(&str, Value)>| {
                    row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
                };
                self.json(&Value::Array(rows.iter().map(|row| Value::Object(object(row))).collect()))
            }
            Output::Table => rows.iter().enumerate().try_for_each(|(index, row)| {
                if index > 0 {
                    self.text("")?;
                }
                self.result(row)
            }),
        }
    }

    /// A value for programs; nothing in a table.
    pub(crate) fn json(&self, value: &Value) -> Result<(), Failure> {
        if self.output == Output::Json {
            writeln!(io::stdout().lock(), "{value}")?;
        }
        Ok(())
    }

    /// More lines for a person; nothing in JSON.
    pub(crate) fn text(&self, text: impl Display) -> Result<(), Failure> {
        if self.output == Output::Table {
            writeln!(io::stdout().lock(), "{text}")?;
        }
        Ok(())
    }

    /// Something that a person should know and that stops nothing.
    pub(crate) fn warn(&self, text: impl Display) {
        self.note("warning", text);
    }

    /// How far it is, for a person who waits.
    pub(crate) fn progress(&self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// The end of a command that failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if !matches!(failure, Failure::OutputClosed) {
            self.note("error", failure);
        }
    }

    fn note(&self, label: &str, text: impl Display) {
        // Standard error may be closed; there is nowhere left to say so.
        let _ = writeln!(io::stderr().lock(), "{label}: {text}");
    }
}

/// A value as a person reads it: thousands separated, lists with spaces.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => thousands(number),
            None => number.to_string(),
        },
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name} {}", cell(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Bool(flag) => flag.to_string(),
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let check = |number, text: &str| assert_eq!(thousands(number), text);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(12_485_688, "12,485,688");
    }
}
