//! Trace context between nodes: the `traceparent` of W3C Trace Context, so that a trace begun where ledgers are fetched goes
//! on where they are processed and written.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use orrery_actors::exchange::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Name of the header.
const TRACEPARENT: &str = "traceparent";

/// How the spans of batches cross. Nothing crosses where no collector is configured.
pub(crate) fn between_nodes() -> TraceContext {
    TraceContext { inject: Arc::new(inject), extract: Arc::new(extract) }
}

/// The header of a span that is recorded.
fn inject(span: &Span) -> Option<String> {
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    headers.remove(TRACEPARENT)
}

/// A span that goes on from a header.
fn extract(header: &str) -> Span {
    let headers = HashMap::from([(TRACEPARENT.to_owned(), header.to_owned())]);
    let span = tracing::info_span!(parent: None, "batch");
    let parent = TraceContextPropagator::new().extract(&headers);
    // Without a collector there is nothing to go on from.
    let _ = span.set_parent(parent);
    span
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_trace_goes_on_behind_its_header() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let begun = tracing::info_span!("fetch");
            let header = inject(&begun).unwrap();
            let trace = header.split('-').nth(1).unwrap().to_owned();
            assert_eq!((header.len(), trace.len()), (55, 32), "{header}");
            let gone_on = inject(&extract(&header)).unwrap();
            assert!(gone_on.contains(&trace) && gone_on != header, "{header} {gone_on}");
            // Rubbish begins a trace of its own.
            assert!(inject(&extract("rubbish")).is_some_and(|begun| !begun.contains(&trace)));
        });
        assert_eq!(inject(&Span::none()), None);
    }
}
