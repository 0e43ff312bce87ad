//! How far the import is: a bar on a terminal, one JSON line a second otherwise.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use infra::task::{self, Task};
use serde::Serialize;
use tokio::time::{Instant, interval};

use crate::stack::console;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const TEMPLATE: &str = "{prefix:>10} {bar:30} {human_pos}/{human_len} {rate} ETA {eta} {wide_msg}";

/// One phase of the work. Ends its display when dropped.
#[derive(Debug)]
pub struct Phase {
    shared: Arc<Shared>,
    bar: Option<ProgressBar>,
    /// Prints the JSON lines.
    _reporter: Option<Task<()>>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    total: u64,
    done: AtomicU64,
    started: Instant,
    /// Why nothing moves, while it does not.
    waiting: Mutex<Option<String>>,
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
    #[must_use]
    pub fn start(name: &'static str, total: u64, json: bool) -> Self {
        let (done, started) = (AtomicU64::new(0), Instant::now());
        let shared = Arc::new(Shared { name, total, done, started, waiting: Mutex::new(None) });
        if json {
            let reporter = task::spawn("progress", report(Arc::clone(&shared)));
            return Self { shared, bar: None, _reporter: Some(reporter) };
        }
        let bar = ProgressBar::new(total).with_prefix(name);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.with_key("rate", rate_of));
        }
        bar.enable_steady_tick(REPORT_INTERVAL / 5);
        Self { shared, bar: Some(bar), _reporter: None }
    }

    /// So many more are done; so nothing waits.
    pub fn advance(&self, count: u64) {
        self.set(self.shared.done.load(Ordering::Relaxed) + count);
    }

    pub fn set(&self, done: u64) {
        self.shared.done.store(done, Ordering::Relaxed);
        self.say(None);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Nothing moves, and why; the same command or question is tried again.
    pub fn waits_for(&self, reason: String) {
        self.say(Some(reason));
    }

    fn say(&self, reason: Option<String>) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if *waiting == reason {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_message(reason.as_ref().map(|why| format!("waits: {why}")).unwrap_or_default());
        }
        *waiting = reason;
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

async fn report(shared: Arc<Shared>) {
    let mut ticks = interval(REPORT_INTERVAL);
    ticks.tick().await; // The first comes at once, and there is nothing to tell yet.
    loop {
        ticks.tick().await;
        console::line(&shared.line(shared.started.elapsed()));
    }
}

impl Shared {
    fn line(&self, elapsed: Duration) -> String {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.done.load(Ordering::Relaxed);
        let per_second = rate(done, elapsed);
        let left = self.total.saturating_sub(done);
        let line = Line {
            phase: self.name,
            done,
            total: self.total,
            per_second,
            eta_seconds: (per_second > 0).then(|| left.div_ceil(per_second.max(1))),
            waiting: waiting.as_deref(),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
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
        let line = || phase.shared.line(Duration::from_secs(2));
        expect_test::expect![[r#"{"phase":"baskets","done":100,"total":400,"per_second":50,"eta_seconds":6,"waiting":"connection refused"}"#]]
            .assert_eq(&line());
        phase.advance(1);
        assert!(!line().contains("waiting"));
    }
}
