//! Arguments of `orrery tail`.

use clap::Args;
use orrery_schemas::LedgerSequence;

/// What is read of the live feed, and where. A token, if the node asks for one, is in the variable ORRERY_TOKEN.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// A node, as http://HOST:PORT or wss://HOST. Of several, also of other regions, the first that is in traffic.
    #[arg(long = "url", value_name = "URL", required = true, num_args = 1..)]
    pub(crate) urls: Vec<String>,
    /// PEM file of certificates that servers are trusted by, beside those of the system: a private authority's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<std::path::PathBuf>,
    /// Begin at `latest`, at `oldest` or `genesis`, or behind what was seen: 53312000, or an event in it as 53312000:17. Latest
    /// if not given.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) from: Option<String>,
    /// End behind this ledger, with 0.
    #[arg(long, value_name = "LEDGER", value_parser = ledger)]
    pub(crate) to: Option<LedgerSequence>,
    /// Only these kinds: transfer, mint, burn, clawback, fee.
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub(crate) kinds: Vec<String>,
    /// Only these operations, as payment or invoke_host_function.
    #[arg(long = "op-type", value_name = "OPERATION", value_delimiter = ',')]
    pub(crate) op_types: Vec<String>,
    /// Only these assets: native or CODE:ISSUER.
    #[arg(long = "asset", value_name = "ASSET", value_delimiter = ',')]
    pub(crate) assets: Vec<String>,
    /// Only what leaves or reaches one of these: G..., C..., B..., L..., or M... where a token names one.
    #[arg(long = "account", value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) accounts: Vec<String>,
    /// Only events of these contracts.
    #[arg(long = "contract", value_name = "CONTRACT", value_delimiter = ',')]
    pub(crate) contracts: Vec<String>,
    /// Only amounts from this one on, in the token's smallest unit.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) min_amount: Option<String>,
    /// Seconds without any server after which it gives up with 69; 0 for ever.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) patience_seconds: u64,
}

fn ledger(text: &str) -> Result<LedgerSequence, String> {
    text.parse().map(LedgerSequence).map_err(|_| "give the number of a ledger".to_owned())
}
