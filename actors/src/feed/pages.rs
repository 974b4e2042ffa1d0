//! Pages of the dataset that readers share: after a restart all of them ask for the same few.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use orrery_schemas::LedgerSequence;

use super::history::Page;

/// The pages that were asked for last, bounded by bytes.
pub(super) struct Pages {
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Default)]
struct Kept {
    /// The one that was used last is at the back.
    pages: VecDeque<(Arc<Page>, usize)>,
    bytes: usize,
}

impl Pages {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), bytes_max }
    }

    /// The page with a ledger, if it is here.
    pub(super) fn get(&self, ledger: LedgerSequence) -> Option<Arc<Page>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.pages.iter().position(|(page, _)| page.get(ledger).is_some())?;
        let found = kept.pages.remove(at)?;
        let page = found.0.clone();
        kept.pages.push_back(found);
        Some(page)
    }

    /// Keeps a page, and lets those go that were not used for longest. One that is larger than all is not kept.
    pub(super) fn keep(&self, page: &Arc<Page>) {
        let bytes = page.bytes();
        if bytes > self.bytes_max {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes;
        kept.pages.push_back((page.clone(), bytes));
        while kept.bytes > self.bytes_max {
            let Some((_, bytes)) = kept.pages.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(bytes);
        }
    }
}
