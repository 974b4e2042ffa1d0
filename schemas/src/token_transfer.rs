//! One token movement: the row of the `token_transfers` table.

use std::fmt;
use std::str::FromStr;

use crate::{Address, Asset, CloseTime, ContractId, EventId, Hash32, LedgerSequence, ParseError, Toid};

/// What happened to the tokens (CAP-67).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Moved from one holder to another.
    Transfer,
    /// Created for a holder.
    Mint,
    /// Destroyed by their holder.
    Burn,
    /// Destroyed by their issuer or admin.
    Clawback,
    /// Paid to the network; a refund is a fee with a negative amount.
    Fee,
}

impl Kind {
    /// Every kind, in the order of the Arrow dictionary.
    pub const ALL: [Self; 5] = [Self::Transfer, Self::Mint, Self::Burn, Self::Clawback, Self::Fee];

    /// The text in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Mint => "mint",
            Self::Burn => "burn",
            Self::Clawback => "clawback",
            Self::Fee => "fee",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| ParseError::new(text, "a kind: transfer, mint, burn, clawback or fee"))
    }
}

macro_rules! op_types {
    ($($variant:ident $text:literal,)*) => {
        /// The operation that an event belongs to. Discriminants are the XDR `OperationType` values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each name is the operation of the same name in Stellar's XDR")]
        pub enum OpType { $($variant,)* }

        impl OpType {
            /// Every operation, in the order of the XDR enumeration and of the Arrow dictionary.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text in every output: the XDR name in lower case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

op_types! {
    CreateAccount "create_account",
    Payment "payment",
    PathPaymentStrictReceive "path_payment_strict_receive",
    ManageSellOffer "manage_sell_offer",
    CreatePassiveSellOffer "create_passive_sell_offer",
    SetOptions "set_options",
    ChangeTrust "change_trust",
    AllowTrust "allow_trust",
    AccountMerge "account_merge",
    Inflation "inflation",
    ManageData "manage_data",
    BumpSequence "bump_sequence",
    ManageBuyOffer "manage_buy_offer",
    PathPaymentStrictSend "path_payment_strict_send",
    CreateClaimableBalance "create_claimable_balance",
    ClaimClaimableBalance "claim_claimable_balance",
    BeginSponsoringFutureReserves "begin_sponsoring_future_reserves",
    EndSponsoringFutureReserves "end_sponsoring_future_reserves",
    RevokeSponsorship "revoke_sponsorship",
    Clawback "clawback",
    ClawbackClaimableBalance "clawback_claimable_balance",
    SetTrustLineFlags "set_trust_line_flags",
    LiquidityPoolDeposit "liquidity_pool_deposit",
    LiquidityPoolWithdraw "liquidity_pool_withdraw",
    InvokeHostFunction "invoke_host_function",
    ExtendFootprintTtl "extend_footprint_ttl",
    RestoreFootprint "restore_footprint",
}

impl fmt::Display for OpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for OpType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let op_type = Self::ALL.iter().copied().find(|op_type| op_type.as_str() == text);
        op_type.ok_or_else(|| ParseError::new(text, "an operation type, such as payment"))
    }
}

/// What the sender attached for the receiver (CAP-67 `to_muxed_id`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ToMuxed {
    /// A multiplexing number or an id memo.
    Id(u64),
    /// A text memo: raw bytes, not necessarily UTF-8.
    Text(Vec<u8>),
    /// A hash or return memo.
    Hash(Hash32),
}

/// One event. Fields are those of `docs/design.md`, in its order; derived columns are methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTransfer {
    /// The ledger that holds the transaction.
    pub ledger_sequence: LedgerSequence,
    /// Its close time.
    pub closed_at: CloseTime,
    /// Hash of the transaction (the outer one of a fee bump).
    pub tx_hash: Hash32,
    /// 1-based, apply order.
    pub tx_index: u32,
    /// 1-based; `None` for fees.
    pub op_index: Option<u32>,
    /// 0-based inside (transaction, operation), or inside the fees of a transaction.
    pub event_index: u32,
    /// 0-based and dense inside the ledger, in canonical order.
    pub ledger_event_index: u32,
    /// `{toid:019}-{event_index:010}` in text. Always names `ledger_sequence`, `tx_index`, `op_index`.
    pub toid: Toid,
    /// What happened.
    pub kind: Kind,
    /// The operation; `None` for fees.
    pub op_type: Option<OpType>,
    /// The contract that emitted the event, or the asset's contract for a classic movement.
    pub contract_id: ContractId,
    /// The classic asset; `None`: a contract token that is not proven to be an asset contract.
    pub asset: Option<Asset>,
    /// Who lost the tokens; `None` for mints.
    pub from: Option<Address>,
    /// Who received them; `None` for burns, clawbacks and fees.
    pub to: Option<Address>,
    /// Raw integer amount, in the token's smallest unit (10^-7 for classic assets). May be negative: refunds, and
    /// what a custom contract claims.
    pub amount: i128,
    /// What the sender attached for the receiver.
    pub to_muxed: Option<ToMuxed>,
    /// Whether the transaction was successful: fees are paid either way.
    pub tx_successful: bool,
}

impl TokenTransfer {
    /// The event's stable name.
    pub fn event_id(&self) -> EventId {
        EventId { toid: self.toid, event_index: self.event_index }
    }
}
