//! Spans on their way to a collector, watched: one that is away loses spans, which must not pass in silence and must not
//! fill the log either.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanData;
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};

use crate::shown_url::hide;

/// Between lines about a collector that stays away.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// Spans that were lost because the collector did not take them.
pub(crate) const LOST_SPANS: &str = "orrery_telemetry_lost_spans_total";

/// What the log was told.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// When it was last told that spans are lost; `None` since the collector took some.
    told: Option<MonotonicTime>,
    /// Lost since the collector took some.
    lost: u64,
}

/// What the log is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// The collector takes nothing; so many spans are lost so far.
    Lost(u64),
    /// It takes spans again; so many were lost.
    Back(u64),
}

impl Losses {
    /// A batch was sent or is lost: how many spans.
    fn step(&mut self, now: MonotonicTime, lost: Option<u64>) -> Option<News> {
        let Some(lost) = lost else {
            let before = std::mem::take(self);
            return before.told.map(|_| News::Back(before.lost));
        };
        self.lost += lost;
        if self.told.is_some_and(|told| now.since(told) < REMIND_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(News::Lost(self.lost))
    }

    /// Whether the log knows that the collector is away.
    pub(crate) fn is_told(&self) -> bool {
        self.told.is_some()
    }
}

/// An exporter that counts and tells what it loses.
#[derive(Debug)]
pub(crate) struct Watched {
    exporter: SpanExporter,
    /// Where spans go, which errors name.
    endpoint: String,
    clock: SystemClock,
    losses: Arc<Mutex<Losses>>,
}

impl Watched {
    /// `losses` is for whoever ends it.
    pub(crate) fn new(exporter: SpanExporter, endpoint: String, losses: Arc<Mutex<Losses>>) -> Self {
        Self { exporter, endpoint, clock: SystemClock::new(), losses }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        let lost = sent.is_err().then_some(spans);
        metrics::counter!(LOST_SPANS).increment(lost.unwrap_or(0));
        let now = self.clock.now();
        let news = self.losses.lock().unwrap_or_else(PoisonError::into_inner).step(now, lost);
        match (news, &sent) {
            (Some(News::Lost(lost)), Err(error)) => {
                let error = hide(&error.to_string(), &self.endpoint);
                tracing::warn!(
                    error,
                    lost,
                    "the collector takes no spans, they are lost; see telemetry.otlp"
                );
            }
            (Some(News::Back(lost)), _) => tracing::info!(lost, "the collector takes spans again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_is_away_is_told_once_then_now_and_then_and_when_it_is_back() {
        let mut losses = Losses::default();
        let mut check = |seconds, lost, expect| {
            let now = MonotonicTime::ORIGIN.after(Duration::from_secs(seconds));
            assert_eq!(losses.step(now, lost), expect, "{seconds}");
        };
        check(1, None, None);
        check(2, Some(5), Some(News::Lost(5)));
        check(3, Some(5), None);
        check(601, Some(5), None);
        check(602, Some(5), Some(News::Lost(20)));
        check(603, Some(1), None);
        check(604, None, Some(News::Back(21)));
        check(605, None, None);
        check(606, Some(2), Some(News::Lost(2)));
    }
}
