//! Many histories on all cores, up to the first that breaks a promise. With a mistake planted in
//! them, that shows whether the checks notice.

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
    history::Violation,
    life::{Life, Tally, tell},
};
use stack::console;

const TEMPLATE: &str = "{bar:40} {human_pos}/{human_len} histories, {per_sec}, ETA {eta}";

/// A mistake that survives so many histories counts as not noticed.
const SEEDS_MAX: u64 = 10_000;

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
        tell(*seed, mistake, violation);
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

/// `cargo stack simulate --planted`.
pub(super) fn planted() -> ExitCode {
    let mut missed = 0;
    for &mistake in Mistake::ALL {
        let Found { tally, first } = search(0..SEEDS_MAX, Some(mistake), &ProgressBar::hidden());
        missed += u32::from(first.is_none());
        let line = serde_json::json!({
            "variant": mistake.as_str(),
            "caught": first.is_some(),
            "seed": first.as_ref().map(|(seed, _)| *seed),
            "histories": first.as_ref().map_or(tally.histories, |(seed, _)| seed + 1),
            "check": first.as_ref().map(|(_, violation)| violation.check),
        });
        console::line(&line.to_string());
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
