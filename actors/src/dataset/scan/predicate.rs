//! Which rows match, decided from the few columns that matter.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::and;
use arrow::datatypes::{Int32Type, Int64Type};
use orrery_schemas::EventFilter;
use parquet::errors::ParquetError;

use super::span::Span;
use crate::dataset::kind::TableKind;

/// Column of a row's place in its ledger.
const EVENT_COLUMN: &str = "ledger_event_index";

/// A filter, and places where that is to be looked at.
#[derive(Clone, Debug)]
pub(super) struct Predicate {
    pub(super) kind: TableKind,
    pub(super) filter: EventFilter,
    /// `None` if every row is known to be in the span.
    pub(super) span: Option<Span>,
}

impl Predicate {
    /// Whether every row matches.
    pub(super) fn is_all(&self) -> bool {
        self.filter.is_all() && self.span.is_none()
    }

    /// Names of the columns that it looks at.
    pub(super) fn columns(&self) -> Vec<&'static str> {
        let mut columns = self.filter.columns();
        if self.span.is_some() {
            columns.push(self.kind.ledger_column());
            if self.kind == TableKind::TokenTransfers {
                columns.push(EVENT_COLUMN);
            }
        }
        columns
    }

    /// Which rows of a batch match.
    pub(super) fn matches(&self, batch: &RecordBatch) -> Result<BooleanArray, ParquetError> {
        let wanted = self.filter.matches(batch).map_err(|error| ParquetError::General(error.to_string()))?;
        let Some(span) = &self.span else { return Ok(wanted) };
        let column = |name: &str| batch.column_by_name(name);
        let unlike =
            |name: &str| ParquetError::General(format!("column {name} is of another type or has nulls"));
        let name = self.kind.ledger_column();
        let ledgers = column(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let ledgers = ledgers.filter(|ledgers| ledgers.null_count() == 0).ok_or_else(|| unlike(name))?;
        let is_inside = match self.kind {
            TableKind::Ledgers => ledgers.values().iter().map(|ledger| span.contains(*ledger, 0)).collect(),
            TableKind::TokenTransfers => {
                let events = column(EVENT_COLUMN).and_then(|column| column.as_primitive_opt::<Int32Type>());
                let events =
                    events.filter(|events| events.null_count() == 0).ok_or_else(|| unlike(EVENT_COLUMN))?;
                let places = ledgers.values().iter().zip(events.values());
                places.map(|(ledger, event)| span.contains(*ledger, i64::from(*event))).collect()
            }
        };
        let is_inside: Vec<bool> = is_inside;
        Ok(and(&wanted, &BooleanArray::from(is_inside))?)
    }
}
