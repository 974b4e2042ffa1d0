//! Which handler answers a request: one table, whose rows are all that is served.

use futures::FutureExt;
use futures::future::BoxFuture;
use warp::http::Method;
use warp::reply::Response;

use super::access::{Access, Role};
use super::describe::About;
use super::problem::Problem;
use super::request::{Request, decoded};
use crate::exit::Failure;

/// What a handler gives.
pub(crate) type Answer = Result<Response, Problem>;

/// Answers requests of one endpoint.
pub(crate) type Handler = Box<dyn Fn(Request) -> BoxFuture<'static, Answer> + Send + Sync>;

/// The names in a path template, with the values that a path has for them, decoded.
pub(crate) type PathValues = Vec<(&'static str, String)>;

/// One row of the table.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// As `/v1/ledgers/{sequence}`: a segment in braces is any one segment, and a name for it.
    pub(crate) path: &'static str,
    /// Who may call it.
    pub(crate) access: Access,
    /// What it does, in a few words, for people who read the API's description.
    pub(crate) summary: &'static str,
    /// The same for programs.
    pub(crate) about: About,
    pub(crate) handler: Handler,
}

impl Endpoint {
    /// A GET. Every endpoint says who may call it.
    pub(crate) fn get<F>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let handler: Handler = Box::new(move |request| handler(request).boxed());
        Self { method: Method::GET, path, access, summary, about: About::default(), handler }
    }

    /// A POST, which changes something: for a role, never for anybody.
    pub(crate) fn post<F>(
        path: &'static str,
        role: Role,
        summary: &'static str,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self { method: Method::POST, ..Self::get(path, Access::Of(role), summary, handler) }
    }

    /// The names in its path, with the values that `path` has for them; `None` if `path` is another.
    fn values(&self, path: &[&str]) -> Option<PathValues> {
        let template: Vec<&'static str> = self.path.split('/').collect();
        if template.len() != path.len() {
            return None;
        }
        let mut values = Vec::new();
        for (expected, found) in template.into_iter().zip(path) {
            match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !found.is_empty() => values.push((name, decoded(found).ok()?)),
                _ if expected == *found => {}
                _ => return None,
            }
        }
        Some(values)
    }
}

/// The table.
pub(crate) struct Router {
    endpoints: Vec<Endpoint>,
}

impl Router {
    /// Of these endpoints.
    ///
    /// # Errors
    ///
    /// Two of them are the same: a defect.
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Result<Self, Failure> {
        for (index, one) in endpoints.iter().enumerate() {
            let is_same = |other: &Endpoint| other.method == one.method && other.path == one.path;
            if endpoints[..index].iter().any(is_same) {
                return Err(Failure::Bug(format!("{} {} is served twice", one.method, one.path)));
            }
        }
        Ok(Self { endpoints })
    }

    /// The endpoint of a request, and the values of the names in its path. HEAD is answered as GET.
    ///
    /// # Errors
    ///
    /// There is none, or none for this method.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<(&Endpoint, PathValues), Problem> {
        let segments: Vec<&str> = path.split('/').collect();
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        let mut allowed = Vec::new();
        for endpoint in &self.endpoints {
            let Some(values) = endpoint.values(&segments) else { continue };
            if endpoint.method == *wanted {
                return Ok((endpoint, values));
            }
            allowed.push(endpoint.method.as_str());
        }
        match allowed.is_empty() {
            true => Err(Problem::not_found("nothing is served here")),
            false => Err(Problem::method_not_allowed(&allowed.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: Method, path: &'static str) -> Endpoint {
        let get = Endpoint::get(path, Access::Open, "", |_| async { Err(Problem::not_found("")) });
        Endpoint { method, ..get }
    }

    #[test]
    fn a_request_finds_its_endpoint_or_is_told_what_is_allowed() {
        let router = Router::new(vec![
            endpoint(Method::GET, "/"),
            endpoint(Method::GET, "/v1/ledgers"),
            endpoint(Method::GET, "/v1/ledgers/{sequence}"),
            endpoint(Method::POST, "/v1/pipelines/{name}/park"),
        ])
        .unwrap();
        type Expect<'a> = Result<(&'a str, &'a [(&'static str, &'a str)]), u16>;
        let check = |method: Method, path: &str, expect: Expect<'_>| {
            let found = router.find(&method, path);
            let found = found.map_err(|problem| problem.status.as_u16());
            let expect = expect.map(|(path, values)| {
                (path, values.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>())
            });
            assert_eq!(found.map(|(endpoint, values)| (endpoint.path, values)), expect, "{method} {path}");
        };
        check(Method::GET, "/", Ok(("/", &[])));
        check(Method::GET, "/v1/ledgers", Ok(("/v1/ledgers", &[])));
        check(Method::HEAD, "/v1/ledgers", Ok(("/v1/ledgers", &[])));
        check(Method::GET, "/v1/ledgers/7", Ok(("/v1/ledgers/{sequence}", &[("sequence", "7")])));
        check(Method::GET, "/v1/ledgers/a%2Fb", Ok(("/v1/ledgers/{sequence}", &[("sequence", "a/b")])));
        check(Method::GET, "/v1/ledgers/", Err(404));
        check(Method::GET, "/v1/ledgers/7/8", Err(404));
        check(Method::GET, "/v2", Err(404));
        check(Method::POST, "/v1/ledgers", Err(405));
        check(
            Method::POST,
            "/v1/pipelines/main/park",
            Ok(("/v1/pipelines/{name}/park", &[("name", "main")])),
        );
    }

    #[test]
    fn an_endpoint_stands_in_the_table_once() {
        let twice =
            vec![endpoint(Method::GET, "/a"), endpoint(Method::POST, "/a"), endpoint(Method::GET, "/a")];
        assert!(Router::new(twice).is_err());
    }
}
