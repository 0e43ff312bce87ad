//! Commands that take their time: they ask, and show how it goes until it is over, as a bar on a
//! terminal or a line of JSON a second.

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use infra::operator::Operator;
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Out, Outcome, Which, client, show, tables};
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

/// What is shown of a job.
#[derive(Debug, Serialize)]
struct Job<'j> {
    projection: &'j str,
    version: i32,
    state: &'j str,
    passed: u64,
    all: u64,
    /// Records per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<f64>,
}

/// Clears its bar when it is dropped.
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
    operator: &Operator,
    name: &str,
    options: RebuildOptions,
    json: bool,
    out: Out<'_>,
) -> Result<Outcome> {
    let begun: Version =
        client::act(operator, name, "rebuild", &serde_json::to_value(options)?).await?;
    let mut progress = Progress::new(json);
    let (version, verification) = loop {
        let status = client::status(operator).await?;
        let Some(version) = status.version(name, begun.version) else {
            bail!("{name} v{} has been dropped", begun.version);
        };
        let verification = match version.verification {
            Some(id) => Some(client::verification(operator, id).await?),
            None => None,
        };
        if !version.is_busy() {
            break (version.clone(), verification);
        }
        let job = match &verification {
            Some(verification) if version.verify => Job::of_verification(verification),
            _ => Job::of_build(version, &status),
        };
        progress.show(&job, out).await?;
    };
    drop(progress);
    show(out, json, &json!({ "version": version, "verification": verification }), |_| {
        let report = verification.as_ref().and_then(|it| it.report.as_ref());
        let report = report.map(|report| tables::report(report) + "\n").unwrap_or_default();
        report + &tables::version(&version)
    })?;
    match version.problem {
        _ if verification.is_some_and(|it| it.state == VerificationState::Different) => {
            Ok(Outcome::Different)
        }
        Some(problem) => bail!("{name} v{}: {problem}", version.version),
        None => Ok(Outcome::Done),
    }
}

pub(super) async fn verify(
    operator: &Operator,
    Which { name, version, json }: &Which,
    sample: Option<i32>,
    out: Out<'_>,
) -> Result<Outcome> {
    let body = json!({ "version": version, "sample": sample });
    let mut verification: Verification = client::act(operator, name, "verify", &body).await?;
    let mut progress = Progress::new(*json);
    while !verification.state.is_final() {
        progress.show(&Job::of_verification(&verification), out).await?;
        verification = client::verification(operator, verification.id).await?;
    }
    drop(progress);
    if *json || verification.report.is_some() {
        show(out, *json, &verification, |it| {
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

impl<'j> Job<'j> {
    fn of_build(version: &'j Version, status: &Status) -> Self {
        let at = status.progress(&version.projection, version.version);
        let is_counted = !version.paused
            && matches!(version.state, VersionState::Copying | VersionState::CatchingUp);
        let rate = (is_counted && at.rate > 0.0).then_some(at.rate);
        let left = (at.all - at.passed).max(0) as f64;
        Self {
            projection: &version.projection,
            version: version.version,
            state: if version.paused { "paused" } else { version.state.as_str() },
            passed: at.passed.cast_unsigned(),
            all: at.all.max(at.passed).cast_unsigned(),
            rate,
            eta_seconds: rate.map(|rate| left / rate),
        }
    }

    fn of_verification(verification: &'j Verification) -> Self {
        let Verification { projection, version, progress, .. } = verification;
        // In thousandths: what a bar can show.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number from 0 to 1000"
        )]
        let passed = (progress.clamp(0.0, 1.0) * 1_000.0) as u64;
        let (state, version) = ("verifying", *version);
        Self { projection, version, state, passed, all: 1_000, rate: None, eta_seconds: None }
    }
}

impl Progress {
    /// Lines also where there is no terminal to draw a bar on.
    fn new(json: bool) -> Self {
        let bar = (!json && stdout().is_terminal()).then(|| {
            let bar = ProgressBar::new(0).with_finish(ProgressFinish::AndClear);
            // A constant that its author has seen at work.
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self { bar, shown_at: None }
    }

    /// Shows it, and waits until it is time to look again.
    async fn show(&mut self, job: &Job<'_>, out: Out<'_>) -> Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.set_length(job.all.max(1));
                bar.set_position(job.passed);
                bar.set_message(format!("{} v{} {}", job.projection, job.version, job.state));
                bar.set_prefix(match job.rate.zip(job.eta_seconds) {
                    Some((rate, left)) => format!("{rate:.0} events/s, {left:.0} s left"),
                    None => String::new(),
                });
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
}
