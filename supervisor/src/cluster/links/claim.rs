//! What a peer claims to be called in ractor_cluster's own handshake, read before ractor_cluster reads it.
//!
//! Certificates prove a name, ractor_cluster believes any. Whoever has a certificate of the cluster could otherwise
//! claim to be another node: take over its link, or relay a handshake from one node to another. Frames are a length of 8
//! bytes and a protobuf message (auth.proto, meta.proto of ractor_cluster 0.16.5). Protobuf lets a later field replace an
//! earlier one, so that everything is refused here in which one field could hide another.

use thiserror::Error;

use crate::cluster::name::NodeIdentity;

/// Who waits for whose name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// We accepted: the peer begins, with its name.
    Accepted,
    /// We dialled: the peer answers with a status and then its challenge, which has its name.
    Dialled,
}

/// Bytes of a frame of the handshake: names are below 100.
pub(super) const CLAIM_FRAME_BYTES_MAX: usize = 4096;

/// Frames until the name must have come: a status and the challenge.
const CLAIM_FRAMES_MAX: u8 = 2;

/// What ractor_cluster calls the host part of a name; all nodes have the same, since ours is in the certificate.
pub(super) const HOST: &str = "orrery";

const LENGTH_DELIMITED: u64 = 2;

/// Why a handshake is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum ClaimError {
    #[error("the first messages are no handshake of ractor_cluster")]
    NotAHandshake,
    #[error("a message of the handshake has {0} bytes; {CLAIM_FRAME_BYTES_MAX} are the most")]
    TooLong(u64),
    #[error("it claims to be `{0}`, which is no node with its incarnation")]
    NoIdentity(String),
}

/// Looks at the frames of one handshake until the name has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    side: Side,
    frames: u8,
}

impl Claim {
    pub(super) const fn new(side: Side) -> Self {
        Self { side, frames: 0 }
    }

    /// Looks at one frame, without its length: the claimed identity, or nothing yet.
    pub(super) fn frame(&mut self, frame: &[u8]) -> Result<Option<NodeIdentity>, ClaimError> {
        self.frames += 1;
        let no_handshake = ClaimError::NotAHandshake;
        // NetworkMessage.auth = 1
        let (1, message) = only_field(frame).ok_or(no_handshake.clone())? else {
            return Err(no_handshake);
        };
        match (self.side, only_field(message).ok_or(no_handshake.clone())?) {
            // AuthenticationMessage.name = 1, .server_challenge = 4
            (Side::Accepted, (1, named)) | (Side::Dialled, (4, named)) => identity(named).map(Some),
            // .server_status = 2, which comes before the challenge
            (Side::Dialled, (2, _)) if self.frames < CLAIM_FRAMES_MAX => Ok(None),
            _ => Err(no_handshake),
        }
    }
}

/// NameMessage.name = 1, Challenge.name = 1: both first, both once.
fn identity(named: &[u8]) -> Result<NodeIdentity, ClaimError> {
    let mut fields = Fields(named);
    let mut name = None;
    while !fields.0.is_empty() {
        match fields.next_field().ok_or(ClaimError::NotAHandshake)? {
            (1, Some(text)) if name.is_none() => name = Some(text),
            (1, _) => return Err(ClaimError::NotAHandshake),
            _ => {}
        }
    }
    let name = std::str::from_utf8(name.ok_or(ClaimError::NotAHandshake)?);
    let name = name.map_err(|_| ClaimError::NotAHandshake)?;
    let no_identity =
        || ClaimError::NoIdentity(name.chars().take(80).flat_map(char::escape_default).collect());
    let (node, host) = name.split_once('@').ok_or_else(no_identity)?;
    if host != HOST {
        return Err(no_identity());
    }
    node.parse().map_err(|_| no_identity())
}

/// The one field of a message that has no other.
fn only_field(message: &[u8]) -> Option<(u64, &[u8])> {
    let mut fields = Fields(message);
    match fields.next_field()? {
        (number, Some(value)) if fields.0.is_empty() => Some((number, value)),
        _ => None,
    }
}

/// Reads protobuf fields from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Number and, if it has a length, content of the next field; nothing if the bytes are no field.
    fn next_field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let key = self.varint()?;
        let number = key >> 3;
        match key & 7 {
            0 => self.varint().map(|_| (number, None)),
            1 => self.take(8).map(|_| (number, None)),
            LENGTH_DELIMITED => {
                let length = self.varint()?;
                let content = self.take(usize::try_from(length).ok()?)?;
                Some((number, Some(content)))
            }
            5 => self.take(4).map(|_| (number, None)),
            // Groups are not used, and what is not known could be read in two ways.
            _ => None,
        }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for index in 0..10 {
            let byte = *self.take(1)?.first()?;
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let length = content.len();
        if length > 127 {
            bytes.push(u8::try_from(length & 0x7f | 0x80).unwrap());
        }
        bytes.push(u8::try_from(if length > 127 { length >> 7 } else { length }).unwrap());
        bytes.extend_from_slice(content);
        bytes
    }

    fn auth(number: u8, content: &[u8]) -> Vec<u8> {
        field(1, &field(number, content))
    }

    #[test]
    fn names_are_read_from_both_sides_of_the_handshake() {
        let name =
            [field(1, b"a-1.17@orrery"), field(2, &[8, 1]), field(3, b"orrery:0"), vec![0x20, 9]].concat();
        let claimed = Claim::new(Side::Accepted).frame(&auth(1, &name)).unwrap().unwrap();
        assert_eq!(claimed.to_string(), "a-1.17");
        let mut dialled = Claim::new(Side::Dialled);
        assert_eq!(dialled.frame(&auth(2, &[])), Ok(None));
        let challenge = [field(1, b"b.18@orrery"), vec![0x18, 0xff, 0x01]].concat();
        assert_eq!(dialled.frame(&auth(4, &challenge)).unwrap().unwrap().to_string(), "b.18");
    }

    #[test]
    fn what_could_hide_another_name_is_refused() {
        let check = |side, frame: &[u8]| {
            assert!(Claim::new(side).frame(frame).is_err(), "{side:?} {frame:?}");
        };
        let name = |name: &[u8]| auth(1, &field(1, name));
        let good = name(b"a.1@orrery");
        assert!(Claim::new(Side::Accepted).frame(&good).is_ok());
        check(Side::Accepted, &[good.clone(), name(b"b.1@orrery")].concat());
        check(Side::Accepted, &[good.clone(), field(2, b"")].concat());
        check(Side::Accepted, &field(1, &[field(1, &field(1, b"a.1@orrery")), field(2, b"")].concat()));
        check(Side::Accepted, &auth(1, &[field(1, b"a.1@orrery"), field(1, b"b.1@orrery")].concat()));
        check(Side::Accepted, &auth(1, &[vec![8, 1], field(1, b"b.1@orrery")].concat()));
        check(Side::Accepted, &auth(1, &field(2, b"a.1@orrery")));
        check(Side::Accepted, &auth(4, &field(1, b"a.1@orrery")));
        check(Side::Dialled, &good);
        check(Side::Accepted, &field(2, b"cast"));
        for bad in [
            &b"a.1"[..],
            b"a@orrery",
            b"a.1@elsewhere",
            b"a.b.1@orrery",
            b"",
            b"\xff@orrery",
            b"a.1@orrery@x",
        ] {
            check(Side::Accepted, &name(bad));
        }
        let mut waiting = Claim::new(Side::Dialled);
        assert_eq!(waiting.frame(&auth(2, &[])), Ok(None));
        assert!(waiting.frame(&auth(2, &[])).is_err(), "a status once");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Claim::new(Side::Accepted).frame(&bytes);
            let _ = Claim::new(Side::Dialled).frame(&bytes);
        }

        #[test]
        fn a_damaged_name_is_another_or_refused(at in 0_usize..14, byte: u8) {
            let mut frame = auth(1, &field(1, b"a.1@orrery"));
            prop_assume!(at < frame.len() && frame[at] != byte);
            frame[at] = byte;
            let claimed = Claim::new(Side::Accepted).frame(&frame);
            prop_assert!(claimed.is_err() || claimed.unwrap().unwrap().to_string() != "a.1");
        }
    }
}
