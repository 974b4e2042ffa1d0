//! Canonical bytes of a row: what [`crate::RowDigest`] hashes.
//!
//! The digest is stored in tables and in their logs, so this layout is part of the table's identity
//! (`setsum-sha256-v1`): it never changes; another layout is another algorithm name.
//!
//! All integers are big-endian. Fields follow each other in this order, and each is of a length that its own first
//! bytes tell, so no two rows have the same bytes:
//!
//! | field | bytes |
//! |---|---|
//! | layout | `01` |
//! | ledger_sequence | u32 |
//! | closed_at | i64, seconds since 1970 |
//! | tx_hash | 32 |
//! | tx_index | u32 |
//! | op_index | `00`, or `01` and u32 |
//! | event_index, ledger_event_index | u32 each |
//! | kind | 1: place in transfer, mint, burn, clawback, fee, from 0 |
//! | op_type | `00`, or `01` and 1: number of the operation in Stellar's XDR |
//! | contract_id | 32 |
//! | asset | `00` none, `01` native, `02` code of 4 bytes and issuer, `03` code of 12 bytes and issuer |
//! | from, to | `00` none, `01` account, `02` contract, `03` multiplexed account, `04` claimable balance, `05` liquidity pool, `06` multiplexed contract; then 32, and u64 if multiplexed |
//! | amount | i128 |
//! | to_muxed | `00` none, `01` and u64, `02` and u32 length and the text's bytes, `03` and 32 |
//! | tx_successful | `00` or `01` |
//!
//! Derived columns (event_id, asset_code, asset_issuer, amount) follow from these and are left out.

use crate::{Address, Asset, ToMuxed, TokenTransfer};

const LAYOUT: u8 = 1;

impl TokenTransfer {
    /// Appends the row's canonical bytes: equal rows have equal bytes, different rows different ones.
    pub fn digest_bytes(&self, bytes: &mut Vec<u8>) {
        bytes.push(LAYOUT);
        bytes.extend_from_slice(&self.ledger_sequence.0.to_be_bytes());
        bytes.extend_from_slice(&self.closed_at.unix_seconds().to_be_bytes());
        bytes.extend_from_slice(&self.tx_hash.0);
        bytes.extend_from_slice(&self.tx_index.to_be_bytes());
        match self.op_index {
            None => bytes.push(0),
            Some(index) => tagged(bytes, 1, &index.to_be_bytes()),
        }
        bytes.extend_from_slice(&self.event_index.to_be_bytes());
        bytes.extend_from_slice(&self.ledger_event_index.to_be_bytes());
        bytes.push(self.kind as u8);
        match self.op_type {
            None => bytes.push(0),
            Some(op_type) => tagged(bytes, 1, &[op_type as u8]),
        }
        bytes.extend_from_slice(&self.contract_id.0);
        asset(bytes, self.asset.as_ref());
        address(bytes, self.from.as_ref());
        address(bytes, self.to.as_ref());
        bytes.extend_from_slice(&self.amount.to_be_bytes());
        match &self.to_muxed {
            None => bytes.push(0),
            Some(ToMuxed::Id(id)) => tagged(bytes, 1, &id.to_be_bytes()),
            Some(ToMuxed::Text(text)) => {
                // A text is part of one ledger and far shorter than 4 GiB.
                tagged(bytes, 2, &(text.len() as u32).to_be_bytes());
                bytes.extend_from_slice(text);
            }
            Some(ToMuxed::Hash(hash)) => tagged(bytes, 3, &hash.0),
        }
        bytes.push(self.tx_successful.into());
    }
}

fn asset(bytes: &mut Vec<u8>, asset: Option<&Asset>) {
    match asset {
        None => bytes.push(0),
        Some(Asset::Native) => bytes.push(1),
        Some(Asset::Credit4 { code, issuer }) => {
            tagged(bytes, 2, code);
            bytes.extend_from_slice(issuer);
        }
        Some(Asset::Credit12 { code, issuer }) => {
            tagged(bytes, 3, code);
            bytes.extend_from_slice(issuer);
        }
    }
}

fn address(bytes: &mut Vec<u8>, address: Option<&Address>) {
    match address {
        None => bytes.push(0),
        Some(Address::Account(key)) => tagged(bytes, 1, key),
        Some(Address::Contract(id)) => tagged(bytes, 2, id),
        Some(Address::MuxedAccount { account, id }) => {
            tagged(bytes, 3, account);
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        Some(Address::ClaimableBalance(id)) => tagged(bytes, 4, id),
        Some(Address::LiquidityPool(id)) => tagged(bytes, 5, id),
        Some(Address::MuxedContract { contract, id }) => {
            tagged(bytes, 6, contract);
            bytes.extend_from_slice(&id.to_be_bytes());
        }
    }
}

fn tagged(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    bytes.push(tag);
    bytes.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CloseTime, ContractId, Hash32, Kind, LedgerSequence, OpType, RowDigest, Toid};

    /// The answers were computed from the table above, not by this code: stored digests depend on them.
    #[test]
    fn the_layout_is_the_one_that_stored_digests_were_made_with() {
        let ledger_sequence = LedgerSequence(7);
        let payment = TokenTransfer {
            ledger_sequence,
            closed_at: CloseTime::from_unix_seconds(1_725_274_219).unwrap(),
            tx_hash: Hash32([1; 32]),
            tx_index: 1,
            op_index: Some(2),
            event_index: 3,
            ledger_event_index: 4,
            toid: Toid::new(ledger_sequence, 1, Some(2)).unwrap(),
            kind: Kind::Transfer,
            op_type: Some(OpType::Payment),
            contract_id: ContractId([2; 32]),
            asset: Some(Asset::Credit4 { code: *b"USD\0", issuer: [3; 32] }),
            from: Some(Address::MuxedAccount { account: [4; 32], id: 9 }),
            to: Some(Address::ClaimableBalance([5; 32])),
            amount: 10_i128.pow(38),
            to_muxed: Some(ToMuxed::Text(b"\xffm".to_vec())),
            tx_successful: true,
        };
        let fee = TokenTransfer {
            op_index: None,
            event_index: 0,
            ledger_event_index: 0,
            toid: Toid::new(ledger_sequence, 1, None).unwrap(),
            kind: Kind::Fee,
            op_type: None,
            asset: Some(Asset::Native),
            from: Some(Address::Account([4; 32])),
            to: None,
            amount: -100,
            to_muxed: None,
            tx_successful: false,
            ..payment.clone()
        };
        let mut bytes = Vec::new();
        payment.digest_bytes(&mut bytes);
        let expect = [
            "01000000070000000066d5986b",
            &"01".repeat(32),
            "0000000101000000020000000300000004000101",
            &"02".repeat(32),
            "0255534400",
            &"03".repeat(32),
            "03",
            &"04".repeat(32),
            "000000000000000904",
            &"05".repeat(32),
            "4b3b4ca85a86c47a098a2240000000000200000002ff6d01",
        ];
        assert_eq!(hex::encode(&bytes), expect.concat());
        assert_eq!(
            RowDigest::of([&fee, &payment]).to_string(),
            "5af065c7a2157ba83a604b574477e3d315c6bf4dde8ff7cf698ff65080cce3cd"
        );
    }
}
