//! Answers as JSON, with what caches need to know of them.

use aws_lc_rs::digest::SHA256;
use bytes::Bytes;
use serde::Serialize;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use crate::serve::problem::Problem;
use crate::serve::request::Request;
use crate::serve::router::Answer;

/// Media type of answers.
pub(super) const JSON: &str = "application/json";

/// How long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It is of this moment.
    Now,
    /// For ever: it says only what is durable, and nothing durable is changed.
    Always,
}

/// `value` as the answer.
pub(super) fn json(request: &Request, value: &impl Serialize, holds: Holds) -> Answer {
    let mut body = serde_json::to_vec(value)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not_json", error.to_string()))?;
    body.push(b'\n');
    let tag = (holds == Holds::Always).then(|| tag(&body));
    Ok(with_tag(request, body.into(), tag))
}

fn with_tag(request: &Request, body: Bytes, tag: Option<String>) -> Response {
    let is_known = tag
        .as_deref()
        .is_some_and(|tag| request.header(&IF_NONE_MATCH).is_some_and(|known| matches_tag(known, tag)));
    let mut response = if is_known { Response::new("".into()) } else { Response::new(body.into()) };
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    // Who may read it is decided at every request, so that no shared cache may keep it.
    let caching = if tag.is_some() { "private, max-age=3600, immutable" } else { "no-store" };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A strong tag: another body has another.
fn tag(body: &[u8]) -> String {
    let digest = hex::encode(aws_lc_rs::digest::digest(&SHA256, body));
    format!("\"{}\"", digest.get(..32).unwrap_or_default())
}

/// Whether `If-None-Match` names the tag.
fn matches_tag(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list() {
        let check = |known: &str, expect: bool| assert_eq!(matches_tag(known, "\"a\""), expect, "{known}");
        check("\"a\"", true);
        check("\"b\", W/\"a\"", true);
        check("*", true);
        check("\"b\"", false);
        check("a", false);
    }
}
