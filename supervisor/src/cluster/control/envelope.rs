//! Calls as bytes.
//!
//! ```text
//! request  version u16 | length of the header u32 | header, JSON | body
//! answer   version u16 | 0 answered, 1 refused, u8               | body, or the refusal as JSON
//! ```
//!
//! Numbers are big-endian. The version stays where it is in every version, so that an unknown one is recognized. Fields
//! that a header has and this version does not know are ignored.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version that this node speaks.
pub const VERSION: u16 = 1;

/// The most bytes that a request's or an answer's body may have. With header and frame it stays below
/// [`FRAME_BYTES_MAX`](crate::cluster::links::FRAME_BYTES_MAX), which ends the whole link.
pub const CALL_BYTES_MAX: usize = 768 * 1024;

const HEADER_BYTES_MAX: usize = 4096;
const KIND_BYTES_MAX: usize = 64;
const ANSWERED: u8 = 0;
const REFUSED: u8 = 1;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names what the body is; the callee's handler knows which it takes.
    pub kind: String,
    /// The question.
    pub body: Bytes,
    /// The caller's span.
    pub traceparent: Option<Traceparent>,
}

impl Request {
    /// Without a trace.
    pub fn new(kind: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { kind: kind.into(), body: body.into(), traceparent: None }
    }

    /// As part of a trace.
    #[must_use]
    pub fn traced(mut self, traceparent: Option<Traceparent>) -> Self {
        self.traceparent = traceparent;
        self
    }
}

/// Trace context between processes: W3C Trace Context, level 1, version 00.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Traceparent(String);

/// A trace context that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no traceparent: it looks like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
pub struct NotATraceparent(String);

impl Traceparent {
    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Traceparent {
    type Err = NotATraceparent;

    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        let parts: Vec<_> = text.split('-').collect();
        let is_hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        match parts[..] {
            ["00", trace, span, flags]
                if is_hex(trace, 32)
                    && is_hex(span, 16)
                    && is_hex(flags, 2)
                    && !is_zero(trace)
                    && !is_zero(span) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NotATraceparent(text.chars().take(80).flat_map(char::escape_default).collect())),
        }
    }
}

impl TryFrom<String> for Traceparent {
    type Error = NotATraceparent;

    fn try_from(text: String) -> Result<Self, NotATraceparent> {
        text.parse()
    }
}

impl From<Traceparent> for String {
    fn from(traceparent: Traceparent) -> Self {
        traceparent.0
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a call was not done. The callee says it; the caller gets it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// The caller speaks another version of this protocol.
    #[error(
        "version {asked} of the control protocol is not spoken here, but {spoken:?}; upgrade the older node"
    )]
    UnknownVersion {
        /// The caller's.
        asked: u16,
        /// The callee's.
        spoken: Vec<u16>,
    },
    /// The callee does not know what is asked.
    #[error(
        "`{kind}` is no call known to a node of control protocol {spoken:?}, but {known:?}; upgrade the older node"
    )]
    UnknownKind {
        /// As asked.
        kind: String,
        /// Kinds that it knows.
        known: Vec<String>,
        /// Versions that it speaks.
        spoken: Vec<u16>,
    },
    /// The callee has as many calls in work as it may.
    #[error("the node has {in_work_max} calls in work, which is its limit; call again later")]
    Busy {
        /// The limit.
        in_work_max: u64,
    },
    /// The bytes are no call.
    #[error("the call cannot be read: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
    /// The answer would not fit a link.
    #[error("the answer has {bytes} bytes, of {max} that a call may have; ask for less")]
    AnswerTooLarge {
        /// What it would have.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The order is older than what the callee obeys already.
    #[error("epoch {asked} is stale: epoch {current} is obeyed")]
    Stale {
        /// Of the caller.
        asked: u64,
        /// Of the callee.
        current: u64,
    },
    /// It was tried, and failed.
    #[error("{message}")]
    Failed {
        /// Why.
        message: String,
    },
}

impl Refusal {
    /// For a handler that does not know a call's kind.
    pub fn unknown_kind(kind: &str, known: &[&str]) -> Self {
        let known = known.iter().map(|kind| (*kind).to_owned()).collect();
        Self::UnknownKind { kind: kind.to_owned(), known, spoken: vec![VERSION] }
    }

    /// For a handler that failed.
    pub fn failed(error: impl fmt::Display) -> Self {
        Self::Failed { message: error.to_string() }
    }
}

/// What stands before a request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Number of the call in its caller's life, for logs.
    pub(super) id: u64,
    /// The caller's name and incarnation, as it says: see [`Call`](super::Call).
    pub(super) from: String,
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<Traceparent>,
}

/// A request that must not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsendable {
    Body(usize),
    Kind(usize),
}

/// Writes a request.
pub(super) fn write_request(id: u64, from: &str, request: &Request) -> Result<Vec<u8>, Unsendable> {
    if request.body.len() > CALL_BYTES_MAX {
        return Err(Unsendable::Body(request.body.len()));
    }
    if request.kind.len() > KIND_BYTES_MAX {
        return Err(Unsendable::Kind(request.kind.len()));
    }
    let header = Header {
        id,
        from: from.to_owned(),
        kind: request.kind.clone(),
        traceparent: request.traceparent.clone(),
    };
    // Strings and a number: there is nothing in it that JSON has no form for.
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let mut bytes = Vec::with_capacity(6 + header.len() + request.body.len());
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&request.body);
    Ok(bytes)
}

/// Reads a request, or says how to answer it.
pub(super) fn read_request(bytes: Vec<u8>) -> Result<(Header, Bytes), Refusal> {
    let malformed = |detail: &str| Refusal::Malformed { detail: detail.to_owned() };
    let mut bytes = Bytes::from(bytes);
    let version = bytes.first_chunk::<2>().ok_or_else(|| malformed("it has no version"))?;
    let version = u16::from_be_bytes(*version);
    if version != VERSION {
        return Err(Refusal::UnknownVersion { asked: version, spoken: vec![VERSION] });
    }
    let length = bytes.get(2..6).and_then(|length| length.first_chunk::<4>());
    let length = u32::from_be_bytes(*length.ok_or_else(|| malformed("it has no header"))?);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > HEADER_BYTES_MAX || bytes.len() - 6 < length {
        return Err(malformed("its header has another length"));
    }
    let body = bytes.split_off(6 + length);
    if body.len() > CALL_BYTES_MAX {
        return Err(malformed("its body is too long"));
    }
    let header: Header =
        serde_json::from_slice(&bytes[6..]).map_err(|error| malformed(&error.to_string()))?;
    if header.kind.len() > KIND_BYTES_MAX {
        return Err(malformed("its kind is too long"));
    }
    Ok((header, body))
}

/// Writes an answer; one that is too long becomes a refusal.
pub(super) fn write_answer(answer: Result<Bytes, Refusal>) -> Vec<u8> {
    let answer = answer.and_then(|body| {
        let bytes = body.len();
        let refusal = Refusal::AnswerTooLarge { bytes: bytes as u64, max: CALL_BYTES_MAX as u64 };
        if bytes > CALL_BYTES_MAX { Err(refusal) } else { Ok(body) }
    });
    let (kind, body) = match answer {
        Ok(body) => (ANSWERED, body),
        Err(refusal) => (REFUSED, written(refusal)),
    };
    let mut bytes = Vec::with_capacity(3 + body.len());
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(&body);
    bytes
}

/// A refusal's texts come from anywhere, and must fit too.
fn written(refusal: Refusal) -> Bytes {
    const TEXT_BYTES_MAX: usize = 64 * 1024;
    let written = serde_json::to_vec(&refusal).unwrap_or_default();
    if written.len() <= TEXT_BYTES_MAX {
        return written.into();
    }
    let message: String = refusal.to_string().chars().take(TEXT_BYTES_MAX / 16).collect();
    serde_json::to_vec(&Refusal::Failed { message }).unwrap_or_default().into()
}

/// Reads an answer. The error says what is wrong with it.
pub(super) fn read_answer(bytes: Vec<u8>) -> Result<Result<Bytes, Refusal>, String> {
    let mut bytes = Bytes::from(bytes);
    let Some([first, second, kind]) = bytes.first_chunk::<3>().copied() else {
        return Err("it is too short".to_owned());
    };
    let version = u16::from_be_bytes([first, second]);
    if version != VERSION {
        return Err(format!(
            "it is of version {version}, and {VERSION} is spoken here; upgrade the older node"
        ));
    }
    let body = bytes.split_off(3);
    match kind {
        ANSWERED => Ok(Ok(body)),
        // A refusal that a newer node has and this one does not know.
        REFUSED => Ok(Err(serde_json::from_slice(&body)
            .unwrap_or_else(|_| Refusal::Failed { message: String::from_utf8_lossy(&body).into_owned() }))),
        other => Err(format!("it is of kind {other}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_unknown_version_is_answered_with_those_that_are_spoken() {
        let mut bytes = write_request(1, "a.1", &Request::new("tree", "x")).unwrap();
        bytes[1] = 9;
        let refusal = read_request(bytes).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownVersion { asked: 9, spoken: vec![1] });
        let read = read_answer(write_answer(Err(refusal.clone()))).unwrap();
        assert_eq!(read, Err(refusal));
        assert!(read_answer(vec![0, 7, 0]).unwrap_err().contains("version 7"));
    }

    #[test]
    fn a_header_of_a_newer_node_is_understood_as_far_as_it_goes() {
        let header = br#"{"id":4,"from":"a.1","kind":"tree","colour":"red"}"#;
        let mut bytes = vec![0, 1, 0, 0, 0, u8::try_from(header.len()).unwrap()];
        bytes.extend_from_slice(header);
        let (header, body) = read_request(bytes).unwrap();
        assert_eq!((header.kind.as_str(), header.traceparent, body.len()), ("tree", None, 0));
        let newer = br#"{"refusal":"moon_is_full","message":"wait"}"#;
        let answer = read_answer([&[0, 1, 1][..], newer].concat()).unwrap();
        assert!(matches!(answer, Err(Refusal::Failed { message }) if message.contains("moon_is_full")));
    }

    #[test]
    fn what_does_not_fit_a_frame_is_never_written() {
        let body = |length| Request::new("x", vec![0; length]);
        let written = write_request(u64::MAX, "a.1", &body(CALL_BYTES_MAX)).unwrap();
        // ractor_cluster adds ids, a variant and lengths: less than 1 KiB.
        assert!((written.len() + 1024) as u64 <= crate::cluster::links::FRAME_BYTES_MAX);
        assert_eq!(
            write_request(1, "a.1", &body(CALL_BYTES_MAX + 1)),
            Err(Unsendable::Body(CALL_BYTES_MAX + 1))
        );
        assert_eq!(write_request(1, "a.1", &Request::new("k".repeat(65), "")), Err(Unsendable::Kind(65)));
        let answer = write_answer(Ok(vec![0; CALL_BYTES_MAX + 1].into()));
        assert!(matches!(
            read_answer(answer),
            Ok(Err(Refusal::AnswerTooLarge { bytes: 786_433, max: 786_432 }))
        ));
        let long = write_answer(Err(Refusal::failed("\u{0}".repeat(1_000_000))));
        assert!(long.len() < 64 * 1024, "{}", long.len());
        assert!(matches!(read_answer(long), Ok(Err(Refusal::Failed { .. }))));
    }

    #[test]
    fn trace_contexts_are_those_of_the_standard() {
        let check =
            |text: &str, is_one: bool| assert_eq!(text.parse::<Traceparent>().is_ok(), is_one, "{text}");
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false);
        check("", false);
    }

    proptest! {
        #[test]
        fn requests_survive_the_wire(id: u64, kind in "[a-z_]{0,64}", body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let request = Request::new(kind.clone(), body.clone())
                .traced("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok());
            let (header, read) = read_request(write_request(id, "a-1.17", &request).unwrap()).unwrap();
            prop_assert_eq!(&read[..], &body[..]);
            prop_assert_eq!(header, Header { id, from: "a-1.17".to_owned(), kind, traceparent: request.traceparent });
            prop_assert_eq!(read_answer(write_answer(Ok(body.clone().into()))), Ok(Ok(body.into())));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_request(bytes.clone());
            let _ = read_request([&[0, 1, 0, 0, 0][..], &bytes].concat());
            let _ = read_answer(bytes);
        }
    }
}
