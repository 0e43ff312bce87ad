//! Metrics as constants, and their Prometheus text.
//!
//! ```
//! use infra::telemetry::metric::Counter;
//! static COMMITS: Counter = Counter::new("tradewind_engine_commits_total", "Commits appended");
//! COMMITS.add(&[("result", "ok")], 1);
//! ```

use std::sync::{Once, OnceLock};

use metrics::IntoLabels;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Seconds: from half a millisecond to half a minute.
const SECONDS: [f64; 15] =
    [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Counts and sizes: powers of four.
const COUNTS: [f64; 12] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
];

static PROMETHEUS: OnceLock<PrometheusHandle> = OnceLock::new();

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $describe:ident),+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            name: &'static str,
            help: &'static str,
            described: Once,
        }

        impl $name {
            /// `name` is `tradewind_<part>_<what>_<base unit>`.
            #[must_use]
            pub const fn new(name: &'static str, help: &'static str) -> Self {
                Self { name, help, described: Once::new() }
            }

            fn describe(&self) {
                self.described.call_once(|| metrics::$describe!(self.name, self.help));
            }
        }
    )+};
}

metrics! {
    /// Only grows; its name ends in `_total`.
    Counter: describe_counter,
    /// Goes up and down.
    Gauge: describe_gauge,
    /// Many observations; seconds if the name ends in `_seconds`, else a count or a size.
    Histogram: describe_histogram
}

impl Counter {
    #[expect(clippy::disallowed_macros, reason = "this is what typed events move metrics with")]
    pub fn add(&self, labels: impl IntoLabels, by: u64) {
        self.describe();
        metrics::counter!(self.name, labels).increment(by);
    }
}

impl Gauge {
    #[expect(clippy::disallowed_macros, reason = "this is what typed events move metrics with")]
    pub fn set(&self, labels: impl IntoLabels, value: f64) {
        self.describe();
        metrics::gauge!(self.name, labels).set(value);
    }
}

impl Histogram {
    pub fn record(&self, labels: impl IntoLabels, value: f64) {
        self.handle(labels).record(value);
    }

    /// One series of it, for a hot path that records often under the same labels.
    #[expect(clippy::disallowed_macros, reason = "this is what typed events move metrics with")]
    pub fn handle(&self, labels: impl IntoLabels) -> metrics::Histogram {
        self.describe();
        metrics::histogram!(self.name, labels)
    }
}

/// No labels.
pub const NO_LABELS: &[(&str, &str)] = &[];

/// Installs the recorder; later calls change nothing.
pub(crate) fn install() {
    prometheus();
}

/// All metrics as Prometheus text.
#[must_use]
pub(crate) fn render() -> String {
    prometheus().render()
}

/// Drains what has been observed since, so that it does not pile up between two scrapes.
pub(crate) fn upkeep() {
    prometheus().run_upkeep();
}

fn prometheus() -> &'static PrometheusHandle {
    PROMETHEUS.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        // Both fail on an empty list only, which these are not; without them a histogram would
        // show as a summary.
        let builder = builder.set_buckets(&COUNTS).unwrap_or_default();
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = builder.set_buckets_for_metric(seconds, &SECONDS).unwrap_or_default();
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // An error means that a program has a recorder of its own, which then gets everything.
        metrics::set_global_recorder(recorder).ok();
        handle
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static SPOONS: Counter = Counter::new("tradewind_test_spoons_total", "Spoons counted");
    static WAITS: Histogram = Histogram::new("tradewind_test_wait_seconds", "Waits for tea");

    #[test]
    fn metrics_show_with_help_and_buckets() {
        install();
        SPOONS.add(&[("kind", "tea")], 2);
        WAITS.record(NO_LABELS, 0.003);
        let text = render();
        for line in [
            "# HELP tradewind_test_spoons_total Spoons counted",
            "tradewind_test_spoons_total{kind=\"tea\"} 2",
            "tradewind_test_wait_seconds_bucket{le=\"0.002\"} 0",
            "tradewind_test_wait_seconds_bucket{le=\"0.005\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
