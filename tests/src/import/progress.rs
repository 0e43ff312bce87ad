//! How far the import is: a bar on a terminal, one JSON line a second otherwise.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use infra::task::{self, Task};
use serde::Serialize;
use tokio::time::interval;

use stack::console;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{prefix:>10} {bar:30} {human_pos}/{human_len} {rate} ETA {eta} {wide_msg}";

/// Begins what a bar says while nothing moves.
const WAITS: &str = "waits: ";

/// One phase of the work. Ends its display when dropped.
#[derive(Debug)]
pub(crate) struct Phase {
    /// Counts, and tells people; hidden where JSON lines are printed.
    bar: ProgressBar,
    /// Prints the JSON lines.
    _reporter: Option<Task<()>>,
}

#[derive(Serialize)]
struct Line<'a> {
    phase: &'static str,
    done: u64,
    total: u64,
    per_second: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<&'a str>,
}

impl Phase {
    pub(crate) fn start(name: &'static str, total: u64, json: bool) -> Self {
        if json {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
            let reporter = task::spawn("progress", report(name, bar.clone()));
            return Self { bar, _reporter: Some(reporter) };
        }
        let bar = ProgressBar::new(total).with_prefix(name);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.with_key("rate", rate_of));
        }
        bar.enable_steady_tick(REPORT_INTERVAL / 5);
        Self { bar, _reporter: None }
    }

    /// So many more are done; so nothing waits.
    pub(crate) fn advance(&self, count: u64) {
        self.bar.inc(count);
        self.bar.set_message("");
    }

    pub(crate) fn set(&self, done: u64) {
        self.bar.set_position(done);
        self.bar.set_message("");
    }

    /// Nothing moves, and why; the same command or question is tried again.
    pub(crate) fn waits_for(&self, reason: String) {
        self.bar.set_message(format!("{WAITS}{reason}"));
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}

async fn report(name: &'static str, bar: ProgressBar) {
    let mut ticks = interval(REPORT_INTERVAL);
    ticks.tick().await; // The first comes at once, and there is nothing to tell yet.
    loop {
        ticks.tick().await;
        console::line(&line(name, &bar, bar.elapsed()));
    }
}

fn line(phase: &'static str, bar: &ProgressBar, elapsed: Duration) -> String {
    let (done, total, message) = (bar.position(), bar.length().unwrap_or_default(), bar.message());
    let per_second = rate(done, elapsed);
    let left = total.saturating_sub(done);
    let line = Line {
        phase,
        done,
        total,
        per_second,
        eta_seconds: (per_second > 0).then(|| left.div_ceil(per_second.max(1))),
        waiting: message.strip_prefix(WAITS),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

fn rate_of(state: &ProgressState, text: &mut dyn fmt::Write) {
    // A bar is drawn again and again: what cannot be written now is written next time.
    write!(text, "{:.0}/s", state.per_sec()).unwrap_or_default();
}

/// Whole things per second.
fn rate(count: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_rate_and_what_it_waits_for() {
        let phase = Phase::start("baskets", 400, false);
        phase.advance(100);
        phase.waits_for("connection refused".to_owned());
        let line = || line("baskets", &phase.bar, Duration::from_secs(2));
        expect_test::expect![[r#"{"phase":"baskets","done":100,"total":400,"per_second":50,"eta_seconds":6,"waiting":"connection refused"}"#]]
            .assert_eq(&line());
        phase.advance(1);
        assert!(!line().contains("waiting"));
    }
}
