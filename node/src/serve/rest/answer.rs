//! Answers as JSON, with what caches need to know of them.

use aws_lc_rs::digest::SHA256;
use bytes::Bytes;
use orrery_actors::dataset::Cache;
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

/// An answer, as it is sent to whoever asks the same of the same content.
#[derive(Clone, Debug)]
pub(super) struct Made {
    body: Bytes,
    tag: Option<String>,
}

/// What an answer is of: a request, and the content it was asked of; `None` if the answer is the same for ever.
type Key = (String, Option<(u64, u64)>);

/// Answers that were made.
pub(super) struct Kept(Cache<Key, Made>);

impl Kept {
    /// At most so many bytes of answers: the same accounts are asked for again and again.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Cache::new(bytes_max))
    }

    /// The answer to the same request, if its content is the same.
    pub(super) fn get(&self, request: &Request, content: (u64, u64)) -> Option<Made> {
        let name = name(request);
        self.0.get(&(name.clone(), None)).or_else(|| self.0.get(&(name, Some(content))))
    }

    /// Keeps what holds for ever, as the answer to a path without a query.
    pub(super) fn put_always(&self, path: &str, made: &Made) {
        let bytes = made.body.len() + 2 * path.len() + 200;
        self.0.put((path.to_owned(), None), made.clone(), bytes);
    }

    /// Keeps an answer that is whole.
    pub(super) fn put(&self, request: &Request, content: (u64, u64), made: &Made) {
        let content = made.tag.is_none().then_some(content);
        let name = name(request);
        // The key stands in the cache twice.
        let bytes = made.body.len() + 2 * name.len() + 200;
        self.0.put((name, content), made.clone(), bytes);
    }
}

/// What is asked, as it was written.
fn name(request: &Request) -> String {
    let mut name = request.path.clone();
    for (key, value) in &request.query {
        // No character of a URL's path, so that two requests have two names.
        name.extend(["\n", key, "\n", value]);
    }
    name
}

/// `value` as the answer.
pub(super) fn json(request: &Request, value: &impl Serialize, holds: Holds) -> Answer {
    Ok(Made::new(value, holds)?.respond(request))
}

impl Made {
    /// `value` as JSON.
    pub(super) fn new(value: &impl Serialize, holds: Holds) -> Result<Self, Problem> {
        let mut body = serde_json::to_vec(value).map_err(|error| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not_json", error.to_string())
        })?;
        body.push(b'\n');
        let tag = (holds == Holds::Always).then(|| tag(&body));
        Ok(Self { body: body.into(), tag })
    }

    /// The answer, without its body if the client has that.
    pub(super) fn respond(self, request: &Request) -> Response {
        let Self { body, tag } = self;
        let known = request.header(&IF_NONE_MATCH).unwrap_or_default();
        let is_known = tag.as_deref().is_some_and(|tag| matches_tag(known, tag));
        let mut response = Response::new(if is_known { Bytes::new() } else { body }.into());
        let headers = response.headers_mut();
        // Who may read it is decided at every request, so that no shared cache may keep it.
        let caching = if tag.is_some() { "private, max-age=3600, immutable" } else { "no-store" };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
        if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
            headers.insert(ETAG, tag);
        }
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        response
    }
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
    use crate::serve::request::pairs;

    /// A page of now is kept for what was there when it was made, one that holds for whatever comes.
    #[test]
    fn an_answer_is_kept_for_the_content_that_it_is_of() {
        let request = |query: &str| Request::of_query(pairs(query).unwrap());
        let kept = Kept::new(1 << 20);
        let check = |query: &str, content, expect: Option<&str>| {
            let body = kept.get(&request(query), content).map(|made| made.body);
            assert_eq!(body.as_deref(), expect.map(str::as_bytes), "{query} {content:?}");
        };
        kept.put(&request("order=desc"), (7, 7), &Made::new(&"now", Holds::Now).unwrap());
        kept.put(&request("from=5"), (7, 7), &Made::new(&"always", Holds::Always).unwrap());
        check("order=desc", (7, 7), Some("\"now\"\n"));
        check("order=desc", (8, 7), None);
        check("from=5", (8, 9), Some("\"always\"\n"));
        check("from=5&limit=2", (8, 9), None);
        check("", (7, 7), None);
    }

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
