//! How far the copy is: a bar on a terminal, a line a second elsewhere.
#![expect(clippy::print_stdout, reason = "this is the command line's output")]

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use tokio::time::Instant;

const LINE_INTERVAL: Duration = Duration::from_secs(1);
const BAR: &str =
    "{prefix} [{bar:32}] {percent:>3}% {human_pos}/{human_len} records, {per_sec}, {eta} left";

/// Clears its bar when it is dropped.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = stdout().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stdout());
            // A constant that its author has seen at work.
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.with_prefix("copying").with_finish(ProgressFinish::AndClear)
        });
        let now = Instant::now();
        Self { bar, began: now, told: now }
    }

    /// So many records of so many have been read.
    pub(super) fn show(&mut self, passed: u64, all: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(passed);
        } else if self.told.elapsed() >= LINE_INTERVAL {
            self.told = Instant::now();
            println!("{}", line(passed, all, self.began.elapsed()));
        }
    }
}

/// A line for people.
pub(super) fn say(text: &str) {
    println!("{text}");
}

fn line(passed: u64, all: u64, elapsed: Duration) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = passed.saturating_mul(1_000) / millis;
    let left = all.saturating_sub(passed).div_ceil(rate.max(1));
    format!("copying: {passed} of {all} records, {rate}/s, {left} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_rate_and_what_is_left() {
        let line = line(3_000, 10_000, Duration::from_secs(2));
        assert_eq!(line, "copying: 3000 of 10000 records, 1500/s, 5 s left");
    }
}
