use std::collections::BTreeSet;

use super::methods::METHODS;
use super::*;
use crate::serve::access::Access;
use crate::serve::access::Role;

#[test]
fn every_method_says_who_may_call_it_and_stands_in_the_table_once() {
    let paths: BTreeSet<_> = METHODS.iter().map(|method| method.path).collect();
    assert_eq!(paths.len(), METHODS.len());
    for method in &METHODS {
        let expect = match method.path.starts_with("/grpc.health.v1.Health/") {
            true => Access::Open,
            false => Access::Of(Role::Viewer),
        };
        assert_eq!(method.access, expect, "{}", method.path);
        assert_eq!(methods::find(method.path).map(|found| found.path), Some(method.path));
    }
    for path in ["", "/", "/arrow.flight.protocol.FlightService/", "/grpc.health.v1.Health/List"] {
        assert!(methods::find(path).is_none(), "{path}");
    }
}

#[test]
fn refusals_keep_their_meaning() {
    let check = |status: u16, code: Code| {
        let problem = Problem::new(StatusCode::from_u16(status).unwrap(), "x", "why");
        let status = status_of(&problem);
        assert_eq!((status.code(), status.message()), (code, "why"));
    };
    check(400, Code::InvalidArgument);
    check(401, Code::Unauthenticated);
    check(403, Code::PermissionDenied);
    check(404, Code::NotFound);
    check(429, Code::ResourceExhausted);
    check(503, Code::Unavailable);
    check(500, Code::Internal);
}

#[test]
fn what_is_grpc_shows_in_its_head() {
    let check = |method: Method, kind: Option<&str>, expect: bool| {
        let kind = kind.map(|kind| (CONTENT_TYPE, kind.parse().unwrap()));
        assert_eq!(is_grpc(&method, &kind.into_iter().collect()), expect, "{method}");
    };
    check(Method::POST, Some("application/grpc"), true);
    check(Method::POST, Some("application/grpc+proto"), true);
    check(Method::GET, Some("application/grpc"), false);
    check(Method::POST, Some("application/json"), false);
    check(Method::POST, None, false);
}
