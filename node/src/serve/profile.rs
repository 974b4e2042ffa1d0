//! Profiles of the node, for administrators: names of functions tell what runs, and taking one costs some of it.

use std::sync::Arc;

use serde_json::json;
use warp::reply::{Reply, with_header};

use super::access::{Access, Role};
use super::problem::Problem;
use super::request::Request;
use super::router::{Answer, Endpoint};
use crate::profile::{Form, Profile};

/// At the paths where programs look for them.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let admin = Access::Of(Role::Admin);
    let of = |path, form, summary| {
        let binary = Arc::new(json!({ "type": "string", "format": "binary" }));
        Endpoint::get(path, admin, summary, move |request| answer(request, form))
            .gives(form.media_type(), binary.as_ref().clone())
    };
    vec![
        of("/debug/pprof/profile", Form::Pprof, "CPU time by stack, in pprof's form; ?seconds=1 to 60"),
        of("/debug/pprof/flamegraph", Form::Flame, "The same as a picture"),
    ]
}

async fn answer(request: Request, form: Form) -> Answer {
    let seconds = request.query.iter().find(|(name, _)| name == "seconds").map(|(_, value)| value.as_str());
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let seconds = seconds.ok_or_else(|| Problem::parameter("seconds", "give for how long: 1 to 60"))?;
    let profile = Profile::take(seconds).await.map_err(|reason| Problem::parameter("seconds", reason))?;
    Ok(with_header(profile.written(form), "content-type", form.media_type()).into_response())
}
