//! WebSocket frames of a server, without keeping them: of each, its length, its first and its last bytes.
//!
//! A client among ten thousand has no room for a frame that came in parts, and of most bytes nothing is asked but that they
//! are there.

/// First bytes of a frame that are kept: all of a heartbeat, and of events everything before the list.
pub(super) const HEAD_BYTES: usize = 288;

/// Last bytes that are kept: the cursor of events.
pub(super) const TAIL_BYTES: usize = 40;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Data,
    Close,
    Ping,
    Other,
}

/// A frame that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) opcode: Opcode,
    /// Of its payload.
    pub(super) bytes: u64,
    pub(super) head: &'a [u8],
    pub(super) tail: &'a [u8],
}

/// Takes bytes as they come.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    /// The frame's own head, as far as it is there; its payload follows when `has_begun`.
    prefix: [u8; 10],
    prefix_bytes: u8,
    has_begun: bool,
    bytes: u64,
    remaining: u64,
    head: [u8; HEAD_BYTES],
    tail: [u8; TAIL_BYTES],
}

impl Decoder {
    pub(super) const fn new() -> Self {
        Self {
            prefix: [0; 10],
            prefix_bytes: 0,
            has_begun: false,
            bytes: 0,
            remaining: 0,
            head: [0; HEAD_BYTES],
            tail: [0; TAIL_BYTES],
        }
    }

    /// Takes bytes, and calls `whole` for every frame that ends in them.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut whole: impl FnMut(Frame<'_>)) {
        loop {
            if !self.has_begun {
                let Some((byte, rest)) = bytes.split_first() else { return };
                bytes = rest;
                self.prefix[usize::from(self.prefix_bytes)] = *byte;
                self.prefix_bytes += 1;
                let Some(length) = self.length() else { continue };
                (self.has_begun, self.bytes, self.remaining) = (true, length, length);
            }
            let count = bytes.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
            let (payload, rest) = bytes.split_at(count);
            self.keep(payload);
            bytes = rest;
            if self.remaining > 0 {
                return;
            }
            let kept = |of: usize| usize::try_from(self.bytes).unwrap_or(of).min(of);
            whole(Frame {
                opcode: opcode(self.prefix[0]),
                bytes: self.bytes,
                head: &self.head[..kept(HEAD_BYTES)],
                tail: &self.tail[TAIL_BYTES - kept(TAIL_BYTES)..],
            });
            (self.has_begun, self.prefix_bytes) = (false, 0);
        }
    }

    /// Of the payload, once the frame's head is whole. Servers do not mask.
    fn length(&self) -> Option<u64> {
        let [_, second, more @ ..] = &self.prefix[..usize::from(self.prefix_bytes)] else { return None };
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            length => return Some(u64::from(length)),
        };
        (more.len() == length_bytes)
            .then(|| more.iter().fold(0, |length: u64, byte| length << 8 | u64::from(*byte)))
    }

    fn keep(&mut self, payload: &[u8]) {
        let at = usize::try_from(self.bytes - self.remaining).unwrap_or(usize::MAX);
        if at < HEAD_BYTES {
            let count = payload.len().min(HEAD_BYTES - at);
            self.head[at..at + count].copy_from_slice(&payload[..count]);
        }
        let count = payload.len().min(TAIL_BYTES);
        self.tail.copy_within(count.., 0);
        self.tail[TAIL_BYTES - count..].copy_from_slice(&payload[payload.len() - count..]);
        self.remaining -= payload.len() as u64;
    }
}

fn opcode(first: u8) -> Opcode {
    match first & 0x0f {
        0..=2 => Opcode::Data,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        _ => Opcode::Other,
    }
}

/// A client's frame with a mask of zeroes, which changes nothing and is as good as any for a server.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = masked(first, payload);
        let length_bytes = frame.len() - payload.len() - 4;
        frame.drain(length_bytes..length_bytes + 4);
        frame[1] &= 0x7f;
        frame
    }

    #[test]
    fn frames_are_found_however_they_come() {
        let long: Vec<u8> = (0..70_000_u32).map(|byte| byte as u8).collect();
        let middle = &long[..300];
        let payloads: [(u8, &[u8]); 5] =
            [(0x81, b"{}"), (0x81, &long), (0x88, &[0x0f, 0xa8, b'7']), (0x89, b""), (0x82, middle)];
        let bytes: Vec<u8> = payloads.iter().flat_map(|(first, payload)| framed(*first, payload)).collect();
        for step in [1, 2, 3, 41, 129, 4096, bytes.len()] {
            let (mut decoder, mut found) = (Decoder::new(), Vec::new());
            for part in bytes.chunks(step) {
                decoder.take(part, |frame| {
                    found.push((frame.opcode, frame.bytes, frame.head.to_vec(), frame.tail.to_vec()));
                });
            }
            assert!(!decoder.has_begun && decoder.prefix_bytes == 0, "step {step}");
            let expect: Vec<_> = payloads
                .iter()
                .map(|(first, payload)| {
                    let head = payload[..payload.len().min(HEAD_BYTES)].to_vec();
                    let tail = payload[payload.len().saturating_sub(TAIL_BYTES)..].to_vec();
                    (opcode(*first), payload.len() as u64, head, tail)
                })
                .collect();
            assert_eq!(found, expect, "step {step}");
        }
    }
}
