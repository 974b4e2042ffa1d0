//! Applying one operation: the context that all kinds share, and which function simulates which kind.

use orrery_schemas::{Address, Hash32, Kind, ToMuxed};
use stellar_xdr::{
    AccountId, Asset, Memo, MuxedAccount, Operation, OperationBody, OperationResult, OperationResultTr,
};

use super::{
    assets::AssetIx,
    movement::{Emission, Movement, between, out_of},
    plan::OpKind,
    random::Random,
    world::{AccountIx, World},
    xdr::{account_id, muxed},
};

/// What operations may know of their transaction.
pub(super) struct TxFacts {
    /// Source of the (inner) transaction.
    pub(super) source: AccountIx,
    pub(super) source_key: [u8; 32],
    /// Multiplexing number that the transaction gives its source.
    pub(super) source_mux: Option<u64>,
    pub(super) sequence_number: i64,
    pub(super) memo: Memo,
    /// Of the ledger, in seconds since 1970.
    pub(super) close_time: u64,
}

/// Simulates the operations of one transaction, one after another.
pub(super) struct Executor<'a> {
    pub(super) world: &'a mut World,
    pub(super) random: &'a mut Random,
    pub(super) tx: &'a TxFacts,
    /// 0-based position of the operation being applied.
    pub(super) op_number: u32,
    /// What the operation being applied has emitted so far.
    pub(super) emitted: Vec<Emission>,
    /// The account whose creation is being sponsored, between the operations that begin and end it.
    pub(super) sponsored_key: Option<[u8; 32]>,
}

/// An applied operation, successful.
pub(super) struct Performed {
    pub(super) source: Option<MuxedAccount>,
    pub(super) body: OperationBody,
    pub(super) result: OperationResultTr,
}

impl Performed {
    pub(super) fn into_parts(self) -> (Operation, OperationResult) {
        let operation = Operation { source_account: self.source, body: self.body };
        (operation, OperationResult::OpInner(self.result))
    }
}

/// Who performs an operation, and how the operation says so.
pub(super) struct Source {
    pub(super) field: Option<MuxedAccount>,
    /// Multiplexing number, where the effective source has one.
    pub(super) mux: Option<u64>,
}

impl Executor<'_> {
    /// Applies an operation of the wanted kind, or of a kindred one if the world has nothing for it to act on.
    pub(super) fn perform(&mut self, kind: OpKind) -> Performed {
        match kind {
            OpKind::CreateAccount => self.create_account(),
            OpKind::AccountMerge => self.account_merge(),
            OpKind::Payment => self.payment(),
            OpKind::Inflation => self.inflation(),
            OpKind::PathSend => self.path_payment(true),
            OpKind::PathReceive => self.path_payment(false),
            OpKind::SellOffer => self.sell_offer(),
            OpKind::BuyOffer => self.buy_offer(),
            OpKind::PassiveOffer => self.passive_offer(),
            OpKind::SetOptions => self.set_options(),
            OpKind::ManageData => self.manage_data(),
            OpKind::BumpSequence => self.bump_sequence(),
            OpKind::ChangeTrust => self.change_trust(),
            OpKind::AllowTrust => self.allow_trust(),
            OpKind::TrustFlags => self.set_trust_line_flags(),
            OpKind::CreateClaimable => self.create_claimable_balance(),
            OpKind::ClaimClaimable => self.claim_claimable_balance(),
            OpKind::Clawback => self.clawback(),
            OpKind::ClawbackClaimable => self.clawback_claimable_balance(),
            OpKind::SponsorBegin => self.begin_sponsoring(),
            OpKind::SponsoredCreate => self.create_sponsored_account(),
            OpKind::SponsorEnd => self.end_sponsoring(),
            OpKind::RevokeSponsorship => self.revoke_sponsorship(),
            OpKind::PoolDeposit => self.pool_deposit(),
            OpKind::PoolWithdraw => self.pool_withdraw(),
        }
    }

    /// The source field: left out where the account is the transaction's source, now and then multiplexed.
    pub(super) fn source(&mut self, account: AccountIx) -> Source {
        if account == self.tx.source && self.random.chance(4, 5) {
            return Source { field: None, mux: self.tx.source_mux };
        }
        let mux = self.mux_id();
        Source { field: Some(muxed(self.world.key(account), mux)), mux }
    }

    /// A multiplexing number in one of ten cases, since the protocol knows them.
    pub(super) fn mux_id(&mut self) -> Option<u64> {
        let wanted = self.random.chance(1, 10);
        let id = if self.random.chance(1, 8) { u64::MAX } else { self.random.below(1 << 40) };
        (wanted && self.world.protocol >= 13).then_some(id)
    }

    /// What the receiver learns: the multiplexing number it was addressed with, or else the transaction's memo.
    pub(super) fn label(&self, mux: Option<u64>) -> Option<ToMuxed> {
        match (mux, &self.tx.memo) {
            (Some(id), _) => Some(ToMuxed::Id(id)),
            (None, Memo::None) => None,
            (None, Memo::Id(id)) => Some(ToMuxed::Id(*id)),
            (None, Memo::Text(text)) => Some(ToMuxed::Text(text.to_vec())),
            (None, Memo::Hash(hash) | Memo::Return(hash)) => Some(ToMuxed::Hash(Hash32(hash.0))),
        }
    }

    /// Records a movement between two holders whose receiver gets no label.
    pub(super) fn moved(&mut self, asset: AssetIx, from: Address, to: Address, amount: i64) {
        self.moved_with_label(asset, from, to, amount, None);
    }

    pub(super) fn moved_with_label(
        &mut self,
        asset: AssetIx,
        from: Address,
        to: Address,
        amount: i64,
        label: Option<ToMuxed>,
    ) {
        let movement = between(&self.world.assets, asset, from, to, amount).labelled(label);
        self.emitted.push(Emission::Classic(movement));
    }

    /// Records that tokens left a holder for nobody.
    pub(super) fn removed(&mut self, kind: Kind, asset: AssetIx, from: Address, amount: i64) {
        let movement: Movement = out_of(&self.world.assets, kind, asset, from, amount);
        self.emitted.push(Emission::Classic(movement));
    }

    pub(super) fn address(&self, account: AccountIx) -> Address {
        self.world.address(account)
    }

    pub(super) fn account_id(&self, account: AccountIx) -> AccountId {
        account_id(self.world.key(account))
    }

    pub(super) fn asset(&self, asset: AssetIx) -> Asset {
        self.world.assets.xdr(asset)
    }

    /// A user, now and then an issuer: someone who performs operations.
    pub(super) fn someone(&mut self) -> AccountIx {
        match self.random.below(20) {
            0 => self.random.pick(&self.world.issuers),
            1..=4 => self.random.pick(&self.world.users),
            _ => self.tx.source,
        }
    }
}
