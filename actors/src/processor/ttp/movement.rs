//! A token movement before it has a place in the ledger.

use orrery_schemas::{Address, Asset, ContractId, Hash32, Kind, ToMuxed};

use crate::ledger::{Memo, Network};

/// One event without its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) kind: Kind,
    pub(super) contract_id: ContractId,
    pub(super) asset: Option<Asset>,
    pub(super) from: Option<Address>,
    pub(super) to: Option<Address>,
    pub(super) amount: i128,
    pub(super) to_muxed: Option<ToMuxed>,
}

/// Makes movements of classic assets on one network.
#[derive(Clone, Copy)]
pub(super) struct Classic<'a> {
    pub(super) network: &'a Network,
}

impl Classic<'_> {
    /// A movement between two holders: a mint when the issuer pays, a burn when the issuer is paid, else a transfer.
    /// Between an issuer and itself it is a transfer. `to_muxed` is dropped by a burn: it has no receiver.
    pub(super) fn moved(
        self,
        asset: Asset,
        from: Address,
        to: Address,
        amount: i64,
        to_muxed: Option<ToMuxed>,
    ) -> Movement {
        let issuer = asset.issuer();
        let (from_issuer, to_issuer) = (issuer == Some(from), issuer == Some(to));
        let kind = match (from_issuer, to_issuer) {
            (true, false) => Kind::Mint,
            (false, true) => Kind::Burn,
            _ => Kind::Transfer,
        };
        Movement {
            kind,
            contract_id: self.network.asset_contract(&asset),
            asset: Some(asset),
            from: (kind != Kind::Mint).then_some(from),
            to: (kind != Kind::Burn).then_some(to),
            amount: amount.into(),
            to_muxed: to_muxed.filter(|_| kind != Kind::Burn),
        }
    }

    /// Tokens created for `to` by no account: inflation, reconciliation.
    pub(super) fn minted(self, asset: Asset, to: Address, amount: i64) -> Movement {
        self.one_sided(Kind::Mint, asset, None, Some(to), amount)
    }

    /// Tokens of `from` destroyed.
    pub(super) fn burned(self, asset: Asset, from: Address, amount: i64) -> Movement {
        self.one_sided(Kind::Burn, asset, Some(from), None, amount)
    }

    /// Tokens of `from` destroyed by their issuer.
    pub(super) fn clawed_back(self, asset: Asset, from: Address, amount: i64) -> Movement {
        self.one_sided(Kind::Clawback, asset, Some(from), None, amount)
    }

    /// Lumens paid for a transaction; negative for a refund.
    pub(super) fn fee(self, from: Address, amount: i64) -> Movement {
        self.one_sided(Kind::Fee, Asset::Native, Some(from), None, amount)
    }

    fn one_sided(
        self,
        kind: Kind,
        asset: Asset,
        from: Option<Address>,
        to: Option<Address>,
        amount: i64,
    ) -> Movement {
        let contract_id = self.network.asset_contract(&asset);
        Movement { kind, contract_id, asset: Some(asset), from, to, amount: amount.into(), to_muxed: None }
    }
}

/// What a payment tells its receiver, an account: its multiplexing number, else the transaction's memo (CAP-67).
pub(super) fn to_muxed(mux_id: Option<u64>, memo: Memo<'_>) -> Option<ToMuxed> {
    match (mux_id, memo) {
        (Some(id), _) | (None, Memo::Id(id)) => Some(ToMuxed::Id(id)),
        (None, Memo::Text(text)) => text_to_muxed(text),
        (None, Memo::Hash(hash)) => Some(ToMuxed::Hash(Hash32(hash))),
        (None, Memo::None) => None,
    }
}

/// An empty text says nothing of the receiver: it is the same as no text.
pub(super) fn text_to_muxed(text: &[u8]) -> Option<ToMuxed> {
    (!text.is_empty()).then(|| ToMuxed::Text(text.to_vec()))
}
