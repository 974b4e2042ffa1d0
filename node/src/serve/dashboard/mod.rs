//! The page at `/`. Its files are in the binary; it runs no script but its own and asks for nothing that is not served here.
//!
//! Anybody may have the files, since they tell nothing: what the page shows it asks of the API, as whoever signed in.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use warp::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use warp::http::{HeaderName, HeaderValue, StatusCode};
use warp::reply::Response;

use super::access::Access;
use super::request::Request;
use super::router::Endpoint;

/// What the page may do: its own scripts and styles, nothing inline, requests to where it came from, and text is never
/// read as markup (`trusted-types`), whatever a ledger says.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Names do not change from one version to the next, so that a browser asks each time whether it has the newest.
const CACHING: &str = "no-cache";

/// A file of the page.
struct File {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($name:literal, $media_type:literal) => {
        File { path: concat!("/dashboard/", $name), media_type: $media_type, bytes: include_bytes!($name) }
    };
}

macro_rules! script {
    ($name:literal) => {
        file!($name, "text/javascript; charset=utf-8")
    };
}

macro_rules! style {
    ($name:literal) => {
        file!($name, "text/css; charset=utf-8")
    };
}

/// All of them.
const FILES: &[File] = &[
    File { path: "/", media_type: "text/html; charset=utf-8", bytes: include_bytes!("index.html") },
    file!("favicon.svg", "image/svg+xml"),
    style!("theme.css"),
    style!("style.css"),
    style!("panels.css"),
    script!("theme.js"),
    script!("main.js"),
    script!("access.js"),
    script!("actor.js"),
    script!("api.js"),
    script!("assets.js"),
    script!("banner.js"),
    script!("chart.js"),
    script!("dom.js"),
    script!("feed.js"),
    script!("feed_view.js"),
    script!("filter.js"),
    script!("format.js"),
    script!("health.js"),
    script!("nodes.js"),
    script!("panel.js"),
    script!("poll.js"),
    script!("quarantine.js"),
    script!("regions.js"),
    script!("series.js"),
    script!("tiles.js"),
    script!("tree.js"),
];

/// One endpoint for each file.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let endpoint = |file: &'static File| {
        let tag: Arc<str> = tag(file.bytes).into();
        let summary = if file.path == "/" { "The dashboard" } else { "A part of the dashboard" };
        Endpoint::get(file.path, Access::Open, summary, move |request| {
            let response = answer(&request, file, &tag);
            async move { Ok(response) }
        })
    };
    FILES.iter().map(endpoint).collect()
}

fn answer(request: &Request, file: &'static File, tag: &str) -> Response {
    let is_known = request.header(&IF_NONE_MATCH).is_some_and(|known| names(known, tag));
    let body = if is_known { Bytes::new() } else { Bytes::from_static(file.bytes) };
    let mut response = Response::new(body.into());
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let mut say = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    say(CONTENT_TYPE, file.media_type);
    say(CACHE_CONTROL, CACHING);
    say(CONTENT_SECURITY_POLICY, POLICY);
    say(ETAG, tag);
    response
}

/// Other bytes have another.
fn tag(bytes: &[u8]) -> String {
    let digest = hex::encode(digest(&SHA256, bytes));
    format!("\"{}\"", digest.get(..32).unwrap_or_default())
}

/// Whether `If-None-Match` names the tag.
fn names(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests;
