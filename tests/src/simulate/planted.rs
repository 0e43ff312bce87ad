//! Whether the checks notice: each mistake is planted, and some seed must catch it.

use std::process::ExitCode;

use anyhow::Result;
use indicatif::ProgressBar;
use infra::log::mistake::Mistake;
use serde::Serialize;

use super::search::{Found, search};
use crate::stack::console;

/// A mistake that survives so many histories counts as not noticed.
const SEEDS_MAX: u64 = 10_000;

#[derive(Serialize)]
struct Line {
    variant: &'static str,
    caught: bool,
    seed: Option<u64>,
    histories: u64,
    check: Option<&'static str>,
}

/// `cargo stack simulate --planted`.
pub(super) fn run() -> Result<ExitCode> {
    let mut missed = 0;
    for &mistake in Mistake::ALL {
        let Found { tally, first } = search(0..SEEDS_MAX, Some(mistake), &ProgressBar::hidden());
        missed += u32::from(first.is_none());
        let line = Line {
            variant: mistake.as_str(),
            caught: first.is_some(),
            seed: first.as_ref().map(|(seed, _)| *seed),
            histories: first.as_ref().map_or(tally.histories, |(seed, _)| seed + 1),
            check: first.as_ref().map(|(_, violation)| violation.check),
        };
        console::line(&serde_json::to_string(&line)?);
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
