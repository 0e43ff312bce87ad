//! The door to the command API: batches of commands, sent until each has an answer that stays.
//!
//! **Invariant:** a command is only ever repeated with the same Idempotency-Key, so an answer that
//! got lost cannot make it happen twice. A service that is away is waited for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use infra::retry::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    command::{Command, IfThere},
    progress::Phase,
    target::Target,
};
use stack::plain_http;

/// How long a service may stay away before the import gives up. It can be started again then: it
/// goes on where it stopped.
pub(crate) const OUTAGE_MAX: Duration = Duration::from_secs(300);
/// The longest silence of a server that is connected; then it is asked again.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Below the largest body that the API takes.
const BATCH_BYTES_MAX: usize = 512 * 1024;
pub(crate) const RETRY: Policy = Policy {
    tries_max: None,
    wait_min: Duration::from_millis(50),
    wait_max: Duration::from_secs(2),
};

pub(crate) struct Gateway {
    http: reqwest::Client,
    url: String,
    key: String,
    tally: Mutex<Tally>,
}

/// What became of the commands.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: Vec<Refusal>,
    /// Microseconds from a command's first sending to its answer.
    pub(crate) latency: Histogram<u64>,
}

/// A command that the API will not do, however often it is asked.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refusal {
    pub(crate) idempotency_key: String,
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
}

#[derive(Deserialize)]
struct Answer {
    index: usize,
    status: u16,
    #[serde(default)]
    body: Value,
}

enum Verdict {
    Accepted,
    Refused(Refusal),
    /// The service cannot say now; ask again.
    Later(String),
}

impl Gateway {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        let url = format!("{}/v1/batch", target.command_url);
        let latency = Histogram::new_with_max(OUTAGE_MAX.as_micros().try_into()?, 3)?;
        let tally = Mutex::new(Tally { sent: 0, accepted: 0, refused: Vec::new(), latency });
        Ok(Self { http: client()?, url, key: target.operator_key.clone(), tally })
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends commands that do not depend on each other and returns when all are answered. Fails if
    /// a batch as a whole is refused, or the service stays away for too long.
    pub(crate) async fn send(&self, commands: Vec<Command>, phase: &Phase) -> Result<()> {
        let count = u64::try_from(commands.len())?;
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).sent += count;
        for batch in batches(commands) {
            self.settle(batch, phase).await?;
        }
        Ok(())
    }

    /// Repeats what has no lasting answer until nothing is left of it.
    async fn settle(&self, mut open: Vec<Command>, phase: &Phase) -> Result<()> {
        let started = Instant::now();
        let mut moved = started;
        let mut waits = RETRY.waits();
        while !open.is_empty() {
            let before = open.len();
            let failure = self.round(&mut open, started, phase).await?;
            if open.len() < before {
                moved = Instant::now();
                waits.reset();
            }
            let Some(failure) = failure else { continue };
            ensure!(moved.elapsed() < OUTAGE_MAX, "{} does not answer: {failure}", self.url);
            phase.waits_for(failure);
            waits.wait().await;
        }
        Ok(())
    }

    /// Sends what is open once and removes what was answered; says what stood in the way of the
    /// rest.
    async fn round(
        &self,
        open: &mut Vec<Command>,
        started: Instant,
        phase: &Phase,
    ) -> Result<Option<String>> {
        let mut answered = vec![false; open.len()];
        let failure = self.post(open, &mut answered, started, phase).await?;
        let mut answered = answered.into_iter();
        open.retain(|_| !answered.next().unwrap_or(false));
        Ok(failure)
    }

    async fn post(
        &self,
        open: &[Command],
        answered: &mut [bool],
        started: Instant,
        phase: &Phase,
    ) -> Result<Option<String>> {
        let body: String = open.iter().map(|command| command.line.as_str()).collect();
        let request = self.http.post(&self.url).bearer_auth(&self.key);
        let request = request.header("content-type", "application/x-ndjson").body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Some(root_cause(&error))),
        };
        let status = response.status().as_u16();
        if is_temporary(status) {
            return Ok(Some(format!("the command API answers {status}")));
        }
        if status != 200 {
            bail!("{} answers {status}: {}", self.url, response.text().await.unwrap_or_default());
        }
        let mut failure = None;
        let mut unread = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => unread.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Ok(Some(root_cause(&error))),
            }
            while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = unread.drain(..=end).collect();
                let answer: Answer = serde_json::from_slice(&line)
                    .with_context(|| String::from_utf8_lossy(&line).into_owned())?;
                let index = answer.index;
                let command = open.get(index).context("an answer to a line that was not sent")?;
                match verdict(command, answer) {
                    Verdict::Later(reason) => failure = Some(reason),
                    verdict => {
                        if let Some(done) = answered.get_mut(index) {
                            *done = true;
                        }
                        self.count(verdict, started.elapsed());
                        phase.advance(1);
                    }
                }
            }
        }
        let cut_off = || answered.contains(&false).then(|| "an answer was cut off".to_owned());
        Ok(failure.or_else(cut_off))
    }

    fn count(&self, verdict: Verdict, time: Duration) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.latency.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        match verdict {
            Verdict::Accepted => tally.accepted += 1,
            Verdict::Refused(refusal) => tally.refused.push(refusal),
            Verdict::Later(_) => {}
        }
    }
}

/// Cuts commands into batches that the API takes.
fn batches(commands: Vec<Command>) -> Vec<Vec<Command>> {
    let mut batches: Vec<Vec<Command>> = Vec::new();
    let mut bytes = BATCH_BYTES_MAX;
    for command in commands {
        bytes += command.line.len();
        match batches.last_mut() {
            Some(batch) if bytes <= BATCH_BYTES_MAX => batch.push(command),
            _ => {
                bytes = command.line.len();
                batches.push(vec![command]);
            }
        }
    }
    batches
}

fn verdict(command: &Command, answer: Answer) -> Verdict {
    let Answer { status, body, .. } = answer;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = text("code");
    let there_already = match command.if_there {
        IfThere::Unchanged => false,
        IfThere::Conflict(expected) => status == 409 && code == expected,
        IfThere::PreconditionFailed => status == 412,
    };
    match status {
        200..=299 => Verdict::Accepted,
        _ if there_already => Verdict::Accepted,
        409 if code == "request_under_way" => Verdict::Later(text("detail")),
        _ if is_temporary(status) => Verdict::Later(format!("{status} {code}")),
        _ => {
            let idempotency_key = command.idempotency_key.clone();
            Verdict::Refused(Refusal { idempotency_key, status, code, detail: text("detail") })
        }
    }
}

/// Of both services.
pub(crate) fn client() -> Result<reqwest::Client> {
    let builder = plain_http::builder().connect_timeout(Duration::from_secs(5));
    Ok(builder.read_timeout(SILENCE_MAX).build()?)
}

/// Answers that another try can change.
pub(crate) fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=504)
}

/// What reqwest says last is what went wrong; what it says first is the URL.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command(bytes: usize, if_there: IfThere) -> Command {
        Command { idempotency_key: "k".to_owned(), line: "x".repeat(bytes), if_there }
    }

    fn judge(if_there: IfThere, status: u16, code: &str) -> String {
        let answer = Answer { index: 0, status, body: json!({ "code": code, "detail": "d" }) };
        match verdict(&command(1, if_there), answer) {
            Verdict::Accepted => "accepted".to_owned(),
            Verdict::Refused(refusal) => format!("refused {}", refusal.code),
            Verdict::Later(_) => "later".to_owned(),
        }
    }

    #[test]
    fn what_is_there_already_is_accepted_and_other_conflicts_are_not() {
        let exists = IfThere::Conflict("product.exists");
        for (if_there, status, code, expected) in [
            (IfThere::Unchanged, 201, "", "accepted"),
            (exists, 409, "product.exists", "accepted"),
            (exists, 409, "sku.taken", "refused sku.taken"),
            (IfThere::Unchanged, 409, "product.exists", "refused product.exists"),
            (IfThere::PreconditionFailed, 412, "revision_mismatch", "accepted"),
            (exists, 412, "revision_mismatch", "refused revision_mismatch"),
            (IfThere::Unchanged, 422, "idempotency_key_reused", "refused idempotency_key_reused"),
            (IfThere::Unchanged, 503, "busy", "later"),
        ] {
            assert_eq!(judge(if_there, status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn batches_stay_below_the_limit_and_keep_the_order() {
        let sizes = [BATCH_BYTES_MAX - 1, 1, 1, BATCH_BYTES_MAX + 5, 7];
        let commands = sizes.iter().map(|size| command(*size, IfThere::Unchanged)).collect();
        let cut: Vec<Vec<usize>> = batches(commands)
            .iter()
            .map(|batch| batch.iter().map(|command| command.line.len()).collect())
            .collect();
        let [first, second, third, fourth, fifth] = sizes;
        assert_eq!(cut, [vec![first, second], vec![third], vec![fourth], vec![fifth]]);
    }
}
