//! What a ledger's own hashes prove about it, in levels:
//!
//! | level | proves | binding |
//! |---|---|---|
//! | V0 | the numbers are contiguous | [`check_link`] |
//! | V1 | the header is the one that the meta names | SHA-256 of the header |
//! | V2 | it follows the ledger before | the header holds that ledger's hash |
//! | V3 | the transactions | the header holds the hash of their set |
//! | V4 | their results, each of a transaction of the set | the header holds the hash of the results |
//! | V5 | the events and return value of a contract call | its result holds their hash |
//!
//! Not bound by any hash: ledger entry changes, fee and classic events, diagnostics. Those are what
//! [`crate::processor::ttp::check_deltas`] compares with each other.

use std::ops::Range;

use orrery_schemas::Hash32;
use orrery_supervisor::seeded_bug;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::contract_call::{CallEvidence, contract_call};
use super::outcome::Outcome;
use super::parsed::ParsedLedger;
use super::view::TransactionSetKind;

/// What was found out about one ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integrity {
    /// Its place in the chain of ledgers.
    pub link: ChainLink,
    /// What does not hold; empty for a sound ledger.
    pub violations: Vec<Violation>,
    /// Contract calls whose events and return value are proven (V5).
    pub calls_proven: u32,
    /// Contract calls to protocol 22 whose events a later stellar-core rewrote to the form of protocol 23
    /// (`BACKFILL_STELLAR_ASSET_EVENTS`): their hash is of the original form, so nothing can be proven.
    pub calls_rewritten: u32,
    /// Calls of protocol 23 whose events follow mints and burns that were put in front after hashing (reconciliation of
    /// wrongly restored balances); the rest is proven.
    pub calls_reconciled: u32,
}

impl Integrity {
    /// Whether the ledger shows contract events that no hash binds: only event deltas can contradict them.
    pub fn has_unbound_calls(&self) -> bool {
        self.calls_reconciled > 0 || self.calls_rewritten > 0
    }
}

/// A ledger's place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Its number.
    pub sequence: u32,
    /// SHA-256 of its header, computed.
    pub hash: Hash32,
    /// The hash that its header gives for the ledger before.
    pub previous_hash: Hash32,
}

/// Something that a hash or a number contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// V0.
    #[error("V0: ledger {found} follows ledger {last}: the ledgers between are missing")]
    NotContiguous {
        /// The ledger before.
        last: u32,
        /// This one.
        found: u32,
    },
    /// V1.
    #[error("V1: the header's hash is {computed}, the meta says {claimed}")]
    Header {
        /// Of the header's bytes.
        computed: Hash32,
        /// By the meta.
        claimed: Hash32,
    },
    /// V2.
    #[error("V2: the header follows ledger hash {claimed}, the ledger before has {computed}")]
    PreviousLedger {
        /// Of the ledger before.
        computed: Hash32,
        /// By this header.
        claimed: Hash32,
    },
    /// V3.
    #[error("V3: the transaction set's hash is {computed}, the header says {claimed}")]
    TransactionSet {
        /// Of the set.
        computed: Hash32,
        /// By the header.
        claimed: Hash32,
    },
    /// V4, all results.
    #[error("V4: the results' hash is {computed}, the header says {claimed}")]
    Results {
        /// Of the results.
        computed: Hash32,
        /// By the header.
        claimed: Hash32,
    },
    /// V4, number of results.
    #[error("V4: {results} results for {transactions} transactions in the set")]
    ResultCount {
        /// In the meta.
        results: usize,
        /// In the set.
        transactions: usize,
    },
    /// V4, results of other transactions than the set holds, or of one twice.
    #[error(
        "V4: result {tx_index} is of transaction {hash}, which the set does not hold once, and {others} more: is the \
         network passphrase the ledger's?"
    )]
    ResultTransaction {
        /// The first, 1-based.
        tx_index: usize,
        /// As that result names it.
        hash: Hash32,
        /// How many more there are.
        others: usize,
    },
    /// V5.
    #[error(
        "V5: transaction {tx_index}: the contract call's events and return value do not hash to {claimed}"
    )]
    ContractCall {
        /// 1-based.
        tx_index: usize,
        /// By the result.
        claimed: Hash32,
    },
}

/// Checks V1 and V3 to V5 of one ledger. V0 and V2 take two: [`check_link`].
pub fn check(ledger: &ParsedLedger<'_>) -> Integrity {
    let header = &ledger.header;
    let hash =
        seeded_bug!(B13, Hash32(ledger.view.header_hash), Hash32(Sha256::digest(ledger.view.header).into()));
    let link =
        ChainLink { sequence: header.ledger_seq, hash, previous_hash: Hash32(header.previous_ledger_hash.0) };
    let mut integrity =
        Integrity { link, violations: Vec::new(), calls_proven: 0, calls_rewritten: 0, calls_reconciled: 0 };
    let violations = &mut integrity.violations;

    let claimed = Hash32(ledger.view.header_hash);
    if claimed != hash {
        violations.push(Violation::Header { computed: hash, claimed });
    }
    let (computed, claimed) = (tx_set_hash(ledger), Hash32(header.scp_value.tx_set_hash.0));
    if computed != claimed {
        violations.push(Violation::TransactionSet { computed, claimed });
    }
    check_results(ledger, violations);
    check_calls(ledger, &mut integrity);
    integrity
}

/// Checks V0 and V2: that `next` follows `last`.
pub fn check_link(last: &ChainLink, next: &ChainLink) -> Vec<Violation> {
    if last.sequence.checked_add(1) != Some(next.sequence) {
        return vec![Violation::NotContiguous { last: last.sequence, found: next.sequence }];
    }
    if last.hash != next.previous_hash {
        return vec![Violation::PreviousLedger { computed: last.hash, claimed: next.previous_hash }];
    }
    Vec::new()
}

/// A generalized set is hashed as it is written. A legacy set is the previous ledger's hash and the envelopes in the
/// order of their hashes, in whatever order they are written.
fn tx_set_hash(ledger: &ParsedLedger<'_>) -> Hash32 {
    let set = &ledger.view.tx_set;
    if set.kind == TransactionSetKind::Generalized {
        return Hash32(Sha256::digest(set.bytes).into());
    }
    let mut envelopes: Vec<(_, &[u8])> =
        set.envelopes.iter().map(|envelope| (Sha256::digest(envelope), *envelope)).collect();
    envelopes.sort_unstable_by_key(|(hash, _)| *hash);
    let mut hash = Sha256::new().chain_update(set.previous_ledger_hash);
    envelopes.iter().for_each(|(_, envelope)| hash.update(envelope));
    Hash32(hash.finalize().into())
}

fn check_results(ledger: &ParsedLedger<'_>, violations: &mut Vec<Violation>) {
    const GENESIS: u32 = 1; // made, not closed: it has no results and no hash of them
    let transactions = &ledger.view.transactions;
    let count = u32::try_from(transactions.len()).unwrap_or(u32::MAX);
    let mut hash = Sha256::new().chain_update(count.to_be_bytes());
    transactions.iter().for_each(|transaction| hash.update(transaction.result_pair));
    let (computed, claimed) = (Hash32(hash.finalize().into()), Hash32(ledger.header.tx_set_result_hash.0));
    if computed != claimed && ledger.header.ledger_seq != GENESIS {
        violations.push(Violation::Results { computed, claimed });
    }
    let (results, in_set) = (transactions.len(), ledger.view.tx_set.envelopes.len());
    if results != in_set {
        violations.push(Violation::ResultCount { results, transactions: in_set });
    }
    let mut seen = std::collections::HashSet::with_capacity(results);
    let mut unknown = transactions.iter().enumerate().filter(|(_, transaction)| {
        let hash = transaction.hash();
        let envelope = ledger.envelopes.get(&hash).filter(|_| seen.insert(hash));
        let inner_hash = Outcome::read(transaction.result_pair).ok().and_then(|outcome| outcome.inner_hash);
        envelope.is_none_or(|envelope| inner_hash.is_some() && inner_hash != envelope.inner_hash)
    });
    if let Some((index, transaction)) = unknown.next() {
        let hash = Hash32(transaction.hash());
        violations.push(Violation::ResultTransaction { tx_index: index + 1, hash, others: unknown.count() });
    }
}

/// Where the bytes lie that [`check`] binds: changing any of them is found. Everything else in a ledger is bound by
/// no hash.
pub fn bound_ranges(ledger: &ParsedLedger<'_>) -> Vec<Range<usize>> {
    let start = ledger.xdr.as_ptr().addr();
    let range = |part: &[u8]| {
        let offset = part.as_ptr().addr() - start;
        offset..offset + part.len()
    };
    let header = range(ledger.view.header);
    let header_hash = header.start - 32..header.start;
    let mut ranges = vec![header_hash, header, range(ledger.view.tx_set.bytes)];
    for transaction in &ledger.view.transactions {
        ranges.push(range(transaction.result_pair));
        if let Some(call) = contract_call(transaction)
            && call.evidence(ledger.network, ledger.header.ledger_version) == CallEvidence::Proven
            && !call.may_be_rewritten(ledger.network, ledger.header.ledger_version)
        {
            ranges.extend(call.return_value.map(range));
            // Where the meta has no events, an empty list that is no part of the ledger stands for them.
            let events =
                Some(call.events).filter(|events| ledger.xdr.as_ptr_range().contains(&events.as_ptr()));
            ranges.extend(events.map(range));
        }
    }
    ranges
}

fn check_calls(ledger: &ParsedLedger<'_>, integrity: &mut Integrity) {
    for (index, transaction) in ledger.view.transactions.iter().enumerate() {
        let Some(call) = contract_call(transaction) else { continue };
        match call.evidence(ledger.network, ledger.header.ledger_version) {
            CallEvidence::Proven => integrity.calls_proven += 1,
            CallEvidence::Reconciled => integrity.calls_reconciled += 1,
            CallEvidence::Rewritten => integrity.calls_rewritten += 1,
            CallEvidence::Contradicted => integrity
                .violations
                .push(Violation::ContractCall { tx_index: index + 1, claimed: Hash32(call.success_hash) }),
        }
    }
}
