//! A request that becomes a WebSocket (RFC 6455, section 4).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use warp::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warp::hyper::upgrade::OnUpgrade;
use warp::reply::Response;

use crate::serve::problem::Problem;
use crate::serve::request::Request;

/// What the standard adds to a key before it is hashed.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The protocol that a browser names beside the one that carries its token: without an answer to those it names, it closes.
const PROTOCOL: &str = "orrery.feed";

/// The answer to a handshake, and the connection that it leads to.
///
/// # Errors
///
/// It is none, or of another version.
pub(super) fn accept(request: &Request) -> Result<(Response, OnUpgrade), Problem> {
    let headers = &request.headers;
    let upgrade = request
        .upgrade
        .clone()
        .filter(|_| has_token(headers, &UPGRADE, "websocket") && has_token(headers, &CONNECTION, "upgrade"));
    let upgrade_required = |detail: &str| {
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail)
            .with(UPGRADE, "websocket")
            .with(SEC_WEBSOCKET_VERSION, "13")
    };
    let Some(upgrade) = upgrade else {
        return Err(upgrade_required("connect with a WebSocket, or use /v1/feed.sse"));
    };
    if request.header(&SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(upgrade_required("connect with version 13 of WebSocket"));
    }
    let key = request.header(&SEC_WEBSOCKET_KEY).map(str::trim);
    let Some(key) = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16)) else {
        return Err(Problem::parameter("Sec-WebSocket-Key", "give 16 bytes as base64"));
    };
    let mut response = Response::new(bytes::Bytes::new().into());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if has_token(headers, &SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    if let Ok(accept) = HeaderValue::from_str(&accept_key(key)) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok((response, upgrade))
}

/// What proves to the client that its key was read.
pub(crate) fn accept_key(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{KEY_SUFFIX}").as_bytes()))
}

/// Whether a header that is a list has this among its values.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_that_of_the_standard() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
