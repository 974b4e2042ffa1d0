//! The part of a scan that takes rows from row files: for an address, or for few rows of a place.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use orrery_schemas::{
    Address, LedgerSequence, TokenTransfer, TokenTransferBatchBuilder, token_transfers_stored_schema,
};

use super::shelve::in_background;
use super::span::{Place, Span};
use super::stream::Scan;
use super::{Order, ScanRequest};
use crate::columnar::at_rest;
use crate::dataset::error::DatasetError;
use crate::dataset::kind::TableKind;
use crate::dataset::lookup::{Shelf, Stepped, Walk, Wanted};

/// Rows of a step. More make a reader of few wait, fewer cost a change of threads more often.
const STEP_ROWS: usize = 1024;

/// Rows that are few: more, without an address, are read faster as columns.
const FEW_ROWS: u64 = 1_000;

/// Files that a walk goes through at once.
const WALK_FILES_MAX: usize = 64;

impl ScanRequest {
    /// Whether rows are looked up one by one where that is possible.
    pub(super) fn is_look_up(&self) -> bool {
        let is_few = self.filter.is_all() && self.limit.is_some_and(|limit| limit <= FEW_ROWS);
        self.table == TableKind::TokenTransfers && (!self.filter.accounts().is_empty() || is_few)
    }

    /// Whether there is nothing to be asked of an event that has one of the addresses.
    fn is_of_accounts_alone(&self) -> bool {
        self.filter.columns().iter().all(|column| ["from", "to"].contains(column))
    }

    /// The addresses; `None` if one is none: then the columns are asked.
    fn accounts(&self) -> Option<Vec<Address>> {
        self.filter.accounts().iter().map(|address| address.parse().ok()).collect()
    }

    /// Events as the columns that are asked for.
    pub(super) fn batch(&self, events: &[TokenTransfer]) -> Result<RecordBatch, DatasetError> {
        let batch = stored(events)?;
        let Some(names) = &self.columns else { return Ok(batch) };
        let schema = batch.schema();
        let is_wanted = |at: &usize| names.contains(&schema.field(*at).name().as_str());
        let indices: Vec<_> = (0..schema.fields().len()).filter(is_wanted).collect();
        batch.project(&indices).map_err(|error| DatasetError::encode("choose columns", error))
    }
}

/// Events as they stand in a file.
fn stored(events: &[TokenTransfer]) -> Result<RecordBatch, DatasetError> {
    let mut builder = TokenTransferBatchBuilder::with_capacity(events.len());
    builder.append(events)?;
    at_rest(&builder.finish()?, &token_transfers_stored_schema())
        .map_err(|problem| DatasetError::encode("make columns of rows", io::Error::other(problem)))
}

impl Scan {
    /// The next rows from row files, never none; `None` if the next file has no row file, or there is no next file.
    pub(super) async fn look_up(&mut self) -> Result<Option<Vec<TokenTransfer>>, DatasetError> {
        let Some(shelf) = self.shelf.clone() else { return Ok(None) };
        loop {
            let walk = match self.walk.take() {
                Some(walk) => walk,
                None => match self.begin(&shelf) {
                    Some(walk) => walk,
                    None => return Ok(None),
                },
            };
            let Some(stepped) = self.step(&shelf, walk).await? else {
                // What is not handed out yet is read from the data files.
                self.request.span = self.request.span.intersection(&self.ahead);
                self.rest = self.ahead.intersection(&self.snapshot.span());
                return Ok(None);
            };
            let events = self.accept(stepped).await?;
            if !events.is_empty() {
                return Ok(Some(events));
            }
            if self.left == Some(0) {
                return Ok(None);
            }
        }
    }

    /// A walk through the row files of the next files, as far as they have some.
    fn begin(&mut self, shelf: &Shelf) -> Option<Walk> {
        self.ahead = self.rest;
        let mut files = Vec::new();
        while files.len() < WALK_FILES_MAX {
            let rest = self.rest;
            let Some(file) = self.next_file() else { break };
            let name = file.name.to_string();
            if !shelf.has(&name) {
                self.rest = rest;
                break;
            }
            files.push((name, self.end_of(&file)));
        }
        if files.is_empty() {
            return None;
        }
        let (span, order) = (self.request.span, self.request.order);
        let walk = shelf.walk(Wanted { accounts: self.request.accounts()?, span, order }, &files);
        // One may have gone since.
        if walk.files() < files.len() {
            self.rest = self.ahead;
            self.shelf = None;
            return None;
        }
        self.counts.row_files += files.len() as u64;
        Some(walk)
    }

    /// A step of a walk; `None` if it failed.
    async fn step(&mut self, shelf: &Arc<Shelf>, mut walk: Walk) -> Result<Option<Stepped>, DatasetError> {
        let left = self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(STEP_ROWS);
        let rows_max = if self.request.is_of_accounts_alone() { left.min(STEP_ROWS) } else { STEP_ROWS };
        let helper = Arc::clone(shelf);
        let stepped = in_background(move || {
            let stepped = walk.step(rows_max).inspect_err(|error| helper.give_up(&walk, error));
            Ok((walk, stepped.ok()))
        });
        match stepped.await {
            Ok((walk, stepped)) => {
                self.walk = Some(walk).filter(|walk| stepped.is_some() && !walk.is_over());
                Ok(stepped)
            }
            // It ended by a panic, a defect. The data files are there still.
            Err(error) => {
                tracing::error!(%error, "a look-up in row files failed");
                self.shelf = None;
                Ok(None)
            }
        }
    }

    /// What of a step's rows is wanted.
    async fn accept(&mut self, stepped: Stepped) -> Result<Vec<TokenTransfer>, DatasetError> {
        let Stepped { mut events, passed, read } = stepped;
        self.bytes.fetch_add(read, Ordering::Relaxed);
        let last = events
            .last()
            .map(|event| Place { ledger: event.ledger_sequence, event: event.ledger_event_index });
        for place in passed.iter().copied().chain(last) {
            self.ahead = self.ahead.intersection(&behind(place, self.request.order));
        }
        if !self.request.is_of_accounts_alone() && !events.is_empty() {
            let filter = self.request.filter.clone();
            let matched = in_background(move || {
                let matches = stored(&events)
                    .and_then(|batch| Ok(filter.matches(&batch)?))
                    .map_err(io::Error::other)?;
                let kept = events.into_iter().zip(matches.values()).filter(|(_, is_match)| *is_match);
                Ok(kept.map(|(event, _)| event).collect())
            });
            events = matched.await.map_err(|error| DatasetError::encode("look at rows", error))?;
        }
        if let Some(left) = &mut self.left {
            events.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= events.len() as u64;
        }
        // A limit may have cut off what was found.
        if self.left != Some(0) {
            self.passed = passed.last().copied().or(self.passed);
        }
        Ok(events)
    }
}

/// The places that come after one.
fn behind(place: Place, order: Order) -> Span {
    let Place { ledger, event } = place;
    let none = Span { first: Span::ALL.last, last: Span::ALL.first };
    match order {
        Order::Ascending => {
            let next = event.checked_add(1).map(|event| Place { ledger, event });
            let next = next.or_else(|| ledger.next().map(Place::start_of));
            next.map_or(none, |first| Span { first, last: Span::ALL.last })
        }
        Order::Descending => {
            let before = event.checked_sub(1).map(|event| Place { ledger, event });
            let before = before
                .or_else(|| ledger.0.checked_sub(1).map(|ledger| Place::end_of(LedgerSequence(ledger))));
            before.map_or(none, |last| Span { first: Span::ALL.first, last })
        }
    }
}
