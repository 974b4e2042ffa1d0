//! Profiles of the node, for administrators: names of functions tell what runs, and taking one costs some of it.

use serde_json::json;
use warp::http::StatusCode;
use warp::reply::{Reply, with_header};

use super::access::{Access, Role};
use super::problem::Problem;
use super::request::Request;
use super::router::{Answer, Endpoint};
use crate::profile::{Form, NoHeap, Profile, heap};

/// At the paths where programs look for them.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let admin = Access::Of(Role::Admin);
    let binary = json!({ "type": "string", "format": "binary" });
    let of = |path, form, summary| {
        Endpoint::get(path, admin, summary, move |request| answer(request, form))
            .gives(form.media_type(), binary.clone())
    };
    let held = "Memory by who holds it, in pprof's form, gzipped; 501 where the program has no heap profiler";
    let heap = Endpoint::get("/debug/pprof/heap", admin, held, |_| held_memory());
    vec![
        of("/debug/pprof/profile", Form::Pprof, "CPU time by stack, in pprof's form; ?seconds=1 to 60"),
        of("/debug/pprof/flamegraph", Form::Flame, "The same as a picture"),
        heap.gives(Form::Pprof.media_type(), binary.clone()),
    ]
}

async fn answer(request: Request, form: Form) -> Answer {
    let seconds = request.query.iter().find(|(name, _)| name == "seconds").map(|(_, value)| value.as_str());
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let seconds = seconds.ok_or_else(|| Problem::parameter("seconds", "give for how long: 1 to 60"))?;
    let profile = Profile::take(seconds).await.map_err(|reason| Problem::parameter("seconds", reason))?;
    Ok(with_header(profile.written(form), "content-type", form.media_type()).into_response())
}

async fn held_memory() -> Answer {
    let taken = heap().await.map_err(|refused| match refused {
        NoHeap::Absent(what_to_do) => Problem::new(StatusCode::NOT_IMPLEMENTED, "not_built_in", what_to_do),
        NoHeap::Failed(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", refused.to_string()),
    })?;
    Ok(with_header(taken, "content-type", Form::Pprof.media_type()).into_response())
}
