//! The strkeys of the addresses seen last. Most addresses of a ledger occur again in it or in the next (in the real
//! ledgers at hand: 9 of 10 contracts and issuers, 6 to 7 of 10 senders and receivers), and a strkey costs a checksum
//! and an encoding each time.

use crate::Address;

/// Addresses kept. Ten times as many would no longer fit the processor's nearer caches; a tenth loses hits.
const SLOTS: usize = 1024;

/// One address a slot; a newcomer takes the place of the one before.
pub(crate) struct StrkeyMemo(Vec<Slot>);

#[derive(Clone, Default)]
struct Slot {
    address: Option<Address>,
    strkey: String,
}

impl StrkeyMemo {
    pub(crate) fn new() -> Self {
        Self(vec![Slot::default(); SLOTS])
    }

    /// The address as its strkey.
    pub(crate) fn strkey(&mut self, address: &Address) -> &str {
        let key = match address {
            Address::Account(key)
            | Address::Contract(key)
            | Address::MuxedAccount { account: key, .. }
            | Address::ClaimableBalance(key)
            | Address::LiquidityPool(key)
            | Address::MuxedContract { contract: key, .. } => key,
        };
        // Keys are public keys and hashes: their first bits are as good as any hash of them.
        let slot = &mut self.0[usize::from(u16::from_le_bytes([key[0], key[1]])) % SLOTS];
        if slot.address.as_ref() != Some(address) {
            slot.address = Some(*address);
            slot.strkey.clear();
            slot.strkey.push_str(address.strkey().to_string().as_str());
        }
        &slot.strkey
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_slot_do_not_mix() {
        let mut memo = StrkeyMemo::new();
        let [mut a, mut b] = [[7; 32], [7; 32]];
        (a[31], b[31]) = (1, 2);
        let addresses = [
            Address::Account(a),
            Address::Account(b),
            Address::Contract(a),
            Address::MuxedAccount { account: a, id: 1 },
            Address::MuxedAccount { account: a, id: 2 },
        ];
        for address in addresses.iter().chain(&addresses).chain([&addresses[4]]) {
            assert_eq!(memo.strkey(address), address.to_string());
        }
    }
}
