//! A range of events as a file, made while it is sent. One that fails on the way is cut off, so that nobody takes it for whole.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use orrery_actors::dataset::{Scan, ScanRequest, Snapshot, Span};
use orrery_actors::sink::{self, EventSink, FileColumn, Format, SinkSettings, Target};
use orrery_schemas::{LedgerSequence, token_transfers_from_batch};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use warp::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::{Reply, Response};

use super::limits::{EXPORT_LEDGERS_MAX, EXPORT_ROWS_MAX, EXPORT_WITHIN, EXPORTS_MAX};
use super::query::{FILTER_KEYS, filter, only, parsed, sequence};
use super::{Rest, schemas};
use crate::serve::access::{Access, Role};
use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::{Answer, Endpoint};

pub(super) fn endpoints(rest: &Arc<Rest>) -> Vec<Endpoint> {
    let rest = rest.clone();
    let endpoint = Endpoint::get(
        "/v1/export",
        Access::Of(Role::Viewer),
        "Events of a range of ledgers as a file",
        move |request| {
            let rest = rest.clone();
            async move { export(&rest, &request).await }
        },
    )
    .takes([schemas::export(), schemas::filters(None)].concat());
    let as_file = |endpoint: Endpoint, format| endpoint.gives(schemas::media_type(format), json!({}));
    vec![Format::ALL.into_iter().fold(endpoint, as_file)]
}

async fn export(rest: &Rest, request: &Request) -> Answer {
    only(request, &FILTER_KEYS.into_iter().chain(["from", "to", "format"]).collect::<Vec<_>>())?;
    let format = parsed::<Format>(request, "format")?.unwrap_or(Format::Jsonl);
    let filter = filter(request, None)?;
    let (view, snapshot) = rest.dataset()?;
    let (first, last) = range(request, &snapshot)?;
    let turn = rest.exports.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{EXPORTS_MAX} exports are on their way: try again when one has ended");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_exports", detail)
    })?;
    let wanted = ScanRequest::events(filter).within(Span::ledgers(first..=last)).limit(EXPORT_ROWS_MAX + 1);
    let made = Parts::default();
    let sink = sink::open(SinkSettings {
        format,
        target: Target::Stream { writer: Box::new(made.clone()), name: "export".to_owned() },
        file_column: FileColumn::Absent,
        network_passphrase: snapshot.network_passphrase().to_owned(),
    });
    let sink = sink.map_err(|error| Problem::new(schemas::INTERNAL, "export_failed", error.to_string()))?;
    let export = Export { scan: view.scan(&snapshot, wanted), sink, made, rows: 0, _turn: turn };
    let deadline = Box::pin(tokio::time::sleep(EXPORT_WITHIN));
    let parts = stream::unfold(Some((export, deadline)), |state| async move {
        let (export, mut deadline) = state?;
        let (part, export) = tokio::select! {
            step = export.step() => match step {
                Ok((part, export)) => (Ok(part), export),
                Err(error) => (Err(error), None),
            },
            () = &mut deadline => (Err("the export took too long".to_owned()), None),
        };
        if let Err(error) = &part {
            tracing::warn!(error, "an export is cut off");
        }
        Some((part.map_err(io::Error::other), export.map(|export| (export, deadline))))
    });
    let mut response = warp::reply::stream(Alone(Mutex::new(parts.boxed()))).into_response();
    name(&mut response, format, first, last);
    Ok(response)
}

/// What the file is, and what it may be called.
fn name(response: &mut Response, format: Format, first: LedgerSequence, last: LedgerSequence) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(schemas::media_type(format)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let disposition = format!("attachment; filename=\"token_transfers-{first}-{last}.{format}\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
}

/// First and last ledger.
fn range(request: &Request, snapshot: &Snapshot) -> Result<(LedgerSequence, LedgerSequence), Problem> {
    let bound = |name: &str| match request.parameter(name)? {
        Some(value) => sequence(name, value),
        None => Err(Problem::parameter(name, "is missing: give the number of a ledger")),
    };
    let (first, last) = (bound("from")?, bound("to")?);
    if last < first {
        return Err(Problem::parameter("to", format_args!("{last} is before {first}, where `from` is")));
    }
    if last.0 - first.0 >= EXPORT_LEDGERS_MAX {
        let detail = format_args!("{last} makes over {EXPORT_LEDGERS_MAX} ledgers: export them in parts");
        return Err(Problem::parameter("to", detail));
    }
    // What is not there is not left out silently.
    let here = snapshot.last().map(|last| (snapshot.first(), last));
    match here {
        Some((oldest, tip)) if oldest <= first && last <= tip => Ok((first, last)),
        Some((oldest, tip)) => {
            let detail = format!("ledgers {first} to {last} are not all here: there are {oldest} to {tip}");
            Err(Problem::not_found(detail))
        }
        None => Err(Problem::not_found("no ledger is durable yet")),
    }
}

/// An export on its way.
struct Export {
    scan: Scan,
    sink: Box<dyn EventSink>,
    made: Parts,
    rows: u64,
    _turn: OwnedSemaphorePermit,
}

impl Export {
    /// The next bytes, and what is left to do.
    async fn step(mut self) -> Result<(Bytes, Option<Self>), String> {
        let batch = self.scan.next().await.map_err(|error| error.to_string())?;
        let Some(batch) = batch else {
            let Self { sink, made, .. } = self;
            return blocking(move || {
                sink.finish().map_err(|error| error.to_string())?;
                Ok((made.take(), None))
            })
            .await;
        };
        self.rows += batch.num_rows() as u64;
        if self.rows > EXPORT_ROWS_MAX {
            return Err(format!("it has over {EXPORT_ROWS_MAX} rows: export it in parts"));
        }
        let Self { scan, mut sink, made, rows, _turn } = self;
        let (sink, part) = blocking({
            let made = made.clone();
            move || {
                let events = token_transfers_from_batch(&batch).map_err(|error| error.to_string())?;
                sink.write("", &events).map_err(|error| error.to_string())?;
                Ok((sink, made.take()))
            }
        })
        .await?;
        Ok((part, Some(Self { scan, sink, made, rows, _turn })))
    }
}

/// Encoding takes longer than a runtime's thread may be held.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

/// What the encoder wrote and nobody took yet: at most a row group.
#[derive(Clone, Default)]
struct Parts(Arc<Mutex<Vec<u8>>>);

impl Parts {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that one owner polls, where the type asks for one that several might.
struct Alone<T>(Mutex<BoxStream<'static, T>>);

impl<T> Stream for Alone<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let inner = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        inner.as_mut().poll_next(context)
    }
}
