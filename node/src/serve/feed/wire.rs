//! WebSocket frames (RFC 6455) without extensions: bytes to messages, and the heads of frames. Pure.
//!
//! A frame's payload is never copied on its way out: many connections are sent the same bytes, and none keeps a buffer of
//! its own. On the way in, nothing is held but the message that is not whole yet, which has a limit.

/// Longest payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

/// Which end reads: clients mask what they send, servers do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Server,
    Client,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// What came from the other end, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// The other end closes; `None` without a code.
    Close(Option<(u16, String)>),
}

/// The other end breaks the protocol, or a limit: it is told this code, and the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (code {code})")]
pub(crate) struct Violation {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

const fn broken(reason: &'static str) -> Violation {
    Violation { code: 1002, reason }
}

/// Takes bytes as they come.
pub(crate) struct Decoder {
    end: End,
    message_bytes_max: usize,
    /// The head of a frame, as far as it is there.
    head: [u8; 14],
    head_bytes: usize,
    /// The frame whose payload comes now.
    frame: Option<Frame>,
    /// Of the data message that is not whole.
    message: Vec<u8>,
    /// What it is, between its first and its last frame.
    kind: Option<Opcode>,
    /// Of the control frame that is not whole.
    control: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    remaining: u64,
    mask: [u8; 4],
    /// Place of the next byte in the mask.
    at: usize,
}

impl Decoder {
    /// Of the end that reads; longer messages are refused.
    pub(crate) fn new(end: End, message_bytes_max: usize) -> Self {
        Self {
            end,
            message_bytes_max,
            head: [0; 14],
            head_bytes: 0,
            frame: None,
            message: Vec::new(),
            kind: None,
            control: Vec::new(),
        }
    }

    /// Takes bytes, and adds what is whole to `messages`. After a violation nothing that comes means anything.
    ///
    /// # Errors
    ///
    /// [`Violation`].
    pub(crate) fn take(&mut self, mut bytes: &[u8], messages: &mut Vec<Incoming>) -> Result<(), Violation> {
        loop {
            match self.frame {
                None => {
                    let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
                    bytes = rest;
                    self.head[self.head_bytes] = *byte;
                    self.head_bytes += 1;
                    self.frame = self.parse_head()?;
                    if self.frame.is_some() {
                        self.head_bytes = 0;
                    }
                }
                Some(mut frame) => {
                    let count = bytes.len().min(usize::try_from(frame.remaining).unwrap_or(usize::MAX));
                    let (payload, rest) = bytes.split_at(count);
                    bytes = rest;
                    let target = if frame.is_control() { &mut self.control } else { &mut self.message };
                    target.extend(
                        payload
                            .iter()
                            .enumerate()
                            .map(|(index, byte)| byte ^ frame.mask[(frame.at + index) % 4]),
                    );
                    frame.at = (frame.at + count) % 4;
                    frame.remaining -= count as u64;
                    self.frame = Some(frame);
                    if frame.remaining > 0 {
                        return Ok(());
                    }
                    self.frame = None;
                    messages.extend(self.ended(frame)?);
                }
            }
        }
    }

    /// The frame, once its head is whole.
    fn parse_head(&mut self) -> Result<Option<Frame>, Violation> {
        let head = &self.head[..self.head_bytes];
        let [first, second, more @ ..] = head else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(broken("reserved bits are set, but no extension was agreed on"));
        }
        let (is_final, is_masked) = (first & 0x80 != 0, second & 0x80 != 0);
        if is_masked != (self.end == End::Server) {
            return Err(broken("frames of a client are masked, those of a server are not"));
        }
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if more.len() < length_bytes + if is_masked { 4 } else { 0 } {
            return Ok(None);
        }
        let (length, mask) = more.split_at(length_bytes);
        let remaining = match length {
            [] => u64::from(second & 0x7f),
            length => length.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte)),
        };
        let mask = mask.try_into().unwrap_or([0; 4]);
        let frame = Frame { opcode: opcode(first & 0x0f)?, is_final, remaining, mask, at: 0 };
        self.check(frame)?;
        Ok(Some(frame))
    }

    fn check(&mut self, frame: Frame) -> Result<(), Violation> {
        if frame.is_control() {
            return match frame.is_final && frame.remaining <= CONTROL_BYTES_MAX {
                true => Ok(()),
                false => Err(broken("a control frame is long or in parts")),
            };
        }
        match (frame.opcode, self.kind) {
            (Opcode::Continuation, None) => return Err(broken("a message goes on that did not begin")),
            (Opcode::Continuation, Some(_)) => {}
            (_, Some(_)) => return Err(broken("a message begins in the middle of another")),
            (kind, None) => self.kind = Some(kind),
        }
        let length = (self.message.len() as u64).saturating_add(frame.remaining);
        if length > self.message_bytes_max as u64 {
            return Err(Violation { code: 1009, reason: "the message is too long" });
        }
        Ok(())
    }

    /// What a frame made whole.
    fn ended(&mut self, frame: Frame) -> Result<Option<Incoming>, Violation> {
        let not_text = Violation { code: 1007, reason: "text is not UTF-8" };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| not_text);
        if frame.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match frame.opcode {
                Opcode::Ping => Incoming::Ping(payload),
                Opcode::Pong => Incoming::Pong,
                _ => match payload.as_slice() {
                    [] => Incoming::Close(None),
                    [high, low, reason @ ..] if is_code(u16::from_be_bytes([*high, *low])) => {
                        Incoming::Close(Some((u16::from_be_bytes([*high, *low]), text(reason.to_vec())?)))
                    }
                    _ => return Err(broken("the close code is none")),
                },
            }));
        }
        if !frame.is_final {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.message);
        Ok(Some(match self.kind.take() {
            Some(Opcode::Binary) => Incoming::Binary(payload),
            _ => Incoming::Text(text(payload)?),
        }))
    }
}

impl Frame {
    fn is_control(self) -> bool {
        matches!(self.opcode, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

fn opcode(bits: u8) -> Result<Opcode, Violation> {
    Ok(match bits {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(broken("a frame of an unknown kind")),
    })
}

/// Whether a close frame may have this code (RFC 6455, 7.4).
fn is_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The head of a whole message's frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    bytes: [u8; 14],
    len: usize,
}

impl Head {
    /// Of a payload of so many bytes; a client gives the mask that it applied.
    pub(crate) fn new(opcode: Opcode, payload_bytes: usize, mask: Option<[u8; 4]>) -> Self {
        let mut head = Self { bytes: [0; 14], len: 0 };
        let is_masked = if mask.is_some() { 0x80 } else { 0 };
        head.push(&[0x80 | opcode as u8]);
        match payload_bytes {
            0..=125 => head.push(&[is_masked | payload_bytes as u8]),
            126..=0xffff => {
                head.push(&[is_masked | 126]);
                head.push(&(payload_bytes as u16).to_be_bytes());
            }
            _ => {
                head.push(&[is_masked | 127]);
                head.push(&(payload_bytes as u64).to_be_bytes());
            }
        }
        head.push(&mask.iter().flatten().copied().collect::<Vec<_>>());
        head
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The payload of a close frame; a reason that is too long is cut.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(CONTROL_BYTES_MAX as usize - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    [&code.to_be_bytes()[..], &reason.as_bytes()[..end]].concat()
}

/// A client's frame: head, and payload as masked.
pub(crate) fn masked(opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let head = Head::new(opcode, payload.len(), Some(mask));
    let payload = payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]);
    head.as_bytes().iter().copied().chain(payload).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x12, 0xf0, 0x00, 0x55];

    fn decode(end: End, bytes: &[u8], step: usize) -> Result<Vec<Incoming>, Violation> {
        let mut decoder = Decoder::new(end, 1000);
        let mut messages = Vec::new();
        for part in bytes.chunks(step) {
            decoder.take(part, &mut messages)?;
        }
        Ok(messages)
    }

    fn part(opcode: Opcode, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = masked(opcode, payload, MASK);
        frame[0] = if is_final { frame[0] } else { frame[0] & 0x7f };
        frame
    }

    #[test]
    fn messages_are_whole_however_their_bytes_come() {
        let text = |text: &str| Incoming::Text(text.to_owned());
        let check = |bytes: Vec<u8>, expect: &[Incoming]| {
            for step in [1, 2, 3, 7, bytes.len().max(1)] {
                assert_eq!(decode(End::Server, &bytes, step).unwrap(), expect, "{bytes:?} by {step}");
            }
        };
        check(masked(Opcode::Text, "a\u{e9}".as_bytes(), MASK), &[text("a\u{e9}")]);
        check(masked(Opcode::Text, b"", MASK), &[text("")]);
        check(masked(Opcode::Binary, &[1, 255], MASK), &[Incoming::Binary(vec![1, 255])]);
        for length in [125, 126, 127, 999] {
            check(masked(Opcode::Text, &vec![b'x'; length], MASK), &[text(&"x".repeat(length))]);
        }
        let parts = [
            part(Opcode::Text, false, b"a\xc3"),
            part(Opcode::Ping, true, b"p"),
            part(Opcode::Continuation, false, b""),
            part(Opcode::Continuation, true, b"\xa9b"),
            part(Opcode::Text, true, b"c"),
        ];
        check(parts.concat(), &[Incoming::Ping(b"p".to_vec()), text("a\u{e9}b"), text("c")]);
        check(masked(Opcode::Pong, b"x", MASK), &[Incoming::Pong]);
        check(masked(Opcode::Close, b"", MASK), &[Incoming::Close(None)]);
        let closed = masked(Opcode::Close, &close_payload(4008, "53312000:17"), MASK);
        check(closed, &[Incoming::Close(Some((4008, "53312000:17".to_owned())))]);
    }

    #[test]
    fn a_client_reads_what_a_server_sends() {
        for length in [0, 125, 126, 999] {
            let payload = vec![b'y'; length];
            let frame = [Head::new(Opcode::Text, length, None).as_bytes(), &payload].concat();
            let expect = [Incoming::Text(String::from_utf8(payload).unwrap())];
            assert_eq!(decode(End::Client, &frame, 5).unwrap(), expect);
            assert_eq!(decode(End::Server, &frame, 5).unwrap_err().code, 1002, "it is not masked");
        }
        assert_eq!(
            Head::new(Opcode::Binary, 70_000, None).as_bytes(),
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]
        );
    }

    #[test]
    fn what_breaks_the_protocol_or_a_limit_is_refused_with_its_code() {
        let check = |bytes: Vec<u8>, code: u16| {
            let found = decode(End::Server, &bytes, bytes.len()).unwrap_err();
            assert_eq!(found.code, code, "{bytes:?}: {found}");
        };
        let bits = |first: u8| [&[first][..], &masked(Opcode::Text, b"a", MASK)[1..]].concat();
        for first in [0xc1, 0xa1, 0x91] {
            check(bits(first), 1002);
        }
        for opcode in (3..8).chain(11..16) {
            check(bits(0x80 | opcode), 1002);
        }
        check(masked(Opcode::Text, &[b'x'; 1001], MASK), 1009);
        check(part(Opcode::Text, true, &[0xff]), 1007);
        check(part(Opcode::Text, true, &[0xed, 0xa0, 0x80]), 1007);
        check(part(Opcode::Continuation, true, b"a"), 1002);
        check([part(Opcode::Text, false, b"a"), part(Opcode::Text, true, b"b")].concat(), 1002);
        let long = [part(Opcode::Text, false, &[b'x'; 600]), part(Opcode::Continuation, true, &[b'x'; 600])];
        check(long.concat(), 1009);
        check(part(Opcode::Ping, true, &[0; 126]), 1002);
        check(part(Opcode::Ping, false, b""), 1002);
        check(part(Opcode::Close, true, &[3]), 1002);
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000_u16] {
            check(part(Opcode::Close, true, &code.to_be_bytes()), 1002);
        }
        check(part(Opcode::Close, true, &[3, 232, 0xff]), 1007);
        // A length of 2^63 costs nothing.
        check([&[0x81, 0xff][..], &[0x80, 0, 0, 0, 0, 0, 0, 0], &MASK].concat(), 1009);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(close_payload(1000, &"\u{e9}".repeat(99)).len(), 2 + 122);
    }

    fn pieces() -> Vec<Vec<u8>> {
        let text = masked(Opcode::Text, "{\"op\":\"\u{e9}\"}".as_bytes(), MASK);
        let parts = [part(Opcode::Text, false, b"a\xc3"), part(Opcode::Continuation, true, b"\xa9b")];
        let long = masked(Opcode::Binary, &[7; 300], MASK);
        let closed = masked(Opcode::Close, &close_payload(4008, "53312000:17"), MASK);
        vec![text, parts.concat(), long, closed, masked(Opcode::Ping, b"p", MASK)]
    }

    proptest::proptest! {
        /// Whatever comes, it is read alike in one piece and byte by byte, up to the same violation.
        #[test]
        fn bytes_are_read_alike_however_they_come(
            first in crate::serve::damaged::damaged(pieces()),
            second in crate::serve::damaged::damaged(pieces()),
        ) {
            let bytes = [first, second].concat();
            let read = |step: usize| {
                let mut decoder = Decoder::new(End::Server, 1000);
                let mut messages = Vec::new();
                let mut parts = bytes.chunks(step);
                let refused = parts.find_map(|part| decoder.take(part, &mut messages).err());
                (messages, refused.map(|violation| violation.code))
            };
            let whole = read(bytes.len().max(1));
            proptest::prop_assert_eq!(&read(1), &whole);
            proptest::prop_assert_eq!(&read(7), &whole);
        }
    }
}
