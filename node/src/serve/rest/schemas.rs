//! What answers look like, for the API's description.

use orrery_actors::sink::Format;
use warp::http::StatusCode;

/// A defect, or a dataset that contradicts itself.
pub(super) const INTERNAL: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// What an export in this format is.
pub(super) fn media_type(format: Format) -> &'static str {
    match format {
        Format::Jsonl => "application/jsonl",
        Format::Csv => "text/csv",
        Format::Arrow => "application/vnd.apache.arrow.stream",
        Format::Parquet => "application/vnd.apache.parquet",
    }
}
