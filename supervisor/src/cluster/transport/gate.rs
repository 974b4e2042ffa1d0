//! Who may begin a handshake: decides, and holds no socket.

use std::collections::VecDeque;
use std::net::IpAddr;

/// Number of one handshake.
pub(super) type Ticket = u64;

/// What to do with a socket that was just accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Begin its handshake; end that of `evicted` first.
    Admitted {
        ticket: Ticket,
        /// The oldest, which made no use of its time, if all places were taken.
        evicted: Option<Ticket>,
    },
    /// Close it: its address has as many in work as it may.
    TooManyOfAddress,
}

/// Handshakes in work, oldest first.
#[derive(Debug)]
pub(super) struct Gate {
    handshakes_max: usize,
    per_address_max: usize,
    waiting: VecDeque<(Ticket, IpAddr)>,
    next: Ticket,
}

impl Gate {
    pub(super) const fn new(handshakes_max: usize, per_address_max: usize) -> Self {
        Self { handshakes_max, per_address_max, waiting: VecDeque::new(), next: 0 }
    }

    /// A socket came from `address`.
    ///
    /// Those that are silent hold their place for the whole deadline, those that speak for a few round trips. So the
    /// oldest is the one to give way: a flood of silent ones does not keep out the others.
    pub(super) fn arrive(&mut self, address: IpAddr) -> Arrival {
        // ::ffff:1.2.3.4 and 1.2.3.4 are one address.
        let address = address.to_canonical();
        let of_address = self.waiting.iter().filter(|(_, other)| *other == address).count();
        if of_address >= self.per_address_max {
            return Arrival::TooManyOfAddress;
        }
        let is_full = self.waiting.len() >= self.handshakes_max;
        let evicted = if is_full { self.waiting.pop_front().map(|(ticket, _)| ticket) } else { None };
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back((ticket, address));
        Arrival::Admitted { ticket, evicted }
    }

    /// A handshake ended, however it did; again for the same one does nothing.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|(other, _)| *other != ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let mut gate = Gate::new(64, 2);
        let admitted = |ticket| Arrival::Admitted { ticket, evicted: None };
        assert_eq!(gate.arrive(address(1)), admitted(0));
        assert_eq!(gate.arrive(address(1)), admitted(1));
        assert_eq!(gate.arrive(address(1)), Arrival::TooManyOfAddress);
        let mapped: Ipv6Addr = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped();
        assert_eq!(gate.arrive(mapped.into()), Arrival::TooManyOfAddress);
        assert_eq!(gate.arrive(address(2)), admitted(2));
        gate.leave(0);
        gate.leave(0);
        assert_eq!(gate.arrive(address(1)), admitted(3));
    }

    #[test]
    fn the_oldest_gives_way_when_all_places_are_taken() {
        let mut gate = Gate::new(3, 3);
        for last in 0..3 {
            gate.arrive(address(last));
        }
        assert_eq!(gate.arrive(address(9)), Arrival::Admitted { ticket: 3, evicted: Some(0) });
        gate.leave(1);
        assert_eq!(gate.arrive(address(9)), Arrival::Admitted { ticket: 4, evicted: None });
        assert_eq!(gate.arrive(address(9)), Arrival::Admitted { ticket: 5, evicted: Some(2) });
    }

    proptest! {
        #[test]
        fn limits_hold_whatever_comes_and_goes(steps in proptest::collection::vec((0_u8..6, any::<bool>()), 0..200)) {
            let mut gate = Gate::new(5, 2);
            let mut open: Vec<(Ticket, u8)> = Vec::new();
            for (last, leaves) in steps {
                if leaves && !open.is_empty() {
                    let (ticket, _) = open.remove(usize::from(last) % open.len());
                    gate.leave(ticket);
                } else {
                    match gate.arrive(address(last)) {
                        Arrival::Admitted { ticket, evicted } => {
                            open.retain(|(other, _)| Some(*other) != evicted);
                            open.push((ticket, last));
                        }
                        Arrival::TooManyOfAddress => {
                            prop_assert_eq!(open.iter().filter(|(_, other)| *other == last).count(), 2);
                        }
                    }
                }
                prop_assert!(open.len() <= 5);
                prop_assert!((0..6).all(|last| open.iter().filter(|(_, other)| *other == last).count() <= 2));
                prop_assert_eq!(gate.waiting.len(), open.len());
            }
        }
    }
}
