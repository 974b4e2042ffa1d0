//! Which network ledgers belong to: as the operator says, or as the source does.

use orrery_actors::ledger::Network;
use orrery_actors::source::LedgerSource;

use crate::cli::{NetworkArgs, NetworkName};
use crate::exit::Failure;

/// The network of a source. What a lake says of itself is believed, and never contradicted.
pub(crate) fn choose(args: &NetworkArgs, source: &dyn LedgerSource) -> Result<Network, Failure> {
    let given = match (args.network, &args.passphrase) {
        (Some(name), _) => Some(passphrase(name)),
        (None, passphrase) => passphrase.as_deref(),
    };
    match (given, source.network_passphrase()) {
        (Some(given), Some(own)) if given != own => Err(Failure::Usage(format!(
            "the source says that its network is `{own}`, the command line says `{given}`: leave out --network and --passphrase"
        ))),
        (Some(passphrase), _) | (None, Some(passphrase)) => Ok(Network::new(passphrase)),
        (None, None) => Err(Failure::Usage(
            "the source does not say which network it is from: give --network pubnet, testnet or futurenet, or --passphrase TEXT"
                .to_owned(),
        )),
    }
}

fn passphrase(name: NetworkName) -> &'static str {
    match name {
        NetworkName::Pubnet => Network::PUBNET,
        NetworkName::Testnet => Network::TESTNET,
        NetworkName::Futurenet => Network::FUTURENET,
    }
}
