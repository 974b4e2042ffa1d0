//! Tasks of the runtime, told to `tokio-console` at 127.0.0.1:6669, or where `TOKIO_CONSOLE_BIND` says. Only in a program that was built
//! for that: it costs time at each task's every turn.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// What is told by the runtime itself, and nothing of ours.
pub(super) fn layer<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let of_runtime =
        Targets::new().with_target("tokio", LevelFilter::TRACE).with_target("runtime", LevelFilter::TRACE);
    console_subscriber::ConsoleLayer::builder().with_default_env().spawn().with_filter(of_runtime)
}
