//! What a request may cost.

use std::time::Duration;

/// Rows of a page if nothing is said.
pub(super) const PAGE_ROWS: u32 = 100;

/// Most rows of a page: more are an export's business.
pub(super) const PAGE_ROWS_MAX: u32 = 1_000;

/// Time of a page. What was found by then is answered, with the place to go on from.
pub(super) const PAGE_WITHIN: Duration = Duration::from_secs(5);

/// Pages that are read at once; further ones wait.
pub(super) const PAGES_MAX: usize = 16;

/// Exports at once; a further one is refused.
pub(super) const EXPORTS_MAX: usize = 4;

/// Most ledgers of an export: about two weeks of a network. Several exports give more.
pub(super) const EXPORT_LEDGERS_MAX: u32 = 250_000;

/// Most rows of an export.
pub(super) const EXPORT_ROWS_MAX: u64 = 50_000_000;

/// Time of an export in all.
pub(super) const EXPORT_WITHIN: Duration = Duration::from_secs(3600);

/// Time for adding up a window.
pub(super) const VOLUMES_WITHIN: Duration = Duration::from_secs(60);

/// Assets of an answer if nothing is said, and most of them.
pub(super) const ASSETS: u32 = 50;
pub(super) const ASSETS_MAX: u32 = 1_000;
