//! How far a build or a verification is: a bar on a terminal, a line of JSON a second for machines.

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::{Instant, sleep};

/// Between looks at a job.
const INTERVAL: Duration = Duration::from_millis(250);
const LINE_INTERVAL: Duration = Duration::from_secs(1);
const BAR: &str = "{msg:<32} [{bar:32}] {percent:>3}% {prefix}";

/// What is shown.
#[derive(Debug, Serialize)]
pub(super) struct JobStatus<'s> {
    pub projection: &'s str,
    pub version: i32,
    pub state: &'s str,
    pub passed: u64,
    pub all: u64,
    /// Records per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f64>,
}

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    shown_at: Option<Instant>,
}

impl Progress {
    /// Lines also where there is no terminal to draw a bar on.
    pub(super) fn new(json: bool) -> Self {
        let bar = (!json && stdout().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            // A constant that its author has seen at work.
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self { bar, shown_at: None }
    }

    /// Shows it, and waits until it is time to look again.
    pub(super) async fn show(&mut self, job: &JobStatus<'_>) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(job.all.max(1));
                bar.set_position(job.passed);
                bar.set_message(format!("{} v{} {}", job.projection, job.version, job.state));
                bar.set_prefix(speed(job));
            }
            None if self.shown_at.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) => {
                self.shown_at = Some(Instant::now());
                super::line(&serde_json::to_string(job).unwrap_or_default());
            }
            None => {}
        }
        sleep(INTERVAL).await;
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn speed(job: &JobStatus<'_>) -> String {
    let rate = job.rate.map(|rate| format!("{rate:.0} events/s")).unwrap_or_default();
    match job.eta_seconds {
        Some(seconds) => format!("{rate}, {seconds:.0} s left"),
        None => rate,
    }
}
