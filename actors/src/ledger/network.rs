//! The network a ledger belongs to: hashes of transactions and contract ids depend on it.

use std::sync::Arc;

use orrery_schemas::{Asset, ContractId};
use sha2::{Digest, Sha256};

/// A network, named by its passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    passphrase: Arc<str>,
    id: [u8; 32],
    native_contract: ContractId,
}

impl Network {
    /// Passphrase of the public network.
    pub const PUBNET: &str = "Public Global Stellar Network ; September 2015";
    /// Passphrase of the test network.
    pub const TESTNET: &str = "Test SDF Network ; September 2015";
    /// Passphrase of the development network.
    pub const FUTURENET: &str = "Test SDF Future Network ; October 2022";

    /// The network with this passphrase.
    pub fn new(passphrase: &str) -> Self {
        let id = Sha256::digest(passphrase).into();
        Self { passphrase: passphrase.into(), id, native_contract: asset_contract(&id, &Asset::Native) }
    }

    /// The passphrase as given.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// SHA-256 of the passphrase.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The asset contract of an asset on this network (CAP-0046-6), whether or not it has been deployed.
    pub fn asset_contract(&self, asset: &Asset) -> ContractId {
        match asset {
            Asset::Native => self.native_contract,
            credit => asset_contract(&self.id, credit),
        }
    }
}

/// SHA-256 of `HashIDPreimage { ENVELOPE_TYPE_CONTRACT_ID, networkID, CONTRACT_ID_PREIMAGE_FROM_ASSET, asset }`.
fn asset_contract(network_id: &[u8; 32], asset: &Asset) -> ContractId {
    const ENVELOPE_TYPE_CONTRACT_ID: [u8; 4] = [0, 0, 0, 8];
    const FROM_ASSET: [u8; 4] = [0, 0, 0, 1];
    const KEY_TYPE_ED25519: [u8; 4] = [0; 4];
    let preimage = Sha256::new().chain_update(ENVELOPE_TYPE_CONTRACT_ID).chain_update(network_id);
    let preimage = preimage.chain_update(FROM_ASSET);
    let preimage = match asset {
        Asset::Native => preimage.chain_update([0, 0, 0, 0]),
        Asset::Credit4 { code, issuer } => preimage
            .chain_update([0, 0, 0, 1])
            .chain_update(code)
            .chain_update(KEY_TYPE_ED25519)
            .chain_update(issuer),
        Asset::Credit12 { code, issuer } => preimage
            .chain_update([0, 0, 0, 2])
            .chain_update(code)
            .chain_update(KEY_TYPE_ED25519)
            .chain_update(issuer),
    };
    ContractId(preimage.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_native_contract_of_a_network_is_the_published_one() {
        let check = |passphrase, contract: &str| {
            assert_eq!(Network::new(passphrase).asset_contract(&Asset::Native).to_string(), contract);
        };
        check(Network::PUBNET, "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA");
        check(Network::TESTNET, "CDLZFC3SYJYDZT7K67VZ75HPJVIEUVNIXF47ZG2FB2RMQQVU2HHGCYSC");
    }
}
