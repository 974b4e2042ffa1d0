//! A range of a table as a stream: what the dataset has, read as it is taken, up to a ledger that was durable when it was asked
//! for. Behind the last row comes a message without any, whose cursor says that all of the range was read.

use std::sync::Arc;

use orrery_actors::dataset::{
    DatasetError, DatasetErrorClass, DatasetView, ScanRequest, Snapshot, TableKind,
};
use orrery_actors::feed::{RowEncoder, RowMessageError};
use orrery_schemas::Cursor;
use tonic::Status;

use super::outlet::Outlet;
use super::ticket::{Part, Ticket};
use super::turns::Asked;

/// What is read.
pub(super) struct Stored {
    pub(super) view: Arc<DatasetView>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) ticket: Ticket,
    pub(super) part: Part,
}

impl Stored {
    /// Sends all of it, once it is its turn.
    ///
    /// # Errors
    ///
    /// The dataset cannot be read; or those of the outlet.
    pub(super) async fn send(self, asked: Arc<Asked>, outlet: Outlet) -> Result<(), Status> {
        let Self { view, snapshot, ticket, part } = self;
        let mut encoder = encoder(ticket.flight.table())?;
        outlet.schema(encoder.schema()).await?;
        let _turn = asked.turn().await;
        let request = match ticket.flight.table() {
            TableKind::TokenTransfers => ScanRequest::events(ticket.filter),
            TableKind::Ledgers => ScanRequest::ledgers(),
        };
        let mut scan = view.scan(&snapshot, request.within(part.span()));
        while let Some(rows) = scan.next().await.map_err(|error| unreadable(&error, &outlet))? {
            let encoded = tokio::task::spawn_blocking(move || {
                let messages = encoder.encode(&rows);
                (encoder, messages)
            });
            let (unused, messages) = encoded.await.map_err(|error| defect(&error))?;
            encoder = unused;
            for message in messages.map_err(|error| defect(&error))? {
                let Some(cursor) = message.cursor else { continue };
                outlet.rows(message, cursor, None).await?;
            }
        }
        let nothing = encoder.nothing().map_err(|error| defect(&error))?;
        outlet.rows(nothing, Cursor::behind(part.last), None).await
    }
}

/// Encodes rows of a table.
///
/// # Errors
///
/// A defect.
pub(super) fn encoder(table: TableKind) -> Result<RowEncoder, Status> {
    RowEncoder::new(table).map_err(|error: RowMessageError| defect(&error))
}

/// What should not be.
pub(super) fn defect(error: &dyn std::error::Error) -> Status {
    tracing::error!(%error, "a flight cannot be sent");
    Status::internal("a defect of the server: see its log")
}

fn unreadable(error: &DatasetError, outlet: &Outlet) -> Status {
    tracing::warn!(%error, "dataset cannot be read for a flight");
    match error.class() {
        DatasetErrorClass::Unavailable => {
            Status::unavailable(format!("the dataset's store does not answer: {}", outlet.fix()))
        }
        _ => {
            Status::data_loss("a file of the dataset cannot be read: see the node's log, and `orrery verify`")
        }
    }
}
