//! A profile as `google/pprof`'s `profile.proto` has it. Of its messages only the fields that are needed are declared; their
//! numbers are the contract.

use std::collections::BTreeMap;

use prost::Message;

use super::{HERTZ, Profile};

#[derive(Clone, PartialEq, Message)]
struct Written {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// The innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
}

/// Texts, each with its place; the first is empty, as the form has it.
struct Texts(Vec<String>, BTreeMap<String, i64>);

impl Texts {
    fn place(&mut self, text: &str) -> i64 {
        let Self(all, places) = self;
        *places.entry(text.to_owned()).or_insert_with(|| {
            all.push(text.to_owned());
            i64::try_from(all.len() - 1).unwrap_or(0)
        })
    }
}

/// The message, without compression.
pub(super) fn bytes(profile: &Profile) -> Vec<u8> {
    let nanoseconds = 1_000_000_000 / i64::from(HERTZ);
    let mut texts = Texts(vec![String::new()], BTreeMap::new());
    let mut value_type = |name: &str, unit: &str| {
        let (r#type, unit) = (texts.place(name), texts.place(unit));
        ValueType { r#type, unit }
    };
    let sample_type = vec![value_type("samples", "count"), value_type("cpu", "nanoseconds")];
    let period_type = Some(value_type("cpu", "nanoseconds"));
    let (mut function, mut ids) = (Vec::new(), BTreeMap::new());
    let mut id = |name: &str| {
        *ids.entry(name.to_owned()).or_insert_with(|| {
            let (id, name) = (function.len() as u64 + 1, texts.place(name));
            function.push(Function { id, name, system_name: name });
            id
        })
    };
    let sample = profile.stacks.iter().map(|(stack, count)| {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        let location_id = stack.iter().rev().map(|name| id(name)).collect();
        Sample { location_id, value: vec![count, count.saturating_mul(nanoseconds)] }
    });
    let sample: Vec<_> = sample.collect();
    let location = function.iter().map(|function| {
        let line = vec![Line { function_id: function.id }];
        Location { id: function.id, line }
    });
    let written = Written {
        sample_type,
        sample,
        location: location.collect(),
        duration_nanos: i64::try_from(profile.seconds).unwrap_or(0).saturating_mul(1_000_000_000),
        period_type,
        period: nanoseconds,
        string_table: texts.0,
        function,
    };
    written.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_from_the_innermost_frame_out() {
        let stack = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let stacks = [(stack(&["worker", "a", "b"]), 3), (stack(&["worker", "a"]), 1)];
        let written = Written::decode(&*bytes(&Profile { stacks: stacks.into(), seconds: 2 })).unwrap();
        assert_eq!((written.duration_nanos, written.string_table[0].as_str()), (2_000_000_000, ""));
        let name = |location: &u64| {
            let location = written.location.iter().find(|one| one.id == *location).unwrap();
            let function =
                written.function.iter().find(|one| one.id == location.line[0].function_id).unwrap();
            written.string_table[function.name as usize].as_str()
        };
        let read =
            |sample: &Sample| (sample.location_id.iter().map(name).collect::<Vec<_>>(), sample.value[0]);
        let samples: Vec<_> = written.sample.iter().map(read).collect();
        assert_eq!(samples, [(vec!["a", "worker"], 1), (vec!["b", "a", "worker"], 3)]);
        assert_eq!(written.sample[1].value[1], 3 * written.period);
        let unit = |kind: &ValueType| written.string_table[kind.unit as usize].as_str();
        assert_eq!(written.sample_type.iter().map(unit).collect::<Vec<_>>(), ["count", "nanoseconds"]);
    }
}
