//! What happens to tokens, recorded as it happens: each [`Movement`] becomes the contract event that stellar-core
//! would emit for it (CAP-67) and the row that a processor must find.
//!
//! The rules here follow stellar-core's event manager, not the derivation from operations and results, so that rows
//! made here are an independent oracle for the processor.

use orrery_schemas::{Address, Kind, ToMuxed};
use stellar_xdr::{
    ClaimableBalanceId, ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, ContractId,
    ExtensionPoint, Hash, MuxedEd25519Account, PoolId, ScAddress, ScBytes, ScString, ScVal, Uint256,
};

use super::{
    assets::{AssetIx, Assets},
    xdr::{account_id, contract_address, i128_value, list, map, string, symbol, text},
};

/// Tokens that changed hands, appeared or vanished.
#[derive(Clone, Debug)]
pub(super) struct Movement {
    pub(super) kind: Kind,
    pub(super) contract: [u8; 32],
    /// The classic asset whose contract `contract` is; `None` for a custom token.
    pub(super) asset: Option<AssetIx>,
    pub(super) from: Option<Address>,
    pub(super) to: Option<Address>,
    pub(super) amount: i128,
    pub(super) to_muxed: Option<ToMuxed>,
}

/// What an operation emits, in order.
#[derive(Clone, Debug)]
pub(super) enum Emission {
    /// A movement of a classic operation.
    Classic(Movement),
    /// Authorization of a trust line was changed; token-transfer processors skip it.
    SetAuthorized { asset: AssetIx, trustor: [u8; 32], authorized: bool },
    /// An event of a contract.
    Contract(Box<ContractEmission>),
}

/// An event of a contract, in the form it was emitted in and in the form core rewrites it to when it backfills
/// protocols before 23.
#[derive(Clone, Debug)]
pub(super) struct ContractEmission {
    pub(super) emitted: ContractEvent,
    pub(super) backfilled: ContractEvent,
    /// What it says moved; `None` if a processor must skip it.
    pub(super) movement: Option<Movement>,
}

impl Emission {
    pub(super) fn movement(&self) -> Option<&Movement> {
        match self {
            Self::Classic(movement) => Some(movement),
            Self::SetAuthorized { .. } => None,
            Self::Contract(event) => event.movement.as_ref(),
        }
    }
}

/// The movement of a classic asset between two holders: an issuer on exactly one side creates or destroys tokens.
pub(super) fn between(assets: &Assets, asset: AssetIx, from: Address, to: Address, amount: i64) -> Movement {
    let facts = assets.get(asset);
    let issuer = facts.issuer_key.map(Address::Account);
    let (kind, from, to) = match (issuer == Some(from), issuer == Some(to)) {
        (true, false) => (Kind::Mint, None, Some(to)),
        (false, true) => (Kind::Burn, Some(from), None),
        _ => (Kind::Transfer, Some(from), Some(to)),
    };
    let amount = i128::from(amount);
    Movement { kind, contract: facts.contract, asset: Some(asset), from, to, amount, to_muxed: None }
}

/// A movement out of a holder that no other holder receives: a clawback, a burn or a fee.
pub(super) fn out_of(assets: &Assets, kind: Kind, asset: AssetIx, from: Address, amount: i64) -> Movement {
    let contract = assets.get(asset).contract;
    let amount = i128::from(amount);
    Movement { kind, contract, asset: Some(asset), from: Some(from), to: None, amount, to_muxed: None }
}

impl Movement {
    /// The receiver's label, where the movement has a receiver.
    pub(super) fn labelled(mut self, to_muxed: Option<ToMuxed>) -> Self {
        if self.to.is_some() {
            self.to_muxed = to_muxed;
        }
        self
    }

    /// The event in the form of protocol 23: no admin topic, data a map only if there is a label.
    pub(super) fn event(&self, assets: &Assets) -> ContractEvent {
        let mut topics = vec![symbol(self.kind.as_str())];
        topics.extend(
            [self.from, self.to].into_iter().flatten().map(|holder| ScVal::Address(sc_address(holder))),
        );
        if let Some(asset) = self.asset.filter(|_| self.kind != Kind::Fee) {
            topics.push(assets.get(asset).sep11_value());
        }
        let amount = i128_value(self.amount);
        let data = match &self.to_muxed {
            None => amount,
            Some(label) => map(vec![("amount", amount), ("to_muxed_id", label_value(label))]),
        };
        contract_event(self.contract, topics, data)
    }
}

/// `set_authorized` as core emits it for the trust line operations.
pub(super) fn set_authorized_event(
    assets: &Assets,
    asset: AssetIx,
    trustor: [u8; 32],
    authorized: bool,
) -> ContractEvent {
    let facts = assets.get(asset);
    let trustor = ScVal::Address(ScAddress::Account(account_id(trustor)));
    let topics = vec![symbol("set_authorized"), trustor, facts.sep11_value()];
    contract_event(facts.contract, topics, ScVal::Bool(authorized))
}

pub(super) fn contract_event(contract: [u8; 32], topics: Vec<ScVal>, data: ScVal) -> ContractEvent {
    ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: Some(ContractId(Hash(contract))),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 { topics: list(topics), data }),
    }
}

pub(super) fn sc_address(holder: Address) -> ScAddress {
    match holder {
        Address::Account(key) => ScAddress::Account(account_id(key)),
        Address::Contract(id) => contract_address(id),
        Address::MuxedAccount { account, id } => {
            ScAddress::MuxedAccount(MuxedEd25519Account { id, ed25519: Uint256(account) })
        }
        Address::ClaimableBalance(id) => {
            ScAddress::ClaimableBalance(ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(id)))
        }
        Address::LiquidityPool(id) => ScAddress::LiquidityPool(PoolId(Hash(id))),
        Address::MuxedContract { contract, id } => ScAddress::MuxedContract(stellar_xdr::MuxedContract {
            id,
            contract_id: ContractId(Hash(contract)),
        }),
    }
}

fn label_value(label: &ToMuxed) -> ScVal {
    match label {
        ToMuxed::Id(id) => ScVal::U64(*id),
        ToMuxed::Text(bytes) => ScVal::String(ScString(string(bytes))),
        ToMuxed::Hash(hash) => ScVal::Bytes(ScBytes(hash.0.to_vec().try_into().unwrap_or_default())),
    }
}

/// A topic that names an asset by its SEP-11 text.
pub(super) fn sep11(name: &str) -> ScVal {
    text(name)
}
