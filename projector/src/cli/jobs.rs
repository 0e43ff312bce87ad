//! Commands that take their time: they ask, and show how it goes until it is over, as a bar on a
//! terminal or a line of JSON a second.

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Out, Outcome, client::Client, show, tables};
use crate::{
    status::Status,
    store::{
        verifications::{Verification, VerificationState},
        versions::{Version, VersionState},
    },
};

/// Between looks at a job.
const INTERVAL: Duration = Duration::from_millis(250);
const LINE_INTERVAL: Duration = Duration::from_secs(1);
const BAR: &str = "{msg:<32} [{bar:32}] {percent:>3}% {prefix}";

// How `rebuild` is to go. Clap would take a doc comment for the help of the command.
#[derive(Clone, Copy, Debug, clap::Args, Serialize)]
pub struct RebuildOptions {
    /// Records of the log per second, such as 50000/s; as fast as it goes without it
    #[arg(long, value_name = "N/s", value_parser = per_second)]
    pub throttle: Option<i32>,
    /// Verify the new version when it has caught up
    #[arg(long)]
    pub verify: bool,
    /// Switch to it then, unless differences were found
    #[arg(long)]
    pub switch: bool,
    /// Read events as they stand in the log, without the edits and skips of dead letters so far
    #[arg(long)]
    pub forget_corrections: bool,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct JobStatus<'s> {
    projection: &'s str,
    version: i32,
    state: &'s str,
    passed: u64,
    all: u64,
    /// Records per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
}

struct Progress {
    bar: Option<ProgressBar>,
    shown_at: Option<Instant>,
}

/// `50000/s`, or the number alone.
fn per_second(text: &str) -> Result<i32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate = number.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| "a number of records per second is meant, such as 50000/s".to_owned())
}

pub(super) async fn rebuild(
    client: &Client,
    name: &str,
    options: RebuildOptions,
    json: bool,
    out: Out<'_>,
) -> Result<Outcome> {
    let begun = client.act(name, "rebuild", &serde_json::to_value(options)?).await?;
    let mut progress = Progress::new(json);
    let ended = loop {
        let status = client.status().await?;
        let Some(version) = status.version(name, begun.version) else {
            progress.end();
            bail!("{name} v{} has been dropped", begun.version);
        };
        if !version.is_busy() {
            break version.clone();
        }
        let verification = match version.verification {
            Some(id) if version.verify => Some(client.verification(id).await?),
            _ => None,
        };
        progress.show(&seen_of(version, &status, verification.as_ref()), out).await?;
    };
    progress.end();
    let verification = match ended.verification {
        Some(id) => Some(client.verification(id).await?),
        None => None,
    };
    report(&ended, verification.as_ref(), json, out)
}

fn seen_of<'v>(
    version: &'v Version,
    status: &Status,
    verification: Option<&Verification>,
) -> JobStatus<'v> {
    let at = status.progress(&version.projection, version.version);
    let (projection, number) = (&*version.projection, version.version);
    if let Some(verification) = verification {
        return verifying(projection, number, verification);
    }
    let left = (at.all - at.passed).max(0);
    let paused = version.paused;
    let is_counted =
        matches!(version.state, VersionState::Copying | VersionState::CatchingUp) && !paused;
    let rate = (is_counted && at.rate > 0.0).then_some(at.rate);
    let left = f64::from(i32::try_from(left).unwrap_or(i32::MAX));
    JobStatus {
        projection,
        version: number,
        state: if paused { "paused" } else { version.state.as_str() },
        passed: at.passed.cast_unsigned(),
        all: at.all.max(at.passed).cast_unsigned(),
        rate,
        eta_seconds: rate.map(|rate| left / rate),
    }
}

fn verifying<'p>(projection: &'p str, version: i32, verification: &Verification) -> JobStatus<'p> {
    // In thousandths: what a bar can show.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number from 0 to 1000"
    )]
    let passed = (verification.progress.clamp(0.0, 1.0) * 1_000.0) as u64;
    let state = "verifying";
    JobStatus { projection, version, state, passed, all: 1_000, rate: None, eta_seconds: None }
}

fn report(
    version: &Version,
    verification: Option<&Verification>,
    json: bool,
    out: Out<'_>,
) -> Result<Outcome> {
    show(out, json, &json!({ "version": version, "verification": verification }), |_| {
        let report = verification.and_then(|it| it.report.as_ref());
        let report = report.map(|report| tables::report(report) + "\n").unwrap_or_default();
        report + &tables::versions([version])
    })?;
    if verification.is_some_and(|it| it.state == VerificationState::Different) {
        return Ok(Outcome::Different);
    }
    match &version.problem {
        Some(problem) => bail!("{} v{}: {problem}", version.projection, version.version),
        None => Ok(Outcome::Done),
    }
}

pub(super) async fn verify(
    client: &Client,
    name: &str,
    version: Option<i32>,
    sample: Option<i32>,
    json: bool,
    out: Out<'_>,
) -> Result<Outcome> {
    let body = json!({ "version": version, "sample": sample });
    let mut verification = client.verify(name, &body).await?;
    let mut progress = Progress::new(json);
    while !verification.state.is_final() {
        progress.show(&verifying(name, verification.version, &verification), out).await?;
        verification = client.verification(verification.id).await?;
    }
    progress.end();
    if json || verification.report.is_some() {
        show(out, json, &verification, |it| {
            it.report.as_ref().map(tables::report).unwrap_or_default()
        })?;
    }
    match verification.state {
        VerificationState::Equal => Ok(Outcome::Done),
        VerificationState::Different => Ok(Outcome::Different),
        VerificationState::Waiting | VerificationState::Running | VerificationState::Failed => {
            bail!("{name}: {}", verification.problem.as_deref().unwrap_or("it was not verified"))
        }
    }
}

impl Progress {
    /// Lines also where there is no terminal to draw a bar on.
    fn new(json: bool) -> Self {
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
    async fn show(&mut self, job: &JobStatus<'_>, out: Out<'_>) -> Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.set_length(job.all.max(1));
                bar.set_position(job.passed);
                bar.set_message(format!("{} v{} {}", job.projection, job.version, job.state));
                bar.set_prefix(speed(job));
            }
            None if self.shown_at.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) => {
                self.shown_at = Some(Instant::now());
                writeln!(out, "{}", serde_json::to_string(job)?)?;
            }
            None => {}
        }
        sleep(INTERVAL).await;
        Ok(())
    }

    fn end(&self) {
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
