//! Datagrams that only who has the cluster's gossip key can make.
//!
//! ```text
//! version 1 | length of sender 1 | sender, as name.incarnation | sequence 8, big-endian | payload | HMAC-SHA256 32
//! ```
//!
//! The tag is over all that stands before it and over the cluster's name. The sequence grows with every datagram of a
//! sender's life; a receiver takes each once, and none that is far behind: what was captured cannot be sent again to who
//! has seen it. Datagrams are authentic, not secret: they hold names, addresses and loads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use thiserror::Error;

use crate::cluster::{ClusterName, NodeIdentity};

/// The only version there is. Another is refused, and counted as such.
const VERSION: u8 = 1;

const TAG_BYTES: usize = 32;
const SEQUENCE_BYTES: usize = 8;

/// The most that stands around a payload: name and incarnation have up to 63 + 1 + 20 characters.
pub(super) const OVERHEAD_MAX: usize = 2 + 84 + SEQUENCE_BYTES + TAG_BYTES;

/// The most senders whose sequence is remembered. Only who has the key can add one.
const SENDERS_MAX: usize = 1024;

/// Datagrams that may overtake another.
const WINDOW: u64 = 64;

/// Why a datagram is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    /// It is cut short, or its sender is no node.
    #[error("not a datagram of a cluster")]
    Malformed,
    /// Of a newer or an older program.
    #[error("of an unknown version")]
    Version,
    /// Made without the key, for another cluster, or changed on its way.
    #[error("its tag is wrong: another gossip key or another cluster")]
    Tag,
    /// It was taken before, or is too old to know.
    #[error("seen before")]
    Repeated,
    /// It comes from this node itself.
    #[error("sent by this node")]
    Own,
    /// What it holds is no gossip.
    #[error("its payload is no gossip")]
    Payload,
}

impl Refusal {
    /// As a label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Tag => "tag",
            Self::Repeated => "repeated",
            Self::Own => "own",
            Self::Payload => "payload",
        }
    }
}

/// Makes and opens the datagrams of one node.
pub(super) struct Envelope {
    key: hmac::Key,
    cluster: ClusterName,
    me: NodeIdentity,
    sequence: u64,
    seen: BTreeMap<NodeIdentity, Window>,
    namesake: HeardNamesake,
}

/// The other life of this node's name of which a datagram came last: it was alive then.
#[derive(Clone, Debug, Default)]
pub(super) struct HeardNamesake(Arc<AtomicU64>);

impl HeardNamesake {
    /// Its incarnation.
    pub(super) fn incarnation(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|incarnation| *incarnation > 0)
    }
}

/// Which of the last datagrams of a sender were taken: bit 0 stands for `highest`.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    highest: u64,
    taken: u64,
}

impl Envelope {
    pub(super) fn new(gossip_key: &[u8; 32], cluster: ClusterName, me: NodeIdentity) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, gossip_key);
        let namesake = HeardNamesake::default();
        Self { key, cluster, me, sequence: 0, seen: BTreeMap::new(), namesake }
    }

    /// Shared with whoever wants to know of it.
    pub(super) fn namesake(&self) -> HeardNamesake {
        self.namesake.clone()
    }

    /// The payload, sealed.
    pub(super) fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.saturating_add(1);
        let sender = self.me.to_string();
        let mut datagram = Vec::with_capacity(payload.len() + OVERHEAD_MAX);
        // A name has at most 63 characters.
        let length = u8::try_from(sender.len()).unwrap_or(u8::MAX);
        datagram.extend([VERSION, length]);
        datagram.extend(sender.as_bytes());
        datagram.extend(self.sequence.to_be_bytes());
        datagram.extend(payload);
        let tag = self.sign(&datagram);
        datagram.extend(tag.as_ref());
        datagram
    }

    fn sign(&self, sealed: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(sealed);
        context.update(self.cluster.as_str().as_bytes());
        context.sign()
    }

    /// The payload of a datagram that another node of the cluster made and that was not opened before.
    pub(super) fn open<'a>(&mut self, datagram: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let (sealed, tag) = datagram.split_last_chunk::<TAG_BYTES>().ok_or(Refusal::Malformed)?;
        let (&[version, length], rest) = sealed.split_first_chunk().ok_or(Refusal::Malformed)?;
        if version != VERSION {
            return Err(Refusal::Version);
        }
        let (sender, rest) = rest.split_at_checked(usize::from(length)).ok_or(Refusal::Malformed)?;
        let (sequence, payload) = rest.split_first_chunk::<SEQUENCE_BYTES>().ok_or(Refusal::Malformed)?;
        let signed = [sealed, self.cluster.as_str().as_bytes()].concat();
        hmac::verify(&self.key, &signed, tag).map_err(|_| Refusal::Tag)?;
        let sender = str::from_utf8(sender).ok().and_then(|sender| sender.parse::<NodeIdentity>().ok());
        let sender = sender.ok_or(Refusal::Malformed)?;
        if sender == self.me {
            return Err(Refusal::Own);
        }
        let namesake = (sender.name == self.me.name).then_some(sender.incarnation);
        if !self.take(sender, u64::from_be_bytes(*sequence)) {
            return Err(Refusal::Repeated);
        }
        if let Some(incarnation) = namesake {
            self.namesake.0.store(incarnation, Ordering::Relaxed);
        }
        Ok(payload)
    }

    fn take(&mut self, sender: NodeIdentity, sequence: u64) -> bool {
        if !self.seen.contains_key(&sender) && self.seen.len() >= SENDERS_MAX {
            // The earliest life of the first name goes: a node has one life at a time, so that few entries are in use.
            self.seen.pop_first();
        }
        self.seen.entry(sender).or_default().take(sequence)
    }
}

impl Window {
    const fn take(&mut self, sequence: u64) -> bool {
        if sequence > self.highest {
            let ahead = sequence - self.highest;
            self.taken = if ahead < WINDOW { (self.taken << ahead) | 1 } else { 1 };
            self.highest = sequence;
            return true;
        }
        let behind = self.highest - sequence;
        if behind >= WINDOW || self.taken & (1 << behind) != 0 {
            return false;
        }
        self.taken |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(key: u8, cluster: &str, identity: &str) -> Envelope {
        Envelope::new(&[key; 32], cluster.parse().unwrap(), identity.parse().unwrap())
    }

    #[test]
    fn a_datagram_is_opened_once_by_who_has_the_key() {
        let check = |mut reader: Envelope, expect: Result<&[u8], Refusal>| {
            let datagram = envelope(1, "c", "a.1").seal(b"news");
            assert_eq!(reader.open(&datagram), expect);
            let again = if expect.is_ok() { Err(Refusal::Repeated) } else { expect };
            assert_eq!(reader.open(&datagram), again);
        };
        check(envelope(1, "c", "b.1"), Ok(b"news"));
        check(envelope(1, "c", "a.2"), Ok(b"news"));
        check(envelope(1, "c", "a.1"), Err(Refusal::Own));
        check(envelope(2, "c", "b.1"), Err(Refusal::Tag));
        check(envelope(1, "d", "b.1"), Err(Refusal::Tag));
    }

    #[test]
    fn another_life_of_the_name_is_noted_when_it_is_heard() {
        let check = |sender: &str, expect: Option<u64>| {
            let mut reader = envelope(1, "c", "a.2");
            let _ = reader.open(&envelope(1, "c", sender).seal(b"news"));
            assert_eq!(reader.namesake().incarnation(), expect, "{sender}");
        };
        check("b.1", None);
        check("a.2", None);
        check("a.1", Some(1));
        check("a.3", Some(3));
    }

    #[test]
    fn the_tag_is_hmac_sha256_over_datagram_and_cluster() {
        let datagram = envelope(0, "c", "a.1").seal(b"x");
        let (sealed, tag) = datagram.split_at(datagram.len() - TAG_BYTES);
        assert_eq!(sealed, b"\x01\x03a.1\0\0\0\0\0\0\0\x01x");
        // By Python's hmac module.
        assert_eq!(hex::encode(tag), "8a4f5749efbb08f798d2ab41bd683de0f2fefb203b7e6cae9dd76652e7e95660");
    }

    #[test]
    fn any_change_is_noticed() {
        let datagram = envelope(1, "c", "a.1").seal(b"news");
        for index in 0..datagram.len() {
            for bit in 0..8 {
                let mut changed = datagram.clone();
                changed[index] ^= 1 << bit;
                assert!(envelope(1, "c", "b.1").open(&changed).is_err(), "byte {index} bit {bit}");
            }
        }
        for length in 0..datagram.len() {
            assert!(envelope(1, "c", "b.1").open(&datagram[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(envelope(1, "c", "b.1").open(&[2; 200]), Err(Refusal::Version));
    }

    #[test]
    fn datagrams_may_overtake_each_other_within_the_window() {
        let check = |sequences: &[u64], expect: &[bool]| {
            let mut window = Window::default();
            let taken: Vec<_> = sequences.iter().map(|sequence| window.take(*sequence)).collect();
            assert_eq!(taken, expect, "{sequences:?}");
        };
        check(&[1, 2, 3], &[true, true, true]);
        check(&[2, 1, 1, 2], &[true, true, false, false]);
        check(&[64, 1, 0], &[true, true, false]);
        check(&[65, 1, 2], &[true, false, true]);
        check(&[1, 1000, 1, 999, u64::MAX, 1000], &[true, true, false, true, true, false]);
    }

    proptest! {
        #[test]
        fn no_sequence_is_taken_twice(sequences in proptest::collection::vec(0_u64..200, 0..300)) {
            let mut window = Window::default();
            let mut taken: Vec<_> = sequences.into_iter().filter(|sequence| window.take(*sequence)).collect();
            let count = taken.len();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), count);
        }

        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(envelope(1, "c", "b.1").open(&bytes).is_err());
        }
    }
}
