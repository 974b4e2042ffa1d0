//! The way to one reader: a few messages that wait to be taken, so that whoever makes them waits too. A stream that ends
//! before all was read says why, and where to go on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_flight::FlightData;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt, unfold};
use orrery_actors::feed::RowMessage;
use orrery_schemas::Cursor;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tonic::Status;

/// Messages that wait, each of about a MiB.
const WAITING_MAX: usize = 2;

/// Time in which a reader has to take a message: it may work on those that it has.
pub(super) const TAKE_WITHIN: Duration = Duration::from_secs(120);

/// What a reader gets.
type Sent = Result<FlightData, Status>;

/// What makes the messages of a stream; it ends by itself when its reader has gone.
pub(super) type Work = BoxFuture<'static, ()>;

/// Takes messages for one reader.
pub(super) struct Outlet {
    to: mpsc::Sender<Sent>,
    place: Arc<Place>,
    take_within: Duration,
}

/// Behind what was sent; `None` before anything was.
#[derive(Default)]
struct Place(Mutex<Option<Cursor>>);

impl Place {
    fn get(&self) -> Option<Cursor> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a reader does about an end.
    fn fix(&self) -> String {
        match self.get() {
            Some(cursor) => format!(r#"go on with "from":"{cursor}""#),
            None => "ask again with the same ticket".to_owned(),
        }
    }
}

impl Outlet {
    /// Sends the schema, which comes first.
    ///
    /// # Errors
    ///
    /// As [`Self::rows`].
    pub(super) async fn schema(&self, schema: RowMessage) -> Result<(), Status> {
        self.send(schema, Bytes::new()).await
    }

    /// Sends rows, or none; a reader that has them stands behind `cursor`. Waits until there is room.
    ///
    /// # Errors
    ///
    /// The reader has gone, or takes nothing.
    pub(super) async fn rows(
        &self,
        rows: RowMessage,
        cursor: Cursor,
        tip: Option<Cursor>,
    ) -> Result<(), Status> {
        let metadata = match tip {
            Some(tip) => json!({ "cursor": cursor, "tip": tip }),
            None => json!({ "cursor": cursor }),
        };
        self.send(rows, metadata.to_string().into()).await?;
        *self.place.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor);
        Ok(())
    }

    /// What a reader does about an end that comes now.
    pub(super) fn fix(&self) -> String {
        self.place.fix()
    }

    async fn send(&self, message: RowMessage, metadata: Bytes) -> Result<(), Status> {
        let data = FlightData::new()
            .with_data_header(message.header)
            .with_data_body(message.body)
            .with_app_metadata(metadata);
        let slow = || {
            let seconds = self.take_within.as_secs();
            Status::resource_exhausted(format!("the reader took nothing for {seconds} s: {}", self.fix()))
        };
        let room = tokio::time::timeout(self.take_within, self.to.reserve()).await.map_err(|_| slow())?;
        room.map_err(|_| Status::cancelled("the reader has gone"))?.send(Ok(data));
        Ok(())
    }
}

/// A stream, and the work that makes it, which holds on to `held` as long as either of them is there. It is told to end
/// when `stopping` says so.
pub(super) fn stream<F>(
    mut stopping: watch::Receiver<bool>,
    take_within: Duration,
    held: impl Clone + Send + Sync + 'static,
    work: impl FnOnce(Outlet) -> F,
) -> (Work, BoxStream<'static, Sent>)
where
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    // One more, so that the end can be told to somebody who takes nothing.
    let (to, from) = mpsc::channel(WAITING_MAX + 1);
    let last = to.clone().try_reserve_owned();
    let place = Arc::new(Place::default());
    let work = work(Outlet { to: to.clone(), place: place.clone(), take_within });
    let holds = held.clone();
    let made = async move {
        let ended = tokio::select! {
            ended = work => ended,
            () = to.closed() => return,
            _ = stopping.wait_for(|stopping| *stopping) => {
                Err(Status::unavailable(format!("this node stops: {}, elsewhere or later", place.fix())))
            }
        };
        if let (Err(status), Ok(last)) = (ended, last) {
            last.send(Err(status));
        }
        drop(holds);
    };
    let messages = unfold((from, held), |(mut from, held)| async move {
        let next = from.recv().await?;
        Some((next, (from, held)))
    });
    (made.boxed(), messages.boxed())
}

#[cfg(test)]
mod tests;
