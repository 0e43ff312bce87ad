//! Waiting without sleeping: poll a condition often, give up after a limit, and say what was last seen.
//!
//! Wait for a level ("position is at least 7"), never for an edge ("position just moved").

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What one look at a condition found: `Break` ends the wait, `Continue` carries the state seen.
pub type Look<T> = ControlFlow<anyhow::Result<T>, String>;

/// Looks until the condition holds, cannot hold any more, or `within` is over.
///
/// # Errors
/// The look's own error, or one that names the last state seen when the time is over.
pub async fn wait_for<T, F, Fut>(what: &str, within: Duration, mut look: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Look<T>>,
{
    let deadline = Instant::now() + within;
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = String::from("nothing yet");
    loop {
        ticks.tick().await;
        match timeout_at(deadline, look()).await {
            Ok(ControlFlow::Break(end)) => return end,
            Ok(ControlFlow::Continue(state)) => last = state,
            Err(_elapsed) => {}
        }
        if Instant::now() >= deadline {
            return Err(anyhow!("waited {within:?} for {what}; last seen: {last}"));
        }
    }
}

/// For tests: waits until `look` gives `Ok`, and panics with the last `Err` when the time is over.
#[expect(clippy::panic, reason = "a condition that never holds fails the test that waits for it")]
pub async fn eventually<T, S, F, Fut>(what: &str, within: Duration, mut look: F) -> T
where
    S: Debug,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, S>>,
{
    let looked = wait_for(what, within, || {
        let looking = look();
        async {
            match looking.await {
                Ok(value) => ControlFlow::Break(Ok(value)),
                Err(state) => ControlFlow::Continue(format!("{state:?}")),
            }
        }
    });
    match looked.await {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
