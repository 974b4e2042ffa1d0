//! Arguments of what changes a dataset without new ledgers.

use std::num::NonZeroU32;

use clap::Args;
use orrery_actors::dataset::DatasetUrl;

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// The dataset: file://DIR, s3:// or gs:// (untested).
    #[arg(long, value_name = "URL")]
    pub(crate) dataset: DatasetUrl,
    /// Ledgers of a large file; a multiple of the slots' width.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    pub(crate) ledgers_per_file: u32,
}

#[derive(Debug, Args)]
pub(crate) struct EpochArgs {
    /// A dataset. Regions that are linked hear of it from each other; give those of regions that are not, too.
    #[arg(long, value_name = "URL", required = true)]
    pub(crate) dataset: Vec<DatasetUrl>,
    /// Announce an epoch that begins with this ledger, in all of the datasets. It cannot be taken back.
    #[arg(long, value_name = "N")]
    pub(crate) from_ledger: Option<NonZeroU32>,
    /// Ledgers of its slots; as before if it is not given.
    #[arg(long, value_name = "N", requires = "from_ledger", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) ledgers_per_slot: Option<u32>,
}
