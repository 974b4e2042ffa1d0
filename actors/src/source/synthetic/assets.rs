//! The assets of the synthetic network: lumens and a fixed set of credits.

use orrery_schemas::{Address, Asset as SchemaAsset};
use stellar_xdr::{
    AccountEntry, AlphaNum4, AlphaNum12, Asset, AssetCode, AssetCode4, AssetCode12, ChangeTrustAsset,
    ContractIdPreimage, Hash, HashIdPreimage, HashIdPreimageContractId, ScVal, TrustLineAsset,
};

use super::{
    movement::sep11,
    store::Ix,
    xdr::{account_id, hash_of},
};

/// Number of an asset; lumens are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AssetIx(pub(super) u16);

/// Lumens.
pub(super) const NATIVE: AssetIx = AssetIx(0);
/// Credits of the network: enough that books and pools differ, few enough that each has hundreds of holders.
pub(super) const CREDITS: u16 = 24;
/// Accounts that issue them, three credits each.
pub(super) const ISSUERS: u16 = 8;
/// Of the issuers, how many enable clawback (protocol 17 on).
const CLAWBACK_ISSUERS: u16 = 3;
/// A lumen's value in the unit of [`AssetFacts::value`].
const NATIVE_VALUE: i64 = 10;

/// What never changes about an asset.
#[derive(Clone)]
pub(super) struct AssetFacts {
    pub(super) xdr: Asset,
    pub(super) row: SchemaAsset,
    /// The contract that stands for the asset.
    pub(super) contract: [u8; 32],
    pub(super) issuer: Option<Ix<AccountEntry>>,
    pub(super) issuer_key: Option<[u8; 32]>,
    /// Whether the issuer can claw it back.
    pub(super) clawback: bool,
    /// Rough worth, so that prices of different markets fit together.
    pub(super) value: i64,
    sep11: String,
}

impl AssetFacts {
    fn new(row: SchemaAsset, issuer: Option<Ix<AccountEntry>>, network_id: [u8; 32]) -> Self {
        let xdr = xdr_asset(row);
        let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
            network_id: Hash(network_id),
            contract_id_preimage: ContractIdPreimage::Asset(xdr.clone()),
        });
        let issuer_key = match row.issuer() {
            Some(Address::Account(key)) => Some(key),
            _ => None,
        };
        Self {
            contract: hash_of(&preimage).0,
            sep11: row.to_string(),
            clawback: false,
            value: NATIVE_VALUE,
            xdr,
            row,
            issuer,
            issuer_key,
        }
    }

    pub(super) fn sep11_value(&self) -> ScVal {
        sep11(&self.sep11)
    }

    pub(super) fn sep11(&self) -> &str {
        &self.sep11
    }

    pub(super) fn trust_line_asset(&self) -> TrustLineAsset {
        match &self.xdr {
            Asset::Native => TrustLineAsset::Native,
            Asset::CreditAlphanum4(code) => TrustLineAsset::CreditAlphanum4(code.clone()),
            Asset::CreditAlphanum12(code) => TrustLineAsset::CreditAlphanum12(code.clone()),
        }
    }

    pub(super) fn change_trust_asset(&self) -> ChangeTrustAsset {
        match &self.xdr {
            Asset::Native => ChangeTrustAsset::Native,
            Asset::CreditAlphanum4(code) => ChangeTrustAsset::CreditAlphanum4(code.clone()),
            Asset::CreditAlphanum12(code) => ChangeTrustAsset::CreditAlphanum12(code.clone()),
        }
    }

    pub(super) fn allow_trust_code(&self) -> AssetCode {
        match &self.xdr {
            Asset::Native => AssetCode::CreditAlphanum4(AssetCode4([0; 4])),
            Asset::CreditAlphanum4(code) => AssetCode::CreditAlphanum4(code.asset_code.clone()),
            Asset::CreditAlphanum12(code) => AssetCode::CreditAlphanum12(code.asset_code.clone()),
        }
    }
}

/// Every asset, by number.
#[derive(Clone)]
pub(super) struct Assets(Vec<AssetFacts>);

impl Assets {
    /// Credit `n` is issued by account `(n - 1) % ISSUERS`, so that credits five apart never share an issuer.
    pub(super) fn new(issuers: &[(Ix<AccountEntry>, [u8; 32])], network_id: [u8; 32], protocol: u32) -> Self {
        let mut all = vec![AssetFacts::new(SchemaAsset::Native, None, network_id)];
        for number in 0..CREDITS {
            let place = usize::from(number % ISSUERS);
            let (issuer, key) = issuers[place];
            let mut facts = AssetFacts::new(credit(number, key), Some(issuer), network_id);
            facts.clawback = protocol >= 17 && number % ISSUERS < CLAWBACK_ISSUERS;
            facts.value = 5 + i64::from(number) * 3 / 2;
            all.push(facts);
        }
        Self(all)
    }

    pub(super) fn get(&self, asset: AssetIx) -> &AssetFacts {
        &self.0[usize::from(asset.0)]
    }

    pub(super) fn xdr(&self, asset: AssetIx) -> Asset {
        self.get(asset).xdr.clone()
    }

    pub(super) fn credits() -> impl Iterator<Item = AssetIx> {
        (1..=CREDITS).map(AssetIx)
    }
}

/// Codes of one to twelve characters, all lengths present.
fn credit(number: u16, issuer: [u8; 32]) -> SchemaAsset {
    let letter = b'A' + (number % 26) as u8;
    let length = 1 + usize::from(number % 12);
    if length <= 4 {
        let mut code = [0; 4];
        code[..length].fill(letter);
        SchemaAsset::Credit4 { code, issuer }
    } else {
        let mut code = [0; 12];
        code[..length].fill(letter);
        SchemaAsset::Credit12 { code, issuer }
    }
}

fn xdr_asset(row: SchemaAsset) -> Asset {
    match row {
        SchemaAsset::Native => Asset::Native,
        SchemaAsset::Credit4 { code, issuer } => {
            Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(code), issuer: account_id(issuer) })
        }
        SchemaAsset::Credit12 { code, issuer } => {
            Asset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(code), issuer: account_id(issuer) })
        }
    }
}
