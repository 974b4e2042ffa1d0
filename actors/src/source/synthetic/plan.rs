//! Which transactions a ledger holds: how many, whose, of what kind and at what fee. Decided before any is applied,
//! because fees are charged first.

use stellar_xdr::{Hash, Memo};

use super::{
    random::Random,
    spec::Density,
    world::{AccountIx, World},
    xdr::string,
};

/// Smallest fee of an operation, in stroops.
pub(super) const BASE_FEE: i64 = 100;

/// Operations that a classic transaction is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpKind {
    CreateAccount,
    AccountMerge,
    Payment,
    Inflation,
    PathSend,
    PathReceive,
    SellOffer,
    BuyOffer,
    PassiveOffer,
    SetOptions,
    ManageData,
    BumpSequence,
    ChangeTrust,
    AllowTrust,
    TrustFlags,
    CreateClaimable,
    ClaimClaimable,
    Clawback,
    ClawbackClaimable,
    SponsorBegin,
    SponsoredCreate,
    SponsorEnd,
    RevokeSponsorship,
    PoolDeposit,
    PoolWithdraw,
}

/// How often each kind occurs, and in which protocols: (kind, weight, first protocol, last protocol). The weights are
/// those of pubnet where it has the kind often; rare kinds are more frequent here, so that each occurs every few ledgers.
const KINDS: &[(OpKind, u64, u32, u32)] = &[
    (OpKind::Payment, 300, 0, u32::MAX),
    (OpKind::CreateAccount, 22, 0, u32::MAX),
    (OpKind::AccountMerge, 22, 0, u32::MAX),
    (OpKind::Inflation, 6, 0, 11),
    (OpKind::PathReceive, 40, 0, u32::MAX),
    (OpKind::PathSend, 70, 12, u32::MAX),
    (OpKind::SellOffer, 170, 0, u32::MAX),
    (OpKind::BuyOffer, 90, 11, u32::MAX),
    (OpKind::PassiveOffer, 18, 0, u32::MAX),
    (OpKind::SetOptions, 8, 0, u32::MAX),
    (OpKind::ManageData, 12, 0, u32::MAX),
    (OpKind::BumpSequence, 6, 10, u32::MAX),
    (OpKind::ChangeTrust, 14, 0, u32::MAX),
    (OpKind::AllowTrust, 16, 0, u32::MAX),
    (OpKind::TrustFlags, 16, 17, u32::MAX),
    (OpKind::CreateClaimable, 90, 14, u32::MAX),
    (OpKind::ClaimClaimable, 80, 14, u32::MAX),
    (OpKind::Clawback, 10, 17, u32::MAX),
    (OpKind::ClawbackClaimable, 8, 17, u32::MAX),
    (OpKind::SponsorBegin, 6, 14, u32::MAX),
    (OpKind::RevokeSponsorship, 4, 14, u32::MAX),
    (OpKind::PoolDeposit, 12, 18, u32::MAX),
    (OpKind::PoolWithdraw, 14, 18, u32::MAX),
];

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Classic(Vec<OpKind>),
    /// Fails in the last of so many operations.
    Failing(usize),
    /// Fails before its operations are looked at.
    BadAuth,
    Invoke,
    InvokeFailing,
    ExtendTtl,
    Restore,
}

impl Body {
    pub(super) fn is_soroban(&self) -> bool {
        matches!(self, Self::Invoke | Self::InvokeFailing | Self::ExtendTtl | Self::Restore)
    }

    fn op_count(&self) -> usize {
        match self {
            Self::Classic(kinds) => kinds.len(),
            Self::Failing(count) => *count,
            _ => 1,
        }
    }
}

/// A transaction to be applied.
pub(super) struct TxPlan {
    pub(super) source: AccountIx,
    pub(super) source_mux: Option<u64>,
    /// Pays the fee in the source's place: a fee bump.
    pub(super) payer: Option<AccountIx>,
    pub(super) body: Body,
    pub(super) memo: Memo,
    /// Charged before any transaction is applied, in stroops.
    pub(super) fee: i64,
    /// Of it, what the resources of a contract transaction were declared to cost.
    pub(super) resource_fee: i64,
    /// Of that, what is given back.
    pub(super) refund: i64,
    /// Most that the transaction offered.
    pub(super) bid: i64,
}

impl TxPlan {
    pub(super) fn fee_account(&self) -> AccountIx {
        self.payer.unwrap_or(self.source)
    }
}

/// All transactions of one ledger, in apply order, and the fee of one operation.
pub(super) struct LedgerPlan {
    pub(super) transactions: Vec<TxPlan>,
    pub(super) price: i64,
}

pub(super) fn plan_ledger(world: &World, random: &mut Random, density: Density) -> LedgerPlan {
    let count = match density {
        Density::Dense => 950 + random.below(101),
        Density::Pubnet => 281 + random.below(61),
        Density::Sparse => 3 + random.below(5),
    };
    let price = if random.chance(3, 4) { BASE_FEE } else { BASE_FEE + random.between(1, 4000) };
    // A stride without common factor with the number of users visits each at most once.
    let (first, stride) = (random.index(world.users.len()), random.pick(&[1, 7, 11, 77, 1001]));
    let mut transactions: Vec<TxPlan> = (0..count as usize)
        .map(|number| {
            let source = world.users[(first + number * stride) % world.users.len()];
            plan_transaction(world, random, source, price)
        })
        .collect();
    // The classic phase is applied before the contract phase.
    transactions.sort_by_key(|plan| plan.body.is_soroban());
    LedgerPlan { transactions, price }
}

fn plan_transaction(world: &World, random: &mut Random, source: AccountIx, price: i64) -> TxPlan {
    let protocol = world.protocol;
    let body = plan_body(random, protocol);
    let bumped = protocol >= 13 && random.chance(1, 10);
    let payer = bumped.then(|| random.pick(&world.payers));
    let operations = body.op_count() as i64 + i64::from(bumped);
    let resource_fee = if body.is_soroban() { random.between(20_000, 400_000) } else { 0 };
    let refund = if random.chance(1, 8) { 0 } else { random.between(1, resource_fee.max(2) / 2) };
    let margin = if protocol < 11 { 0 } else { random.between(0, 9) * BASE_FEE * operations };
    let mux = random.below(1 << 32);
    TxPlan {
        source,
        source_mux: (protocol >= 13 && random.chance(1, 16)).then_some(mux),
        payer,
        memo: plan_memo(random, &body),
        fee: price * operations + resource_fee,
        resource_fee,
        refund: if body.is_soroban() { refund } else { 0 },
        bid: price * operations + resource_fee + margin,
        body,
    }
}

fn plan_body(random: &mut Random, protocol: u32) -> Body {
    match random.below(1000) {
        0..60 if protocol >= 20 => Body::Invoke,
        60..70 if protocol >= 20 => Body::InvokeFailing,
        70..76 if protocol >= 20 => Body::ExtendTtl,
        76..82 if protocol >= 20 => Body::Restore,
        82..85 => Body::BadAuth,
        // About half of pubnet's transactions fail.
        85..565 => Body::Failing(1 + random.below(3) as usize),
        _ => Body::Classic(plan_kinds(random, protocol)),
    }
}

/// Most transactions have one operation; some are batches of one kind, others of many.
fn plan_kinds(random: &mut Random, protocol: u32) -> Vec<OpKind> {
    let count = match random.below(100) {
        0..58 => 1,
        58..76 => 2 + random.below(3),
        76..97 => 4 + random.below(5),
        _ => 10 + random.below(11),
    };
    let batch = random.chance(1, 3).then(|| plan_kind(random, protocol));
    let mut kinds = Vec::with_capacity(count as usize + 2);
    for _ in 0..count {
        let kind = batch.unwrap_or_else(|| plan_kind(random, protocol));
        kinds.push(kind);
        if kind == OpKind::SponsorBegin {
            kinds.extend([OpKind::SponsoredCreate, OpKind::SponsorEnd]);
        }
    }
    kinds
}

fn plan_kind(random: &mut Random, protocol: u32) -> OpKind {
    let able = || KINDS.iter().filter(|&&(_, _, first, last)| (first..=last).contains(&protocol));
    let mut rest = random.below(able().map(|&(_, weight, ..)| weight).sum());
    for &(kind, weight, ..) in able() {
        match rest.checked_sub(weight) {
            Some(left) => rest = left,
            None => return kind,
        }
    }
    OpKind::Payment
}

/// Contract transactions have no memo here: the network refuses one beside an authorization by another account.
fn plan_memo(random: &mut Random, body: &Body) -> Memo {
    let bytes = random.bytes32();
    match random.below(25) {
        _ if body.is_soroban() => Memo::None,
        0 => Memo::Id(random.next()),
        1 => Memo::Id(random.below(100_000)),
        2 => Memo::Text(string(b"invoice 17")),
        // Not UTF-8, as on a real network.
        3 => Memo::Text(string(&bytes[..1 + usize::from(bytes[0] % 28)])),
        4 => Memo::Hash(Hash(bytes)),
        5 => Memo::Return(Hash(bytes)),
        _ => Memo::None,
    }
}
