//! Many histories on all cores, up to the first that breaks a promise.

use std::{
    ops::Range,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use infra::log::mistake::Mistake;

use super::{
    life::{Life, Tally},
    tell,
    violation::Violation,
};
use crate::stack::console;

const TEMPLATE: &str = "{bar:40} {human_pos}/{human_len} histories, {per_sec}, ETA {eta}";

/// What was found in a range of seeds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) tally: Tally,
    /// The lowest seed that breaks a promise.
    pub(super) first: Option<(u64, Violation)>,
}

/// `cargo stack simulate --seeds`.
pub(super) fn run(seeds: Range<u64>, mistake: Option<Mistake>) -> Result<ExitCode> {
    let bar = ProgressBar::new(seeds.end - seeds.start);
    bar.set_style(ProgressStyle::with_template(TEMPLATE)?);
    let started = Instant::now();
    let Found { tally, first } = search(seeds.clone(), mistake, &bar);
    bar.finish_and_clear();
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    if let Some((seed, violation)) = &first {
        tell::violation(*seed, mistake, violation);
    }
    let Tally { histories, actions, records, acknowledged } = tally;
    let summary = serde_json::json!({
        "seeds": format!("{}..{}", seeds.start, seeds.end),
        "histories": histories,
        "actions": actions,
        "records": records,
        "acknowledged": acknowledged,
        "violations": u32::from(first.is_some()),
        "histories_per_second": histories * 1_000 / millis,
    });
    console::line(&summary.to_string());
    Ok(if first.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Takes the seeds in order on all cores; past the lowest that breaks a promise nobody goes on.
pub(super) fn search(seeds: Range<u64>, mistake: Option<Mistake>, bar: &ProgressBar) -> Found {
    let next = AtomicU64::new(seeds.start);
    let end = AtomicU64::new(seeds.end);
    let found = Mutex::new(Found::default());
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                break;
            }
            let life = Life::live(seed, mistake, false);
            tally.add(life.tally);
            bar.inc(1);
            if let Some(violation) = life.violation {
                end.fetch_min(seed, Ordering::Relaxed);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.first.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                    found.first = Some((seed, violation));
                }
            }
        }
        found.lock().unwrap_or_else(PoisonError::into_inner).tally.add(tally);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
