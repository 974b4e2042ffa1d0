//! Canonical bytes of a row of `ledgers`: what its digest hashes, by the same sum as that of `token_transfers`.
//!
//! The digest is stored in tables and in their logs, so this layout is part of the table's identity
//! (`setsum-sha256-v1/ledgers-v1`): it never changes; another layout is another algorithm name.
//!
//! All integers are big-endian. Every field has a fixed length, so no two rows have the same bytes:
//!
//! | field | bytes |
//! |---|---|
//! | layout | `81` (rows of token_transfers begin with `01`) |
//! | sequence | u32 |
//! | hash, previous_hash | 32 each |
//! | closed_at | i64, seconds since 1970 |
//! | protocol_version | u32 |
//! | tx_set_hash, tx_set_result_hash | 32 each |
//! | tx_count, successful_tx_count, failed_tx_count, operation_count, event_count | u32 each |
//! | total_coins, fee_pool | i64 each |
//! | base_fee, base_reserve, max_tx_set_size | u32 each |
//! | row_digest | 32 |

use orrery_schemas::{Ledger, RowDigest};

/// Name of the algorithm, as the table's metadata states it.
pub const LEDGERS_DIGEST_ALGORITHM: &str = "setsum-sha256-v1/ledgers-v1";

const LAYOUT: u8 = 0x81;

/// The digest of rows of `ledgers`, in any order.
pub fn ledgers_digest<'a>(ledgers: impl IntoIterator<Item = &'a Ledger>) -> RowDigest {
    let mut digest = RowDigest::default();
    let mut bytes = Vec::new();
    for ledger in ledgers {
        bytes.clear();
        canonical(ledger, &mut bytes);
        digest.add_row(&bytes);
    }
    digest
}

fn canonical(ledger: &Ledger, bytes: &mut Vec<u8>) {
    let Ledger {
        sequence,
        hash,
        previous_hash,
        closed_at,
        protocol_version,
        tx_set_hash,
        tx_set_result_hash,
        tx_count,
        successful_tx_count,
        failed_tx_count,
        operation_count,
        event_count,
        total_coins,
        fee_pool,
        base_fee,
        base_reserve,
        max_tx_set_size,
        row_digest,
    } = ledger;
    bytes.push(LAYOUT);
    bytes.extend_from_slice(&sequence.0.to_be_bytes());
    bytes.extend_from_slice(&hash.0);
    bytes.extend_from_slice(&previous_hash.0);
    bytes.extend_from_slice(&closed_at.unix_seconds().to_be_bytes());
    bytes.extend_from_slice(&protocol_version.to_be_bytes());
    bytes.extend_from_slice(&tx_set_hash.0);
    bytes.extend_from_slice(&tx_set_result_hash.0);
    for count in [tx_count, successful_tx_count, failed_tx_count, operation_count, event_count] {
        bytes.extend_from_slice(&count.to_be_bytes());
    }
    for stroops in [total_coins, fee_pool] {
        bytes.extend_from_slice(&stroops.to_be_bytes());
    }
    for setting in [base_fee, base_reserve, max_tx_set_size] {
        bytes.extend_from_slice(&setting.to_be_bytes());
    }
    bytes.extend_from_slice(&row_digest.to_bytes());
}

#[cfg(test)]
mod tests {
    use orrery_schemas::{CloseTime, Hash32, LedgerSequence};

    use super::*;

    fn ledger() -> Ledger {
        Ledger {
            sequence: LedgerSequence(7),
            hash: Hash32([1; 32]),
            previous_hash: Hash32([2; 32]),
            closed_at: CloseTime::from_unix_seconds(1_725_274_219).unwrap(),
            protocol_version: 23,
            tx_set_hash: Hash32([3; 32]),
            tx_set_result_hash: Hash32([4; 32]),
            tx_count: 5,
            successful_tx_count: 3,
            failed_tx_count: 2,
            operation_count: 9,
            event_count: 11,
            total_coins: 1_054_439_020_873_472_865,
            fee_pool: -1,
            base_fee: 100,
            base_reserve: 5_000_000,
            max_tx_set_size: 1000,
            row_digest: RowDigest::from_bytes([5; 32]).unwrap(),
        }
    }

    /// The answer is the table above, written out by hand: stored digests depend on it.
    #[test]
    fn the_layout_is_the_one_that_stored_digests_were_made_with() {
        let mut bytes = Vec::new();
        canonical(&ledger(), &mut bytes);
        let expect = [
            "8100000007",
            &"01".repeat(32),
            &"02".repeat(32),
            "0000000066d5986b00000017",
            &"03".repeat(32),
            &"04".repeat(32),
            "000000050000000300000002000000090000000b",
            "0ea21eb3ec795b61ffffffffffffffff",
            "00000064004c4b40000003e8",
            &"05".repeat(32),
        ];
        assert_eq!(hex::encode(&bytes), expect.concat());
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_every_field_does() {
        let (a, b) = (ledger(), Ledger { sequence: LedgerSequence(8), ..ledger() });
        assert_eq!(ledgers_digest([&a, &b]), ledgers_digest([&b, &a]));
        let fee = Ledger { base_fee: 101, ..ledger() };
        assert_ne!(ledgers_digest([&a]), ledgers_digest([&fee]));
        assert_ne!(ledgers_digest([&a]), ledgers_digest([&b]));
    }
}
