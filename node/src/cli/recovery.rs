//! Arguments of `scrub`, `backup` and `restore`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use orrery_actors::dataset::DatasetUrl;
use orrery_actors::source::SourceUrl;

use super::{SOURCES, WorkersArgs};

#[derive(Debug, Args)]
pub(crate) struct ScrubArgs {
    /// The dataset: file://DIR, s3:// or gs:// (untested).
    #[arg(long, value_name = "URL")]
    pub(crate) dataset: DatasetUrl,
    /// Repair what the dataset itself suffices for: checkpoints, and slots whose data files are there.
    #[arg(long)]
    pub(crate) repair: bool,
    /// Repair from another copy too: a backup, or another region's dataset. What it gives counts by its hash.
    #[arg(long, value_name = "URL")]
    pub(crate) repair_from: Option<DatasetUrl>,
    /// Repair data files from ledgers too; may be given several times.
    #[arg(long = "source", value_name = "FILES|URL", help = SOURCES)]
    pub(crate) sources: Vec<SourceUrl>,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) workers: WorkersArgs,
}

/// How much of a disk or a network a command may take.
#[derive(Debug, Args)]
pub(crate) struct PaceArgs {
    /// Read at most so many MiB a second [default: as fast as it goes].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) mib_per_second: Option<u32>,
}

/// How much is copied at once.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// Most files that are copied at once.
    #[arg(long, value_name = "N", default_value = "8")]
    pub(crate) concurrency: NonZeroUsize,
    /// Read back the whole copy at the end, every object and every row, instead of what was copied now.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The dataset: file://DIR, s3:// or gs:// (untested).
    #[arg(long, value_name = "URL")]
    pub(crate) dataset: DatasetUrl,
    /// Where the backup is or will be: another disk, another bucket.
    #[arg(long, value_name = "URL")]
    pub(crate) to: DatasetUrl,
    /// Write what the backup has, as Prometheus metrics, to this file: for a collector of text files.
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) copy: CopyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup, or another region's dataset.
    #[arg(long, value_name = "URL")]
    pub(crate) from: DatasetUrl,
    /// Where the dataset will be: an empty place, or one with an earlier part of the same dataset, which is completed.
    #[arg(long, value_name = "URL")]
    pub(crate) dataset: DatasetUrl,
    /// Up to this slot of each table [default: all].
    #[arg(long, value_name = "N", conflicts_with = "until_ledger")]
    pub(crate) until_slot: Option<u64>,
    /// Up to the last slot that has no ledger after this one [default: all].
    #[arg(long, value_name = "LEDGER")]
    pub(crate) until_ledger: Option<u32>,
    #[command(flatten)]
    pub(crate) copy: CopyArgs,
}
