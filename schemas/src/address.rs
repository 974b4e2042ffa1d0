//! Who holds or moves a token: the six kinds of address a ledger can name, written as strkeys (SEP-23).

use std::fmt;
use std::str::FromStr;

use stellar_strkey::{Strkey, ed25519};

use crate::ParseError;

/// A holder of tokens. Text form is the strkey of the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A classic account, `G...`.
    Account([u8; 32]),
    /// A contract, `C...`.
    Contract([u8; 32]),
    /// A multiplexed account, `M...`: only as custom tokens emit it.
    MuxedAccount {
        /// The underlying account.
        account: [u8; 32],
        /// The multiplexing number.
        id: u64,
    },
    /// A claimable balance, `B...`.
    ClaimableBalance([u8; 32]),
    /// A liquidity pool, `L...`.
    LiquidityPool([u8; 32]),
    /// A multiplexed contract address (protocol 28): only as custom tokens emit it.
    MuxedContract {
        /// The underlying contract.
        contract: [u8; 32],
        /// The multiplexing number.
        id: u64,
    },
}

impl Address {
    /// The address as its strkey, for encoders that need the characters without an allocation.
    pub fn strkey(&self) -> Strkey {
        match *self {
            Self::Account(key) => Strkey::PublicKeyEd25519(ed25519::PublicKey(key)),
            Self::Contract(id) => Strkey::Contract(stellar_strkey::Contract(id)),
            Self::MuxedAccount { account, id } => {
                Strkey::MuxedAccountEd25519(ed25519::MuxedAccount { ed25519: account, id })
            }
            Self::ClaimableBalance(id) => Strkey::ClaimableBalance(stellar_strkey::ClaimableBalance::V0(id)),
            Self::LiquidityPool(id) => Strkey::LiquidityPool(stellar_strkey::LiquidityPool(id)),
            Self::MuxedContract { contract, id } => {
                Strkey::MuxedContract(stellar_strkey::MuxedContract { contract_id: contract, id })
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.strkey().to_string())
    }
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const EXPECTED: &str =
            "an address: a strkey that begins with G, C, M, B or L and has a valid checksum";
        // What looks like a secret key must not reach a log through an error message.
        if text.trim_start().starts_with('S') {
            return Err(ParseError::without_value(EXPECTED));
        }
        match Strkey::from_string(text) {
            Ok(Strkey::PublicKeyEd25519(ed25519::PublicKey(key))) => Ok(Self::Account(key)),
            Ok(Strkey::Contract(stellar_strkey::Contract(id))) => Ok(Self::Contract(id)),
            Ok(Strkey::MuxedAccountEd25519(ed25519::MuxedAccount { ed25519: account, id })) => {
                Ok(Self::MuxedAccount { account, id })
            }
            Ok(Strkey::ClaimableBalance(stellar_strkey::ClaimableBalance::V0(id))) => {
                Ok(Self::ClaimableBalance(id))
            }
            Ok(Strkey::LiquidityPool(stellar_strkey::LiquidityPool(id))) => Ok(Self::LiquidityPool(id)),
            Ok(Strkey::MuxedContract(stellar_strkey::MuxedContract { contract_id: contract, id })) => {
                Ok(Self::MuxedContract { contract, id })
            }
            Ok(Strkey::PreAuthTx(_) | Strkey::HashX(_) | Strkey::SignedPayloadEd25519(_)) | Err(_) => {
                Err(ParseError::new(text, EXPECTED))
            }
        }
    }
}

/// A contract's identifier; its text is `C...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractId(pub [u8; 32]);

impl fmt::Display for ContractId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Address::Contract(self.0).fmt(f)
    }
}

impl FromStr for ContractId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.parse() {
            Ok(Address::Contract(id)) => Ok(Self(id)),
            Ok(_) => Err(ParseError::new(text, "the address of a contract (C...)")),
            Err(error) => Err(error),
        }
    }
}
